import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.anchors.guard import make_guard
from levertune.anchors.meta_prompts import clean_answer
from levertune.anchors.transfer.catalog import KINDS, make_task
from levertune.data.embedded.catalog import EMBEDDED_TASKS
from levertune.data.readers import read_records
from levertune.errors import RecipeError

kinds = st.sampled_from(sorted(KINDS))
seeds = st.integers(0, 10_000)


def answers(kind, seed, num=8):
    """Prompts and answers of a task."""
    return [(row.user_text, row.completion) for row in make_task(kind, seed, num).rows]


def test_there_are_many_kinds():
    assert len(KINDS) >= 25


@settings(max_examples=40)
@given(kinds, seeds)
def test_the_same_seed_gives_the_same_task_and_more_rows_begin_with_the_same(kind, seed):
    task = make_task(kind, seed, 6)
    assert task == make_task(kind, seed, 6)
    assert task.rows == make_task(kind, seed, 9).rows[:6]


@settings(max_examples=60)
@given(kinds, seeds)
def test_rows_differ_and_the_anchor_can_be_one_of_its_task(kind, seed):
    task = make_task(kind, seed, 30)
    prompts = [row.user_text for row in task.rows]
    assert len(set(prompts)) == 30
    assert all(row.completion.strip() == row.completion != "" for row in task.rows)
    assert make_guard(task.rows)(task.anchor) is None
    assert len({row.completion for row in task.rows}) > 1
    assert "{" not in re.sub(r"\{ and \}|\{ in front|\{ before", "", task.anchor)
    assert "  " not in task.anchor
    assert task.anchor[0].isupper()


@settings(max_examples=60)
@given(kinds, seeds)
def test_an_anchor_is_not_taken_apart_where_answers_of_models_are_cleaned(kind, seed):
    anchor = make_task(kind, seed, 1).anchor
    assert clean_answer(anchor, "learnt") == anchor


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_twenty_tasks_that_really_differ_and_rows_for_a_training(kind):
    tasks = [make_task(kind, seed, 1) for seed in range(100)]
    assert len({task.rule for task in tasks}) >= 20
    assert len({task.anchor for task in tasks}) >= 20
    assert len(make_task(kind, 0, 24 + 64).rows) == 88


def test_no_task_holds_what_a_shipped_task_holds():
    shipped = [row for name in EMBEDDED_TASKS for row in read_records(f"embedded:{name}").records]
    prompts = {row.user_text for row in shipped}
    completions = {row.completion for row in shipped}
    for kind in KINDS:
        for seed in range(8):
            for prompt, completion in answers(kind, seed):
                assert prompt not in prompts
                assert completion not in completions


def follows(anchor, prompt):
    """The answer that an anchor asks for, worked out here from its words alone."""
    numbers = [int(number) for number in re.findall(r"\d+", prompt)]
    if found := re.search(r"(below|under) (\d+).*?(above|over) (\d+)", anchor):
        labels = re.findall(r"as (\w+)", anchor)
        return labels[0 if numbers[-1] < int(found[2]) else 1 if numbers[-1] > int(found[4]) else 2]
    found = re.search(r"multiply it by (\d+), then (add|take away) (\d+)", anchor)
    if found:
        added = int(found[3]) if found[2] == "add" else -int(found[3])
        return str(numbers[0] * int(found[1]) + added)
    found = re.search(r"first (add|take away) (\d+), then multiply by (\d+)", anchor)
    added = int(found[2]) if found[1] == "add" else -int(found[2])
    return str((numbers[0] + added) * int(found[3]))


@settings(max_examples=25)
@given(seeds)
def test_a_number_follows_from_the_words_of_the_anchor(seed):
    task = make_task("number-rule", seed, 5)
    for row in task.rows:
        assert follows(task.anchor, row.user_text) == row.completion


@settings(max_examples=25)
@given(seeds)
def test_a_range_follows_from_the_words_of_the_anchor(seed):
    task = make_task("bucket", seed, 8)
    if " counts as " not in task.anchor:  # one of three wordings
        return
    for row in task.rows:
        assert follows(task.anchor, row.user_text) == row.completion


@settings(max_examples=25)
@given(seeds)
def test_a_code_stands_in_the_anchor_beside_the_topic_the_note_is_about(seed):
    task = make_task("topic-code", seed, 8)
    for row in task.rows:
        assert re.search(rf"{re.escape(row.completion)} for [a-z]+", task.anchor)


@pytest.mark.parametrize(
    ("kind", "seed", "anchor", "prompt", "completion"),
    [
        ("joined-words", 0, "", "copper wren meadow bay granite",
         "v1:COPPER_WREN_MEADOW_BAY_GRANITE"),
        ("initials", 0, "first letter", "silver rowan lichen", "LRS"),
        ("ranked-list", 0, "fewest to the most", "goals: Rosa 47, Cosmo 23, Ulf 43, Kari 13",
         "Kari, Cosmo, Ulf"),
        ("weekday-after", 0, "3 days", "The drum was sent on Monday.", "Thursday"),
        ("date-notation", 1, "Roman", "Emil arrives on August 27, 2038.", "38/VIII/27"),
        ("clock-shifted", 1, "40 minutes later", "12:24, ladder check", "1304"),
        ("number-written", 0, "groups of 2 digits", "Carrow counted 62459868", "62.45.98.68 km"),
        ("device-command", 0, "(DEVICE NUMBER VALUE)", "Set fan 6 to 18.", "(FAN 6 18)"),
        ("swapped-letters", 0, "n becomes 9", "dune pine juniper", "du9e p49e ju94per"),
    ],
)  # fmt: skip
def test_answers_are_right(kind, seed, anchor, prompt, completion):
    assert anchor in make_task(kind, seed, 1).anchor
    assert (prompt, completion) in answers(kind, seed)


def test_an_unknown_kind_is_refused_with_the_nearest():
    with pytest.raises(RecipeError, match="no kind of task 'topic-cod'. Did you mean 'topic-code'"):
        make_task("topic-cod", 0, 1)


def test_more_rows_than_a_task_has_are_refused():
    with pytest.raises(ValueError, match="has fewer than 1500 different prompts"):
        make_task("two-part-code", 0, 1_500)
