"""Tuning on the tiny model: inside training rows only, resumable, and taken up by the run."""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from levertune.cli.main import main
from levertune.errors import RecipeError, RunError
from levertune.results.cells import read_cell
from levertune.results.tuning import TUNING_FILE, RowLoss, Trial, write_tuning
from levertune.runs.arms import ARMS
from levertune.runs.prepare import prepare_run
from levertune.runs.run import run_recipe
from levertune.runs.tuned import tuned_settings
from levertune.tuning import trial as trial_module
from levertune.tuning.tune import _summarise, tune_recipe

RUN = Path("runs/whole")
AUTO = {
    "general__rows": "auto",
    "training__learning_rate": "auto",
    "training__effective_batch_size": 50,  # a step or two a trial: the tests are about the rest
    "training__save_steps": 50,
}


@pytest.fixture(scope="module", autouse=True)
def _on_cpu(on_cpu):
    """Every test here."""


def trial_files():
    return sorted((RUN / "tune").rglob("trial.json"))


def test_a_candidate_that_left_after_an_easy_fold_is_not_called_the_next_best():
    losses = {1: [0.3, 0.9, 0.9], 2: [0.31, 0.92, 0.91], 3: [0.5]}  # by candidate and fold
    trials = [
        [
            Trial(
                {"general.rows": rows}, fold, (RowLoss("a", loss, 1), RowLoss("b", loss + 0.1, 1)),
                10, rows, 100, None, None, None, None,
            )
            for fold, loss in enumerate(found)
        ]
        for rows, found in losses.items()
    ]  # fmt: skip
    contest = SimpleNamespace(anchor_tokens=lambda settings: None)
    found = _summarise(contest, trials, 0)
    assert [one.settings["general.rows"] for one in found] == [1, 2, 3]
    assert found[1].difference == pytest.approx(0.04 / 3)
    assert found[2].nll < found[1].nll  # of one easy fold


def test_general_rows_are_tuned_on_training_rows_alone_and_the_run_takes_them(project):
    said = []
    outcome = tune_recipe(project.recipe(**AUTO), what=["general"], progress=None, say=said.append)
    [choice] = outcome.tuning.choices
    assert (choice.arm, choice.fold) == ("tell", None)
    assert outcome.path == RUN / TUNING_FILE
    counts = {c.settings["general.rows"]: c for c in choice.candidates}
    # 12 task rows; of 19 general rows one equals a test row and two are held out.
    assert sorted(counts) == [0, 16]
    assert choice.candidates[0].settings == choice.settings
    assert choice.candidates[0].nll == min(c.nll for c in choice.candidates)
    assert choice.candidates[1].difference is not None
    ids = {row["id"] for path in trial_files() for row in json.loads(path.read_text())["rows"]}
    assert len(ids) == 12
    assert all(c.folds == 3 for c in choice.candidates)
    trials = [json.loads(path.read_text()) for path in trial_files()]
    # A fold trains on two thirds of the rows, with as many general rows for each.
    assert {(t["train_rows"], t["general_rows"]) for t in trials} == {(8, 0), (8, 11)}
    assert any("candidates, 2 + 2 + 2 trials" in line for line in said)
    assert not list((RUN / "tune").rglob("adapter"))

    result = run_recipe(project.recipe(**AUTO, arms=["base", "tell"])).result
    assert read_cell(RUN / "arms/tell/seed-0").general_rows == choice.settings["general.rows"]
    setting = next(s for s in result.auto if s.key == "general.rows")
    assert setting.reason.startswith("levertune tune: ")
    # From its own folder, where no `auto` is left, the run is the same one.
    assert main(["run", str(RUN), "--quiet"]) == 0


def test_a_tuning_that_was_stopped_goes_on(project, monkeypatch):
    recipe = project.recipe(**AUTO)
    trained = []
    real = trial_module.train_cell

    def train(recipe, workspace, cell, folder, progress, **options):
        if len(trained) == 2:
            raise KeyboardInterrupt
        trained.append(str(folder))
        return real(recipe, workspace, cell, folder, progress, **options)

    monkeypatch.setattr(trial_module, "train_cell", train)
    with pytest.raises(KeyboardInterrupt):
        tune_recipe(recipe, what=["general"])
    assert not (RUN / TUNING_FILE).exists()
    monkeypatch.setattr(
        trial_module,
        "train_cell",
        lambda *args, **options: (trained.append(str(args[3])), real(*args, **options))[1],
    )
    tune_recipe(recipe, what=["general"])
    assert len(trained) == len(set(trained)) == 6


