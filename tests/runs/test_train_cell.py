"""How `sft-steps` finds its stop, against a stand-in for the engine and the model."""

import json
from collections import Counter
from types import SimpleNamespace

import pytest

from levertune.evaluation import likelihood
from levertune.runs import together as train_module
from levertune.runs.arms import ARMS
from levertune.runs.cells import CellPlan
from levertune.runs.early_stopping import PATIENCE
from levertune.runs.prepare import prepare_run
from levertune.runs.train_cell import (
    steps_behind,
    stopped_at,
    train_cell,
    was_stopped_by_twins,
)
from levertune.training.seal import SEAL_FILE, seal
from levertune.training.train import TrainSummary, count_steps


@pytest.fixture
def engine(monkeypatch):
    """Takes steps without a model; keeps the rows of each training and of each validation."""
    found = {"trainings": [], "validated": [], "losses": [], "names": []}

    def train(base, rows, config, folder, *, on_step=None, keep_adapter=True, **options):
        found["names"].append(options["run_name"])
        found["trainings"].append((options["label"], [row.id for row in rows], config))
        steps = count_steps(len(rows), config.effective_batch_size)
        for step in range(1, steps + 1):
            if on_step is not None and on_step(step, "model"):
                steps = step
                break
        if keep_adapter:
            (folder / "adapter").mkdir(parents=True)
        return TrainSummary(steps, steps, 1.0)

    def score(model, rows, **options):
        found["validated"].append([row.id for row in rows])
        error = found["losses"].pop(0)
        return [SimpleNamespace(token_error=error) for _ in rows]

    monkeypatch.setattr(train_module, "train_adapter", train)
    monkeypatch.setattr(likelihood, "score_likelihood", score)
    monkeypatch.setattr(likelihood, "mean_nll_with_end", lambda scored: 1.0)
    return found


@pytest.fixture
def train(project, monkeypatch):
    """Trains one cell on the first fold of a cross-validation."""

    def _train(arm, *, exposures=4, seed=0, **changes):
        recipe = project.recipe(task__test="cv:2", task__exposures=exposures, arms=[arm], **changes)
        prepared = prepare_run(recipe)
        monkeypatch.setattr(prepared.workspace, "base", lambda longest_row=None: None)
        cell = prepared.build(CellPlan(ARMS[arm], seed, 0))
        folder = prepared.run_dir / cell.plan.folder
        train_cell(prepared.recipe, prepared.workspace, cell, folder, None)
        return prepared, cell, folder

    return _train


def test_the_trial_trains_on_no_row_it_is_validated_on_and_on_no_test_row(engine, train):
    engine["losses"] = [5.0, 4.0, 3.0, *[4.0] * PATIENCE]
    prepared, cell, _ = train("sft-steps")
    trial, final = engine["trainings"]
    validation = set(map(tuple, engine["validated"]))
    assert len(validation) == 1  # the same rows at each look
    (held,) = validation
    rows = {record.id for record in cell.records}
    test = {record.id for record in prepared.inputs.splits[0].test}
    assert (len(rows), len(held)) == (6, 1)
    assert set(held) < rows
    assert set(trial[1]) == rows - set(held)
    assert not test & ({*trial[1], *final[1], *held})
    # 6 x 4 + 8 rows in 7 steps of 5: the trial may take as many as tell
    assert len(trial[1]) == len(cell.rows) == 32
    counts = Counter(trial[1])
    assert max(counts.values()) - min(counts.values()) <= 1


def test_the_adapter_is_trained_afresh_on_all_rows_for_the_steps_found(engine, train):
    engine["losses"] = [5.0, 4.0, 3.0, *[4.0] * PATIENCE]
    _, cell, folder = train("sft-steps")
    label, ids, _ = engine["trainings"][1]
    assert label == "train sft-steps seed 0 fold 1"
    name = "whole/sft-steps seed 0 fold 1"  # what experiment trackers tell the trainings apart by
    assert engine["names"] == [f"{name} trial", name]
    assert len(ids) == 3 * 5
    assert set(ids) == {record.id for record in cell.records}
    assert stopped_at(folder) == 3
    found = json.loads((folder / "early_stop.json").read_text("utf-8"))
    assert (found["step"], found["num_steps"], found["validation_rows"]) == (3, 7, 1)
    assert [entry["step"] for entry in found["seen"]] == [*range(1, 4 + PATIENCE)]


