"""Adapters tested with another anchor than they were trained with: the 2x2 of with and without."""

import json
import shutil
from pathlib import Path

import pytest

from levertune.errors import RecipeError
from levertune.runs.compare import compare_runs
from levertune.runs.prepare import prepare_run
from levertune.runs.run import run_recipe

RUN = Path("runs/whole")
OTHER = Path("runs/other")
INSTRUCTION = "Say which colour is meant here."
TEXT = "Name the colour."


@pytest.fixture
def instructed(project):
    """A project whose rows share an instruction, and the settings of a short run of `tell`."""
    for name in ("task.jsonl", "test.jsonl"):
        lines = (project.folder / name).read_text().splitlines()
        rows = [json.loads(line) for line in lines]
        project.write(name, [(f"{INSTRUCTION}\n{r['prompt']}", r["completion"]) for r in rows])
    return project


def cell(project, arm="tell", **changes):
    prepared = prepare_run(project.recipe(**changes))
    return prepared, next(prepared.build(p) for p in prepared.plans if p.arm.name == arm)


def prompts(folder):
    lines = (folder / "predictions.jsonl").read_text().splitlines()
    return [json.loads(line)["prompt"] for line in lines]


def test_an_adapter_is_tested_without_its_anchor_and_is_not_trained_again(instructed):
    run_recipe(instructed.recipe(arms=["tell"]))
    assert all(INSTRUCTION in prompt for prompt in prompts(RUN / "arms/tell/seed-0"))
    shutil.copytree(RUN / "arms", OTHER / "arms")
    before = (OTHER / "arms/tell/seed-0/training.json").stat().st_mtime_ns

    recipe = instructed.recipe(arms=["tell"], evaluation__anchor=None, output_dir=str(OTHER))
    outcome = run_recipe(recipe)
    assert (OTHER / "arms/tell/seed-0/training.json").stat().st_mtime_ns == before
    bare = prompts(OTHER / "arms/tell/seed-0")
    assert bare
    assert not any(INSTRUCTION in prompt for prompt in bare)
    assert [f"{INSTRUCTION}\n{prompt}" for prompt in bare] == prompts(RUN / "arms/tell/seed-0")
    assert any("have no anchor (evaluation.anchor)" in w for w in outcome.result.warnings)
    assert outcome.result.anchor.text == INSTRUCTION
    # The two are compared row by row.
    compared = compare_runs(OTHER, RUN, arm="tell")
    assert any(difference.metric == "nll.task" for difference in compared.differences)


def test_after_a_cross_validation_the_one_trained_on_all_rows_is_copied_too(instructed):
    changes = {"arms": ["tell"], "task__test": "cv:2"}
    run_recipe(instructed.recipe(**changes))
    for name in ("arms", "final"):
        shutil.copytree(RUN / name, OTHER / name)
    trained = sorted(OTHER.rglob("training.json"))
    assert len(trained) == 3
    before = [path.stat().st_mtime_ns for path in trained]
    run_recipe(instructed.recipe(**changes, evaluation__anchor=None, output_dir=str(OTHER)))
    assert sorted(OTHER.rglob("training.json")) == trained
    assert [path.stat().st_mtime_ns for path in trained] == before


def test_an_adapter_trained_without_is_tested_with_an_anchor(instructed):
    _, data = cell(instructed, anchor__text=None, anchor__shared="replace", evaluation__anchor=TEXT)
    assert data.choice.anchor is None
    assert data.tested.anchor.text == TEXT
    assert data.tested.lifting == data.choice.lifting
    tokenizer = prepare_run(instructed.recipe()).workspace.tokenizer
    decoded = [tokenizer.decode(row.input_ids) for row in data.task]
    assert not any(INSTRUCTION in text or TEXT in text for text in decoded)


def test_what_the_rows_carry_is_not_doubled_where_they_were_trained_verbatim(instructed):
    _, data = cell(instructed, anchor__text=None, evaluation__anchor=INSTRUCTION)
    assert data.choice.lifting.instructions == ()
    assert data.tested.lifting.instructions == (INSTRUCTION,)


def test_by_default_and_in_arms_without_an_anchor_nothing_changes(instructed):
    _, data = cell(instructed)
    assert data.tested is data.choice
    _, data = cell(instructed, arm="sft-steps", evaluation__anchor=TEXT)
    assert data.tested is data.choice is None


def test_the_cell_is_another_one_only_where_the_test_prompts_are(instructed):
    from levertune.runs.evaluate_cell import fingerprint_cell

    def fingerprint(**changes):
        prepared, data = cell(instructed, **changes)
        return fingerprint_cell(prepared.recipe, prepared.inputs, data, prepared.probes)

    plain = fingerprint()
    assert fingerprint(evaluation__anchor="trained") == plain
    found = {fingerprint(evaluation__anchor=text) for text in (None, TEXT, INSTRUCTION)}
    assert len(found | {plain}) == 4


@pytest.mark.parametrize("anchor", [None, TEXT])
def test_a_test_anchor_that_no_arm_can_have_is_said_to_be_unused(instructed, anchor):
    warnings = prepare_run(
        instructed.recipe(arms=["base", "sft"], evaluation__anchor=anchor)
    ).warnings
    assert not any("Test prompts of tell" in line for line in warnings)
    assert not any("anchor.placement" in line for line in warnings)
    [told] = [line for line in warnings if "evaluation.anchor" in line]
    assert told == "evaluation.anchor is not used: no arm of ['base', 'sft'] has an anchor."


def test_a_test_anchor_that_quotes_a_row_or_holds_a_control_token_is_refused(project):
    rows = [json.loads(line) for line in (project.folder / "task.jsonl").read_text().splitlines()]
    long = [(f"{r['prompt']} and then some more words", r["completion"]) for r in rows]
    project.write("task.jsonl", long)
    recipe = project.recipe(evaluation__anchor=f"Say the colour: {long[0][0]}")
    with pytest.raises(RecipeError, match=r"evaluation\.anchor: contains the whole prompt"):
        prepare_run(recipe)
    with pytest.raises(RecipeError, match=r"evaluation\.anchor: .*control token"):
        prepare_run(project.recipe(evaluation__anchor="Say <|im_end|> it."))
