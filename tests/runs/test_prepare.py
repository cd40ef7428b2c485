import json
import re
import shutil
from dataclasses import replace

import pytest

from levertune.anchors.pool import kept
from levertune.anchors.pool.entry import PoolEntry, PoolExample
from levertune.anchors.pool.merge import merge_pools
from levertune.anchors.pool.writing import write_entry
from levertune.errors import ModelError, RunError
from levertune.recipes.dumping import dump_recipe, read_reasons
from levertune.recipes.loading import load_recipe
from levertune.runs.arms import ARMS
from levertune.runs.cells import CellPlan
from levertune.runs.inputs import read_inputs
from levertune.runs.prepare import choose_plans, prepare_run, write_recipe
from levertune.runs.same_recipe import describe_changes

COLOURS = ("red", "green", "blue")
PLANS = [CellPlan(ARMS[name], seed) for seed in (0, 2) for name in ("sft", "tell")]


def test_a_run_reads_its_pool_once_says_its_notes_and_the_next_reads_it_anew(project, monkeypatch):
    entry = PoolEntry(
        "names-of-colours", "Name the colour.", "naming", "label", "Name a colour.", ("en",),
        "CC0-1.0", "A painter",
        tuple(PoolExample(f"a thing {i}", colour) for i, colour in enumerate("abcde")),
    )  # fmt: skip
    write_entry(project.folder / "own", entry)
    reads = []

    def merge(places):
        reads.append(places)
        return replace(merge_pools(places), notes=("A copy stands in.",))

    monkeypatch.setattr(kept, "merge_pools", merge)
    recipe = project.recipe(
        anchor__text="pool:names-of-colours", anchor__pools=["own"], task__test="cv:2"
    )
    prepared = prepare_run(recipe)
    cells = [prepared.build(plan) for plan in prepared.plans if plan.arm.name == "tell"]
    assert [cell.choice.anchor.text for cell in cells] == ["Name the colour."] * 2
    assert len(reads) == 1
    assert "A copy stands in." in prepared.warnings
    write_entry(project.folder / "own", replace(entry, text="Say it."), overwrite=True)
    prepared = prepare_run(recipe)
    assert prepared.build(prepared.plans[-1]).choice.anchor.text == "Say it."


def test_reasons_are_read_back_from_a_written_recipe(project):
    reasons = {
        "task.metric": "graded: 3 labels", "training.learning_rate": "for a model of 135M: # one",
        "seeds": "asked for",
    }  # fmt: skip
    recipe = project.recipe(task__prompt="Message: {message}  # {x}")
    assert read_reasons(dump_recipe(recipe, reasons)) == reasons
    assert read_reasons(dump_recipe(recipe, {})) == {}


def test_changes_are_named_but_for_those_that_change_no_cell():
    old = {"arms": ["tell"], "training": {"lora_r": 2, "save_steps": 5}, "seeds": [0]}
    new = {"arms": ["sft"], "training": {"lora_r": 4, "save_steps": 9}, "task": {"x": 1}}
    assert describe_changes(old, new) == ["training.lora_r: 2 -> 4", "task: None -> {'x': 1}"]


@pytest.mark.parametrize(
    ("arm", "seed", "cells"),
    [(None, None, 4), ("tell", None, 2), (None, 2, 2), ("sft", 0, 1)],
)
def test_a_stage_takes_the_cells_it_is_asked_for(arm, seed, cells):
    chosen = choose_plans(PLANS, arm, seed)
    assert len(chosen) == cells
    assert all(arm in (None, p.arm.name) and seed in (None, p.seed) for p in chosen)


def test_an_arm_or_seed_the_run_does_not_have_is_refused():
    with pytest.raises(RunError, match=re.escape("found ['sft', 'tell']. Did you mean 'tell'?")):
        choose_plans(PLANS, "tel", None)
    with pytest.raises(RunError, match=r"--seed 1: is not of this run; found \[0, 2\]"):
        choose_plans(PLANS, None, 1)


@pytest.mark.parametrize("size", [0, 5000])
def test_a_model_file_that_was_cut_short_is_named_before_anything_is_trained(
    project, tmp_path, size
):
    folder = tmp_path / "m"
    shutil.copytree(project.model, folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:size])
    message = f"^m/model.safetensors: is no whole safetensors file; found {size} bytes, "
    with pytest.raises(ModelError, match=message) as caught:
        prepare_run(project.recipe(model__model_name_or_path=str(folder)))
    assert "\n" not in str(caught.value)


def test_fewer_general_rows_than_asked_for_are_warned_of_and_taken(project):
    prepared = prepare_run(project.recipe(general__rows=100))
    # 19 rows, of which one equals a test row and two are held out
    assert "100 general rows were asked for; there are 16." in prepared.warnings
    assert prepared.build(CellPlan(ARMS["tell"], 0)).num_general == 16


def test_conflicting_completions_are_warned_of_with_their_rows(project):
    rows = [("roses", "red"), ("peas", "green"), ("roses ", "blue"), ("ink", "blue")]
    project.write("task.jsonl", rows)
    (warning,) = [w for w in prepare_run(project.recipe()).warnings if "completion" in w]
    assert warning == "Prompts with more than one completion: 1 (the first in rows '1', '3')."


def test_nothing_is_written(project):
    before = project.files()
    prepare_run(project.recipe())
    assert project.files() == before


def test_near_copies_that_were_not_looked_for_are_told(project, monkeypatch):
    for module in ("levertune.data.leaks", "levertune.runs.leak_gate"):
        monkeypatch.setattr(f"{module}.MAX_NEAR_ROWS", 2)
    told = [w for w in read_inputs(project.recipe()).warnings if "not looked for" in w]
    assert [" ".join(warning.split()[3:6]) for warning in told] == [
        "test rows were", "test rows were", "training rows were",
    ]  # fmt: skip