def test_where_the_loss_falls_to_the_end_it_takes_as_many_steps_as_tell(engine, train):
    engine["losses"] = [float(n) for n in range(9, 2, -1)]
    _, cell, folder = train("sft-steps")
    assert len(engine["trainings"][1][1]) == len(cell.rows)
    assert stopped_at(folder) is None


def test_twins_stay_on_one_side_of_the_rows_the_stop_is_found_by(engine, train, project):
    project.write("task.jsonl", project.twins())
    for seed in range(4):
        engine["losses"] = [1.0] * 99
        _, cell, _ = train("sft-steps", seed=seed, output_dir=f"runs/{seed}")
        held = set(engine["validated"][-1])
        twin_of = {str(i): str(i + 1 if i % 2 else i - 1) for i in range(1, 25)}
        rows_here = {record.id for record in cell.records}
        assert held
        assert {twin_of[row] for row in held} <= held
        assert {twin_of[row] for row in rows_here} <= rows_here


def test_twins_on_both_sides_of_the_rows_the_stop_is_found_by_are_told(engine, train, project):
    words = [f"{a}{b}{c}{a}" for a in "bdfgk" for b in "aei" for c in "lmnr"]
    text = "the parcel that i ordered for my sister has not come and my reference is"
    project.write("task.jsonl", [(f"{text} {word}{i:02d}", "A") for i, word in enumerate(words)])
    engine["losses"] = [1.0] * 99
    _, _, folder = train("sft-steps")
    assert json.loads((folder / "early_stop.json").read_text("utf-8"))["parted_rows"] > 2
    assert was_stopped_by_twins(folder)
    project.write("task.jsonl", project.twins())
    _, _, folder = train("sft-steps", output_dir="runs/twins")
    assert not was_stopped_by_twins(folder)
    assert not was_stopped_by_twins(folder / "none")


def test_rows_that_are_all_alike_leave_nothing_to_stop_by(engine, train, project):
    project.write("task.jsonl", [("roses", "red"), ("ink", "blue")])
    _, cell, folder = train("sft-steps")
    assert [label for label, *_ in engine["trainings"]] == ["train sft-steps seed 0 fold 1"]
    assert engine["validated"] == []
    assert stopped_at(folder) is None


@pytest.mark.parametrize("arm", ["sft", "sft-plain", "tell"])
def test_the_other_arms_hold_nothing_out(engine, train, arm):
    _, cell, folder = train(arm)
    assert len(engine["trainings"]) == 1
    assert len(engine["trainings"][0][1]) == len(cell.rows)
    assert engine["validated"] == []
    assert stopped_at(folder) is None


def test_the_card_says_which_revision_and_precision_the_base_model_had(engine, train):
    _, _, folder = train("tell", model__revision="v1.1")
    card = json.loads((folder / "adapter/levertune.json").read_text("utf-8"))
    assert (card["revision"], card["dtype"]) == ("v1.1", "float32")


def test_the_seed_reaches_the_engine_and_the_card_the_adapter(engine, train):
    _, cell, folder = train("tell", seed=3)
    assert engine["trainings"][0][2].seed == 3
    card = json.loads((folder / "adapter/levertune.json").read_text("utf-8"))
    assert card["arm"] == "tell"
    assert card["anchor"]["text"] == cell.choice.anchor.text
    assert card["base_model"] == "tiny-llama"
    assert card["fingerprint"] == cell.manifest.fingerprint


def test_the_newest_whole_checkpoint_is_where_a_training_goes_on(tmp_path):
    def save(folder, step):
        place = folder / f"checkpoints/checkpoint-{step}"
        place.mkdir(parents=True)
        seal(place, step=step, position=step, fingerprint={})
        return place

    assert steps_behind(tmp_path) is None
    save(tmp_path / "trial", 5)
    assert steps_behind(tmp_path) == 5
    save(tmp_path, 10)
    newest = save(tmp_path, 20)
    assert steps_behind(tmp_path) == 20
    (newest / SEAL_FILE).unlink()
    assert steps_behind(tmp_path) == 10
