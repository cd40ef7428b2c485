import itertools

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.models.batches import BatchCost, collate, split_by_length
from levertune.models.rendering import IGNORE_INDEX, TokenizedExample

PAD = 99
lengths_lists = st.lists(st.integers(1, 60), min_size=1, max_size=24)
costs = st.builds(BatchCost, st.integers(0, 80), st.integers(10, 200))


def batch_cost(lengths, parts, cost):
    return sum(len(p) * max(lengths[i] for i in p) + cost.overhead_tokens for p in parts)


def is_allowed(lengths, parts, cost):
    return all(len(p) == 1 or len(p) * max(lengths[i] for i in p) <= cost.max_tokens for p in parts)


def partitions(items):
    """All ways to cut `items` into groups, in any order."""
    if not items:
        yield []
        return
    first, rest = items[0], items[1:]
    for size in range(len(rest) + 1):
        for others in itertools.combinations(rest, size):
            left = [item for item in rest if item not in others]
            for parts in partitions(left):
                yield [[first, *others], *parts]


def example(prompt, supervised, *, row_id="r", num_end=1):
    ids = (*prompt, *supervised)
    labels = (*([IGNORE_INDEX] * len(prompt)), *supervised)
    return TokenizedExample(row_id, "task", ids, labels, num_end)


@settings(max_examples=60)
@given(lengths_lists, costs)
def test_every_row_is_in_one_micro_batch_and_none_is_too_large(lengths, cost):
    parts = split_by_length(lengths, cost)
    assert sorted(i for part in parts for i in part) == list(range(len(lengths)))
    assert is_allowed(lengths, parts, cost)
    assert parts == split_by_length(lengths, cost)


@settings(max_examples=30)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=7), costs)
def test_no_other_split_costs_less(lengths, cost):
    best = min(
        batch_cost(lengths, parts, cost)
        for parts in partitions(list(range(len(lengths))))
        if is_allowed(lengths, parts, cost)
    )
    assert batch_cost(lengths, split_by_length(lengths, cost), cost) == best


def test_rows_of_one_length_share_a_micro_batch():
    assert split_by_length([10] * 8, BatchCost(5, 1000)) == [[0, 1, 2, 3, 4, 5, 6, 7]]
    assert split_by_length([500, 10], BatchCost(5, 100)) == [[0], [1]]


token_ids = st.lists(st.integers(0, 50), min_size=1, max_size=6)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.just([]) | token_ids, token_ids), min_size=1, max_size=5))
def test_targets_are_those_of_a_naive_loop_and_padding_is_never_predicted(rows):
    examples = [example(prompt, supervised) for prompt, supervised in rows]
    batch = collate(examples, PAD)
    input_ids = batch.inputs["input_ids"]
    length = input_ids.shape[1]
    targets, owners = [], []
    for row, one in enumerate(examples):
        n = len(one.input_ids)
        assert input_ids[row].tolist() == [*one.input_ids, *[PAD] * (length - n)]
        assert batch.inputs["attention_mask"][row].tolist() == [int(i < n) for i in range(length)]
        for i in range(length):
            is_predicting = i + 1 < n and one.labels[i + 1] != IGNORE_INDEX
            assert (row * length + i in batch.index.tolist()) == is_predicting
            if is_predicting:
                targets.append(one.labels[i + 1])
                owners.append(row)
    assert batch.targets.tolist() == targets
    assert batch.rows.tolist() == owners
    assert PAD not in targets


def test_a_batch_moves_as_a_whole():
    batch = collate([example([1], [2, 3])], PAD)
    moved = batch.to("meta")
    tensors = [*moved.inputs.values(), moved.index, moved.targets, moved.rows]
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert torch.equal(batch.targets, torch.tensor([2, 3]))
