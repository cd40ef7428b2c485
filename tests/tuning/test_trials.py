"""What a trial is made from, and what `tune` says of trials, with and without the engine."""

import json
import random
from pathlib import Path

import pytest

from levertune.cli.main import main
from levertune.data.leaks import find_leaks
from levertune.errors import DataError
from levertune.results.tuning import RowLoss, read_tuning
from levertune.runs.prepare import prepare_run
from levertune.selection import losses
from levertune.selection.gradients import GradientSettings, select_gradient
from levertune.training.train import TrainSummary
from levertune.tuning import contests
from levertune.tuning import trial as trial_module
from levertune.tuning.contests import INNER_FOLDS, make_contest
from levertune.tuning.tune import tune_recipe

RUN = Path("runs/whole")
AUTO = {
    "general__rows": "auto",
    "training__learning_rate": "auto",
    "training__effective_batch_size": 50,
    "training__save_steps": 50,
}


@pytest.fixture(scope="module", autouse=True)
def _on_cpu(on_cpu):
    """Every test here."""


def test_too_few_rows_for_the_inner_folds_are_not_laid_to_the_recipes_test(project):
    prepared = prepare_run(project.recipe(**AUTO, task__subset=2))
    with pytest.raises(DataError, match=r"^tune: needs at least 3 training .*fewer in 2 rows\."):
        make_contest(prepared, "tell", None, ["learning_rate"], None)


@pytest.fixture
def engine(monkeypatch):
    """Trains nothing: gives the losses that `curve` and `nll` plant for a cell."""
    planted = {"curve": lambda cell: [3.0, 0.5], "nll": lambda cell: 1.0, "folders": []}

    def train(recipe, workspace, cell, folder, progress, *, variant=""):
        planted["folders"].append(str(folder))
        curve = [{"step": float(i), "task_loss": x} for i, x in enumerate(planted["curve"](cell))]
        return TrainSummary(len(curve), len(curve), 1.0, curve)

    def measure(self, cell, folder, fold):
        rows = self._inputs.splits[fold].test
        return tuple(RowLoss(row.id, planted["nll"](cell), 1) for row in rows)

    monkeypatch.setattr(trial_module, "train_cell", train)
    monkeypatch.setattr(trial_module.Trials, "_measure", measure)
    monkeypatch.setattr(contests, "measure_rate", lambda recipe, workspace, cell: 1e6)
    return planted


@pytest.fixture
def trials(project):
    """The trials of a recipe whose general rows are asked for in full."""

    def _trials(what=("general",), **changes):
        prepared = prepare_run(project.recipe(**{**AUTO, **changes}))
        return make_contest(prepared, "tell", None, what, None).trials

    return _trials


def used(trials, fold):
    """Ids of the general rows that a trial of all of them trains on."""
    _, cell = trials.build({"general.rows": 99}, fold)
    return {row.id for rows in cell.general.values() for row in rows}


def leaky_rows(project):
    """General rows, of which the first are like task rows: one's prompt, one nearly, one inside."""
    draw = random.Random(4)
    words = ["".join(draw.choices("bdklmnrst", k=3)) + draw.choice("aeiou") for _ in range(120)]
    prompts = [" ".join(words[i : i + 10]) for i in range(0, 120, 10)]
    project.write("task.jsonl", [(prompt, "red") for prompt in prompts])
    rest = [(f"count to {i} and then to {i * 7}", f"{i}") for i in range(30)]
    leaky = [
        (prompts[0], "another answer"),
        (prompts[1].replace(words[14], "pretty"), "red"),
        (f"She said: {prompts[2]}! I agreed.", "no"),
    ]
    project.write("general.jsonl", [*leaky, *rest])


def test_general_rows_like_validation_rows_are_out_of_that_folds_pool_alone(project, trials):
    leaky_rows(project)
    made = trials(evaluation__general_heldout=0)
    splits = made._inputs.splits
    assert len(splits) == INNER_FOLDS
    for leaky, like in (("1", "1"), ("2", "2"), ("3", "3")):
        for fold, split in enumerate(splits):
            is_validated = like in {record.id for record in split.test}
            assert (leaky in used(made, fold)) != is_validated
    kept = trials(evaluation__general_heldout=0, general__test_leaks="keep")
    assert all({"1", "2", "3"} <= used(kept, fold) for fold in range(INNER_FOLDS))


def test_twins_stay_on_one_side_of_the_inner_folds(project, trials):
    project.write("task.jsonl", project.twins())
    splits = trials()._inputs.splits
    assert sum(len(split.test) for split in splits) == 24
    for split in splits:
        assert {int(record.id) + int(record.id) % 2 for record in split.test} == {
            int(record.id) for record in split.test if int(record.id) % 2 == 0
        }
        assert find_leaks(split.train, split.test) == []


def test_near_duplicates_that_the_inner_folds_part_are_told(project, engine):
    rows = [(f"what is the fee for a transfer of {i} crowns abroad", "red") for i in range(9)]
    project.write("task.jsonl", rows)
    said = []
    tune_recipe(project.recipe(**AUTO), what=["general"], dry_run=True, say=said.append)
    assert any("Near duplicates, by chains: 9 rows" in line for line in said)