def test_each_fold_of_a_cross_validation_chooses_on_its_own_training_rows(project):
    recipe = project.recipe(**AUTO, task__test="cv:2")
    tuning = tune_recipe(recipe, what=["general"]).tuning
    assert [choice.fold for choice in tuning.choices] == [0, 1, None]
    splits = prepare_run(recipe).inputs.splits
    for fold, split in enumerate(splits):
        seen = {
            row["id"]
            for path in (RUN / "tune").rglob(f"fold-{fold + 1}/**/trial.json")
            if path.parts[5] == f"fold-{fold + 1}"
            for row in json.loads(path.read_text())["rows"]
        }
        assert seen
        assert not seen & {record.id for record in split.test}
    # Different choices for the folds are used fold by fold.
    values = {0: 2, 1: 5, None: 7}
    changed = [
        type(c)(c.arm, c.fold, {"general.rows": values[c.fold]}, c.candidates)
        for c in tuning.choices
    ]
    write_tuning(RUN, type(tuning)(**{**_fields(tuning), "choices": tuple(changed)}))
    prepared = prepare_run(recipe)
    cells = {p.fold: prepared.build(p) for p in prepared.plans if p.arm.name == "tell"}
    assert {fold: cell.num_general for fold, cell in cells.items()} == {0: 2, 1: 5}
    assert prepared.recipe.general.rows == 7


def test_a_baseline_that_was_not_tuned_takes_nothing_chosen_on_the_rows_it_is_tested_on(project):
    recipe = project.recipe(**AUTO, task__test="cv:2")
    tuning = tune_recipe(recipe, what=["learning_rate"]).tuning
    rates = {0: 1e-3, 1: 2e-3, None: 3e-3}
    changed = [
        type(c)(c.arm, c.fold, {"training.learning_rate": rates[c.fold]}, c.candidates)
        for c in tuning.choices
    ]
    write_tuning(RUN, type(tuning)(**{**_fields(tuning), "choices": tuple(changed)}))
    prepared = prepare_run(recipe)
    found = {
        (plan.arm.name, plan.fold): prepared.recipe_for(plan).training.learning_rate
        for plan in prepared.plans
        if plan.arm.is_trained
    }
    assert len({arm for arm, _ in found}) > 1
    assert found == {(arm, fold): rates[fold] for arm, fold in found}


def _fields(value):
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