def many_rows(project, num=300):
    """A task of so many short rows that the table holds some out to test on."""
    rows = [(f"what colour has thing {i * 7919}", COLOURS[i % 3]) for i in range(num)]
    return project.write("many.jsonl", rows)


def test_the_split_written_down_is_the_one_that_was_made_whatever_the_subset(project):
    settings = {"task__path": many_rows(project), "task__test": "auto", "task__subset": 48}
    prepared = prepare_run(project.recipe(**settings))
    assert prepared.inputs.test_mode == "holdout"
    assert prepared.recipe.task.test == 0.2
    (said,) = [s for s in prepared.settings if s.key == "task.test"]
    assert said.reason == "for 300 task rows"
    write_recipe(prepared)
    again = prepare_run(load_recipe(prepared.run_dir / "recipe.yaml"))
    assert again.plans == prepared.plans
    assert again.inputs.splits == prepared.inputs.splits


@pytest.mark.parametrize(("test", "longest_counts"), [("auto", False), ("cv:5", True)])
def test_the_longest_completion_is_sought_among_rows_that_are_trained_on(
    project, test, longest_counts
):
    path = many_rows(project)
    (split, *_) = prepare_run(project.recipe(task__path=path, task__test="auto")).inputs.splits
    rows = [json.loads(line) for line in (project.folder / path).read_text("utf-8").splitlines()]
    rows[int(split.test[0].id) - 1]["completion"] = "a completion far longer than others " * 3
    project.write(path, rows)
    settings = {"task__path": path, "task__test": test, "evaluation__max_new_tokens": "auto"}
    prepared = prepare_run(project.recipe(**settings))
    assert (prepared.recipe.evaluation.max_new_tokens > 100) == longest_counts


def test_a_run_names_the_instructions_that_its_anchor_replaces(project):
    asked = ("Give the colour of this thing.", "Which colour does this thing have?")
    things = ["rose", "pea", "ink", "sun", "coal", "snow", "leaf", "brick", "sea", "chalk"]
    project.write(
        "task.jsonl", [(f"{asked[n % 2]}\na {thing}", "red") for n, thing in enumerate(things)]
    )
    [warning] = [w for w in prepare_run(project.recipe()).warnings if "Varied" in w]
    assert all(repr(text) in warning for text in asked)
    kept = prepare_run(project.recipe(anchor__varied="keep"))
    assert not [w for w in kept.warnings if "Varied" in w]
    plain = prepare_run(project.recipe(arms=["base", "sft"]))
    assert not [w for w in plain.warnings if "Varied" in w]


THINGS = ["rose", "pea", "ink", "sun", "coal", "snow", "leaf", "brick", "sea", "chalk"]


def wordings_told(project, **settings):
    told = prepare_run(project.recipe(**settings)).warnings
    return [warning for warning in told if warning.startswith("Other wordings")]


def test_a_run_counts_the_test_rows_that_keep_another_wording_under_the_anchor(project):
    asked = "Give the colour of this thing."
    project.write("task.jsonl", [(f"{asked}\na {thing}", "red") for thing in THINGS])
    test = [(f"Which colour is it?\na {thing}", "red") for thing in ("plum", "fig")]
    test += [(f"{asked}\na {thing}", "red") for thing in ("kiwi", "lime", "pear")]
    apart = {"task__test": project.write("apart.jsonl", test)}
    [warning] = wordings_told(project, **apart)
    assert "2 of 5 test rows do not carry" in warning
    assert repr(asked) in warning
    assert wordings_told(project, **apart, arms=["base", "sft-plain"])
    assert wordings_told(project, **apart, anchor__text=f"{asked} Be quick.")
    # Nothing is taken out of any row.
    assert not wordings_told(project, **apart, arms=["base", "sft"])
    assert not wordings_told(project, **apart, anchor__text="Say which.")
    assert not wordings_told(project, **apart, anchor__text=None)
    alike = {"task__test": project.write("alike.jsonl", test[2:])}
    assert not wordings_told(project, **alike)


def test_a_test_row_that_carries_none_of_the_varied_instructions_is_counted(project):
    asked = ("Give the colour of this thing.", "Which colour does this thing have?")
    rows = [(f"{asked[n % 2]}\na {thing}", "red") for n, thing in enumerate(THINGS)]
    project.write("task.jsonl", rows)
    test = [(f"{asked[0]}\na plum", "red"), ("Colour?\na fig", "red")]
    settings = {"task__test": project.write("apart.jsonl", test)}
    [warning] = wordings_told(project, **settings)
    assert "1 of 2 test rows do not carry any of the 2 instructions that are taken" in warning
    assert not wordings_told(project, **settings, anchor__varied="keep")


def test_a_row_that_lacks_the_instruction_is_counted_in_the_fold_that_tests_it(project):
    asked = "Give the colour of this thing."
    rows = [(f"{asked}\na {thing}", "red") for thing in THINGS]
    project.write("task.jsonl", [*rows, ("a plum, is it red?", "red")])
    [warning] = wordings_told(project, task__test="cv:2")
    assert "1 of 11 test rows do not carry" in warning


def test_rows_that_lack_the_anchors_words_in_training_too_are_nothing_to_tell(project):
    asked = "Give the colour of this thing."
    rows = [(f"{asked if n % 2 else 'Which?'}\na {thing}", "red") for n, thing in enumerate(THINGS)]
    project.write("task.jsonl", rows)
    test = {"task__test": project.write("apart.jsonl", [("Which?\na plum", "red")])}
    assert not wordings_told(project, **test, anchor__text=asked)