def test_after_a_change_of_the_recipe_it_is_tuned_again_and_same_trials_are_found(project, engine):
    tune_recipe(project.recipe(**AUTO), what=["general"])
    first = read_tuning(RUN)
    assert len(engine["folders"]) == 6
    changed = {**AUTO, "training__lora_r": 4}
    assert any("again" in w for w in prepare_run(project.recipe(**changed)).warnings)
    tune_recipe(project.recipe(**changed), what=["general"])
    assert len(set(engine["folders"])) == 12
    assert read_tuning(RUN).fingerprint != first.fingerprint
    assert prepare_run(project.recipe(**changed)).tuning is not None
    tune_recipe(project.recipe(**AUTO), what=["general"])
    assert len(engine["folders"]) == 12
    # Another validation row is another trial, though the rows trained on may be the same.
    rows = (project.folder / "task.jsonl").read_text().splitlines()
    (project.folder / "task.jsonl").write_text(
        "\n".join([rows[0].replace("red", "blue"), *rows[1:]])
    )
    tune_recipe(project.recipe(**AUTO), what=["general"])
    assert len(engine["folders"]) == 18


def test_first_and_last_loss_are_means_over_a_tenth_of_the_lines(project, engine):
    engine["curve"] = lambda cell: [9.0, 3.0, *[2.0] * 16, 1.0, 0.0]
    tune_recipe(project.recipe(**AUTO), what=["general"])
    trial = json.loads(next((RUN / "tune").rglob("trial.json")).read_text())
    assert (trial["first_loss"], trial["last_loss"]) == (6.0, 0.5)


def test_a_collapse_is_said_by_tune_in_its_table_and_by_the_run(project, engine, capsys):
    project.write("general.jsonl", [(f"count {i}", f"{i} {i + 1}") for i in range(300)])
    engine["curve"] = lambda cell: [3.0, 2.5 if cell.num_general > 100 else 0.5]
    engine["nll"] = lambda cell: abs(cell.num_general / 8 - 5) + 1
    words = [project.recipe_file(**AUTO, general__loss_weight=0.5)]
    assert main(["tune", *words]) == 0
    out, err = capsys.readouterr()
    warning = r"tell, all training rows: from 20.0 general rows a task row on"
    assert f"warning: {warning}" in " ".join(err.split())
    assert "the task rows are hardly learnt: general data drown them." in " ".join(err.split())
    table = [line for line in out.splitlines() if "general.rows=" in line]
    stuck = [line for line in table if "general.rows=240" in line or "general.rows=298" in line]
    assert [("warning: hardly learns" in line) for line in table] == [
        line in stuck for line in table
    ]
    assert len(stuck) == 2
    _, cell = _cell_of(project, 240)
    share = cell.tokens.supervised_task / (
        cell.tokens.supervised_task + 0.5 * cell.tokens.supervised_general
    )
    assert any(f" {share:.0%} " in line for line in stuck)
    assert "general.rows=60" in table[0]
    assert "chosen" in table[0]
    prepared = prepare_run(project.recipe(**AUTO, general__loss_weight=0.5))
    assert any(w.startswith(warning) for w in prepared.warnings)
    assert prepared.recipe.general.rows == 60


def _cell_of(project, rows):
    recipe = project.recipe(**AUTO, general__loss_weight=0.5)
    trials = make_contest(prepare_run(recipe), "tell", None, ["general"], None).trials
    return trials.build({"general.rows": rows}, 0)


def test_a_selector_that_scores_rows_scores_each_once_for_all_amounts(
    project, engine, monkeypatch, tmp_path
):
    monkeypatch.setenv("LEVERTUNE_CACHE", str(tmp_path / "cache"))
    project.write("general.jsonl", [(f"count from {i}", f"{i} {i + 1}") for i in range(80)])
    scored = []
    real = losses.score_likelihood

    def score(model, rows, **options):
        scored.extend(tuple(row.input_ids) for row in rows)
        return real(model, rows, **options)

    monkeypatch.setattr(losses, "score_likelihood", score)
    recipe = project.recipe(**AUTO, general__select="loss")
    tuning = tune_recipe(recipe, what=["general"]).tuning
    assert len(tuning.choices[0].candidates) == 4
    assert scored
    assert len(scored) == len(set(scored))
    files = list((RUN / "selection").glob("loss-*.json"))
    assert len(files) > 2
    assert prepare_run(recipe).tuning is not None


@pytest.mark.parametrize("select", ["bm25", "rds", "dissimilar", "gradient"])
def test_every_selector_can_be_tuned_with(project, engine, select, monkeypatch, tmp_path):
    monkeypatch.setenv("LEVERTUNE_CACHE", str(tmp_path / "cache"))
    few = GradientSettings(lora_r=2, warm_up_steps=2, warm_up_rows=4, width=64)
    monkeypatch.setitem(select_gradient.__kwdefaults__, "settings", few)
    recipe = project.recipe(**AUTO, general__select=select)
    choice = tune_recipe(recipe, what=["general"]).tuning.choices[0]
    assert [c.settings["general.rows"] for c in choice.candidates] == [0, 16]
