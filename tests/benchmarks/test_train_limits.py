"""The ceiling of the training benchmark and its check of the first losses."""

import pytest
from benchmarks.train.ceiling import Job, StepShape, choose_steps, measure
from benchmarks.train.losses import count_tail, find_difference, reference_losses

ROWS = [{"ids": [5, 6, 7], "labels": [-100, 6, 7]}, {"ids": [5, 8], "labels": [-100, 8]}]


def changed(number, **changes):
    return [{**row, **(changes if i == number else {})} for i, row in enumerate(ROWS)]


def test_the_same_rows_and_rows_with_a_tail_are_taken():
    assert find_difference(ROWS, ROWS) is None
    longer = changed(1, ids=[5, 8, 9], labels=[-100, 8, 9])
    assert find_difference(ROWS, longer) is None
    assert count_tail(ROWS, longer) == 1


@pytest.mark.parametrize(
    ("theirs", "words"),
    [
        (None, "could not be seen"),
        (ROWS[:1], "has 1 rows instead of 2"),
        (changed(1, ids=[4, 8]), "row 1 of its first step has other tokens"),
        (changed(0, labels=[5, 6, 7]), "row 0 of its first step has its loss on other tokens"),
        (changed(0, ids=[5, 6], labels=[-100, 6]), "row 0 of its first step has other tokens"),
    ],
)
def test_other_rows_are_told(theirs, words):
    assert words in find_difference(ROWS, theirs)


def test_the_reference_is_the_mean_over_supervised_tokens(tiny_model, tiny_model_folder):
    import torch

    [loss] = reference_losses(str(tiny_model_folder), [ROWS])
    total = 0.0
    for row in ROWS:
        ids, labels = torch.tensor([row["ids"]]), torch.tensor([row["labels"]])
        with torch.inference_mode():
            mean = tiny_model(input_ids=ids, labels=labels).loss.item()
        total += mean * (len(row["ids"]) - 1)
    assert loss == pytest.approx(total / 3, rel=1e-5)


def test_the_ceiling_counts_every_product_of_a_step(tiny_model_folder):
    lengths = (10, 20)
    step = StepShape(30, 6, lengths)
    job = Job(str(tiny_model_folder), "float32", "cpu", 2, (step,), (StepShape(15, 6, lengths),))
    found = measure(job)
    # 32 wide, 64 in the MLP, two layers; queries and output, keys and values, three of the MLP
    layers = 2 * [(32, 32), (32, 16), (32, 16), (32, 32), (32, 64), (32, 64), (64, 32)]
    weights = sum(4 * a * b for a, b in layers)
    adapters = sum(12 * (a + b) for a, b in layers)  # rank 2: forward, inputs and own gradients
    linear = 30 * (weights + adapters)
    head = 6 * 4 * 32 * 300
    attention = 2 * sum(6 * 2 * n * n * 32 for n in lengths)
    vocabulary = 300
    assert head == 6 * 4 * 32 * vocabulary
    assert found["flops_per_token"] * 30 == pytest.approx(linear + head + attention, rel=0.01)
    assert all(value > 0 for value in found.values())


def test_steps_are_chosen_from_the_first_to_the_last():
    shapes = [StepShape(n, 1, (n,)) for n in range(5)]
    assert choose_steps(shapes) == [0, 4]
    assert choose_steps(shapes[:1]) == [0]