def test_arms_are_tuned_apart_and_a_lopsided_comparison_is_warned_of(project):
    recipe = project.recipe(**AUTO)
    tune_recipe(recipe, what=["exposures"])
    assert prepare_run(recipe).tuning is None  # exposures were set by hand
    recipe = project.recipe(**AUTO, task__exposures="auto")
    project_dir = RUN / "tune"
    for path in sorted(project_dir.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    tune_recipe(recipe, what=["learning_rate"], arms=["tell"])
    warnings = prepare_run(recipe).warnings
    [warning] = [w for w in warnings if "tuned for one of tell and sft alone" in w]
    assert "levertune tune --what learning_rate --arm tell,sft." in warning
    tune_recipe(recipe, what=["learning_rate"], arms=["sft"])
    prepared = prepare_run(recipe)
    assert not any("alone" in w for w in prepared.warnings)
    assert {c.arm for c in prepared.tuning.choices} == {"tell", "sft"}
    tell, sft = (
        prepared.tuning.choice_for(arm, None).settings["training.learning_rate"]
        for arm in ("tell", "sft")
    )
    for arm, rate in (("tell", tell), ("sft", sft), ("sft-steps", sft), ("sft-plain", sft)):
        assert tuned_settings(prepared.tuning, ARMS[arm], None)["training.learning_rate"] == rate


def test_amounts_of_the_arm_with_equal_steps_are_those_of_tell():
    from levertune.results.provenance import collect_provenance
    from levertune.results.tuning import TunedChoice, Tuning

    choices = (
        TunedChoice("tell", None, {"general.rows": 9, "task.exposures": 4}, ()),
        TunedChoice("sft", None, {"task.exposures": 2, "training.learning_rate": 0.1}, ()),
    )
    keys = ("general.rows", "task.exposures", "training.learning_rate")
    tuning = Tuning(keys, 0, "f", choices, collect_provenance())
    assert tuned_settings(tuning, ARMS["tell"], None) == choices[0].settings
    assert tuned_settings(tuning, ARMS["sft"], None) == {
        "general.rows": 9, "task.exposures": 2, "training.learning_rate": 0.1
    }  # fmt: skip
    assert tuned_settings(tuning, ARMS["sft-steps"], None) == {
        "general.rows": 9, "task.exposures": 4, "training.learning_rate": 0.1
    }  # fmt: skip


def test_a_tuning_for_other_rows_or_set_by_hand_is_not_used_and_said(project):
    tune_recipe(project.recipe(**AUTO), what=["general"])
    prepared = prepare_run(project.recipe(**{**AUTO, "general__rows": 3}))
    assert prepared.tuning is None
    assert any("general.rows is set by hand" in w for w in prepared.warnings)
    rows = [(f"a thing {i}", "red") for i in range(9)]
    project.write("task.jsonl", [*rows, ("another", "blue"), ("more", "green")])
    prepared = prepare_run(project.recipe(**AUTO))
    assert prepared.tuning is None
    assert any("was made for other rows" in w for w in prepared.warnings)


def test_a_key_set_by_hand_is_warned_of_before_it_is_tuned_and_not_promised_after(
    project, capsys, monkeypatch
):
    recipe = {**AUTO, "training__learning_rate": 0.01, "evaluation__anchor": None}
    words = ["tune", project.recipe_file(**recipe), "--what", "learning_rate"]
    told = (
        "warning: training.learning_rate is set by hand, and `levertune run` will keep that value"
    )
    assert main([*words, "--dry-run"]) == 0
    shown = capsys.readouterr().err
    assert f"{told}. Set it to auto" in shown
    assert "warning: Test prompts of tell have no anchor" in shown  # as a run warns
    # The one in the recipe is chosen, which a run takes: nothing is lost.
    fixed = {0.01: 0.0, 0.0025: 2.0}
    monkeypatch.setattr(
        trial_module.Trials,
        "run",
        lambda self, settings, fold: make_trial(
            settings, fold, fixed.get(settings["training.learning_rate"], 1.0)
        ),
    )
    assert main(words) == 0
    assert "next: levertune run" in capsys.readouterr().err
    fixed[0.01] = 3.0
    assert main(words) == 0
    shown = capsys.readouterr().err
    assert "next: levertune run" not in shown
    assert "levertune run will take none of this: training.learning_rate is set by hand" in shown


def make_trial(settings, fold, nll, *, failure=None):
    """A trial of which only the loss, or its failure, is known."""
    rows = () if failure else tuple(RowLoss(str(i), nll, 1) for i in range(4))
    return Trial(
        settings=dict(settings), fold=fold, rows=rows, train_rows=8, general_rows=8,
        task_loss_share=None, train_tokens=1, first_loss=None, last_loss=None, seconds=None,
        failure=failure,
    )  # fmt: skip


@pytest.mark.parametrize("what", ["learning_rate", "general"])
def test_where_no_candidate_could_be_trained_none_is_chosen(project, monkeypatch, what):
    failure = "step 3: the loss is nan. Set a lower learning rate."
    monkeypatch.setattr(
        trial_module.Trials,
        "run",
        lambda self, settings, fold: make_trial(settings, fold, 1.0, failure=failure),
    )
    with pytest.raises(RunError, match="^tell, all training rows: no candidate .*; found 'step"):
        tune_recipe(project.recipe(**AUTO), what=[what])
    assert not (RUN / TUNING_FILE).exists()


def test_a_budget_leaves_the_dearest_out_and_one_too_small_is_refused(project, monkeypatch):
    from levertune.tuning import contests

    monkeypatch.setattr(contests, "measure_rate", lambda recipe, workspace, cell: 1.0)
    project.write("general.jsonl", [(f"count {i}", f"{i} {i + 1}") for i in range(90)])
    said = []
    recipe = project.recipe(**AUTO)
    tune_recipe(recipe, what=["general"], dry_run=True, say=said.append)
    assert any("all training rows: 4 candidates" in line for line in said)
    minutes = int(re.search(r"at most about (\d+) minutes", said[-1])[1])
    said.clear()
    budget = 0.7 * 60 * minutes
    tune_recipe(recipe, what=["general"], budget_seconds=budget, dry_run=True, say=said.append)
    out = [line for line in said if "left out to meet the budget" in line]
    assert out[0].endswith("general.rows=88")
    assert any(f"{4 - len(out)} candidates" in line for line in said)
    found = r"--budget: is too small for two candidates; found 30 s, they take about \d+ min"
    with pytest.raises(RecipeError, match=found):
        tune_recipe(recipe, what=["general"], budget_seconds=30, dry_run=True)
    assert not RUN.exists()


@pytest.mark.parametrize(
    ("arms", "what", "message"),
    [
        (["base"], ["learning_rate"], "can be tuned for tell and sft; found 'base'"),
        (["sft"], ["general"], "--arm sft: has no general rows to tune"),
    ],
)
def test_arms_that_cannot_be_tuned_are_refused(project, arms, what, message):
    with pytest.raises(RecipeError, match=message):
        tune_recipe(project.recipe(), what=what, arms=arms)


def test_an_amount_in_tokens_leaves_no_rows_to_tune(project):
    recipe = project.recipe(general__rows=None, general__tokens=500)
    with pytest.raises(RecipeError, match=r"--what general: .*found 500\. Set general\.tok"):
        tune_recipe(recipe, what=["general"])


def test_the_command_shows_a_table_and_gives_json(project, capsys):
    words = ["tune", project.recipe_file(**AUTO)]
    assert main([*words, "--dry-run"]) == 0
    assert "trials" in capsys.readouterr().err
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "tell, all training rows" in out
    assert "chosen" in out
    assert main([*words, "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["keys"] == ["general.rows"]
    assert main([*words, "--budget", "soon"]) == 2
    assert "must be a time such as 30m or 2h; found 'soon'" in capsys.readouterr().err


def found_in(folder):
    """What the trials found, their times aside."""
    return {
        path.relative_to(folder): {**json.loads(path.read_text()), "seconds": None}
        for path in folder.rglob("trial.json")
    }


def test_two_trials_at_once_end_as_one_after_the_other(project, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    recipe = project.recipe(**AUTO)
    one = tune_recipe(recipe, what=["general"], jobs=1).tuning
    alone = found_in(RUN)
    shutil.rmtree(RUN)
    said = []
    two = tune_recipe(recipe, what=["general"], jobs=2, say=said.append).tuning
    assert found_in(RUN) == alone
    assert two.choices == one.choices
    assert "jobs: 2 trials at once (as asked for)" in said
    told = [line for line in said if ", fold " in line]
    assert len(told) == len(set(told)) == 6
    # What is done is found by workers too.
    before = {path: path.stat().st_mtime_ns for path in trial_files()}
    assert tune_recipe(recipe, what=["general"], jobs=2).tuning.choices == one.choices
    assert {path: path.stat().st_mtime_ns for path in trial_files()} == before


def test_a_worker_that_is_killed_is_named_and_the_tuning_goes_on(project, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    recipe = project.recipe(**AUTO)

    def kill(line):
        if ", fold 1" in line:
            for worker in psutil.Process().children():
                if "levertune.tuning.worker" in worker.cmdline():
                    worker.kill()

    with pytest.raises(RunError, match=r"general\.rows=.*was killed \(signal 9\).*--jobs 1"):
        tune_recipe(recipe, what=["general"], jobs=2, say=kill)
    assert not (RUN / TUNING_FILE).exists()
    assert tune_recipe(recipe, what=["general"], jobs=1).tuning is not None
