from collections import Counter

import pytest

from levertune.anchors.pool.places import shipped_folder
from levertune.anchors.pool.reading import list_entry_files
from levertune.anchors.transfer.catalog import KINDS, make_task
from levertune.anchors.transfer.pairs import MAX_CHARACTERS, make_pairs
from levertune.errors import RecipeError


@pytest.fixture(scope="module")
def pairs():
    return make_pairs(540)


def test_kinds_are_drawn_evenly_and_the_pool_is_added(pairs):
    num_entries = len(list_entry_files(shipped_folder()))
    drawn = [pair for pair in pairs.train if pair.kind in KINDS]
    assert (len(drawn), len(pairs.train) - len(drawn)) == (540, num_entries)
    assert {sum(pair.kind == kind for pair in drawn) for kind in KINDS} == {540 // len(KINDS)}


def test_no_pair_stands_twice_and_none_is_tested_on_that_is_learnt(pairs):
    for part in ("id", "prompt", "completion"):
        train, test = ([getattr(pair, part) for pair in rows] for rows in (pairs.train, pairs.test))
        assert len(set(train)) == len(train)
        assert len(set(test)) == len(test)
        assert not set(train) & set(test)


def test_no_task_is_tested_on_whose_rule_is_learnt_in_other_words():
    pairs = make_pairs(600, with_pool=False)
    train, test = (
        {(p.kind, make_task(p.kind, int(p.id.rpartition("-")[2]), 12).rule) for p in rows}
        for rows in (pairs.train, pairs.test)
    )
    assert not train & test


def test_a_prompt_shows_rows_and_leaves_room_for_the_answer(pairs):
    for pair in pairs.train:
        assert pair.prompt.count("Input: ") == pair.prompt.count("\nOutput: ") == 5
        assert pair.prompt.endswith("Write the instruction that leads from every such input to its "
                                    "output.")  # fmt: skip
        assert len(pair.prompt) < MAX_CHARACTERS + 200
        assert "\n" not in pair.completion
        assert pair.completion not in pair.prompt


def test_kinds_held_out_are_tested_on_and_not_learnt():
    hold_out = ["topic-code", "moves", "arithmetic-word-problem"]
    pairs = make_pairs(70, hold_out=hold_out, num_test=6)
    assert not {pair.kind for pair in pairs.train} & set(hold_out)
    assert {pair.kind for pair in pairs.test} == {"topic-code", "moves"}
    assert pairs.untested == ("arithmetic-word-problem",)


def test_kinds_of_the_pool_alone_are_tested_on_by_its_entries():
    for with_pool in (True, False):
        pairs = make_pairs(36, hold_out=["sentiment", "stance"], with_pool=with_pool, num_test=6)
        assert not {pair.kind for pair in pairs.train} & {"sentiment", "stance"}
        assert Counter(pair.kind for pair in pairs.test) == {"sentiment": 3, "stance": 1}
        assert pairs.untested == ()
        assert not {pair.completion for pair in pairs.train} & {p.completion for p in pairs.test}


def test_pairs_depend_on_the_seed_alone():
    first, again, other = (make_pairs(40, with_pool=False, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert not {pair.prompt for pair in first.train} & {pair.prompt for pair in other.train}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num": 0}, "--pairs: must be at least 1; found 0"),
        ({"num": 1, "num_test": 0}, "test pairs: must be at least 1; found 0"),
        ({"num": 1, "hold_out": ["topik-code"]}, "--hold-out: .*Did you mean 'topic-code'"),
        ({"num": 1, "hold_out": ["zzz"]}, "no kind of task 'zzz'. There are topic-word, "),
        ({"num": 1, "hold_out": list(KINDS)}, "--hold-out: leaves no kind of task"),
        (
            {"num": 900, "with_pool": False, "hold_out": [k for k in KINDS if k != "opinion"]},
            "--pairs: opinion has no more tasks after .*; found 900. Ask for fewer",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(options, message):
    with pytest.raises(RecipeError, match=message):
        make_pairs(**options)
