"""Whole runs on a tiny model: what they leave, what a second call does, what is refused."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from levertune.errors import DivergedError, RunError, UserError
from levertune.models.rendering import ChatTokenizer
from levertune.recipes.loading import load_recipe
from levertune.results.cells import read_cell, read_predictions
from levertune.results.files import read_json, read_jsonl
from levertune.results.inputs import LeakInfo
from levertune.results.load import load_results
from levertune.results.schema import read_result
from levertune.runs import one_cell as cell_module
from levertune.runs import together as train_module
from levertune.runs.run import run_recipe

RUN = Path("runs/whole")
CELLS = ("arms/base/seed-0", "arms/sft-steps/seed-0", "arms/tell/seed-0")


@pytest.fixture
def result(finished):
    return finished[1].result


@pytest.fixture
def run_dir(finished):
    project, outcome, _ = finished
    return project.folder / outcome.run_dir


@pytest.fixture
def trainings(monkeypatch):
    """Labels of the trainings that took place."""
    labels = []
    train = train_module.train_adapter

    def note(*args, **kwargs):
        labels.append(kwargs["label"])
        return train(*args, **kwargs)

    monkeypatch.setattr(train_module, "train_adapter", note)
    return labels


ANSWERS_ALIKE = '''
import os
from types import SimpleNamespace
SamplingParams = lambda **options: options["stop_token_ids"][-1]

class LLM:
    def __init__(self, **options):
        """Loads nothing."""

    def generate(self, prompts, end, *, use_tqdm, lora_request):
        with open(os.environ["ASKED"], "a") as file:
            print(lora_request, file=file)
        one = SimpleNamespace(token_ids=[LETTER, end], finish_reason="stop", stop_reason=end)
        return [SimpleNamespace(outputs=[one])] * len(prompts)
'''


# What a run leaves.


def test_a_run_leaves_what_the_design_says(run_dir):
    assert {path.name for path in run_dir.iterdir()} == {
        "arms", "best", "dropped.jsonl", "leaks.jsonl", "recipe.yaml", "report.html", "result.json",
    }  # fmt: skip
    for cell in CELLS[1:]:
        assert {path.name for path in (run_dir / cell).iterdir()} >= {
            "adapter", "cell.json", "likelihoods.jsonl", "manifest.json", "predictions.jsonl",
            "train_log.jsonl",
        }  # fmt: skip
        assert not (run_dir / cell / "checkpoints").exists()
        assert not (run_dir / cell / "trial").exists()


def test_the_result_is_written_last_and_is_valid(run_dir, result):
    assert read_result(run_dir).arms == result.arms
    written = (run_dir / "result.json").stat().st_mtime_ns
    others = [p for p in run_dir.rglob("*") if p.is_file() and p.name != "report.html"]
    assert max(path.stat().st_mtime_ns for path in others) == written


def test_the_written_recipe_has_no_auto_left_and_says_why(run_dir, finished):
    recipe = load_recipe(run_dir / "recipe.yaml")
    assert recipe.evaluation.batch_size == 64
    assert recipe.task.metric == "macro_f1"
    text = (run_dir / "recipe.yaml").read_text("utf-8")
    assert re.findall(r"^ *(\w+): auto", text, re.MULTILINE) == ["text"]  # chosen in each fold
    assert "metric: macro_f1  # macro F1 weighs every label alike" in text


def test_every_arm_predicts_every_test_row(run_dir, result):
    for cell in CELLS:
        assert [row.id for row in read_predictions(run_dir / cell)] == list("123456")
    for arm in result.arms:
        assert arm.scores["macro_f1"].n == 6
        assert arm.unparseable.n == 6
        assert arm.nll["task"].n == 6
        assert (arm.nll["general_heldout"].n, arm.nll["retention"].n) == (2, 3)


def test_the_anchor_stands_on_the_prompts_of_tell_alone(run_dir):
    for cell in CELLS:
        prompts = [row.prompt for row in read_predictions(run_dir / cell)]
        anchored = [prompt.startswith("Answer with one of these labels") for prompt in prompts]
        assert set(anchored) == {"tell" in cell}


def test_the_base_model_comes_back_as_it_was(run_dir, result):
    base = result.arms[0]
    assert (base.arm, base.steps, base.tokens) == ("base", 0, None)
    assert base.kl_to_base["retention"] is None
    for arm in result.arms[1:]:
        assert arm.kl_to_base["retention"].value > 0


def test_sft_steps_takes_no_more_steps_than_tell(run_dir):
    cells = {cell: read_cell(run_dir / cell) for cell in CELLS[1:]}
    tell, steps = cells["arms/tell/seed-0"], cells["arms/sft-steps/seed-0"]
    assert tell.steps_taken == 4
    assert 1 <= steps.steps_taken <= 4
    assert (tell.general_rows, tell.exposures, tell.task_rows) == (8, 1, 12)
    assert (steps.general_rows, steps.task_rows) == (0, 12)


def test_tell_is_compared_with_every_arm_and_judged(result):
    pairs = {(c.arm, c.against) for c in result.comparisons}
    assert pairs == {("tell", "base"), ("tell", "sft-steps"), ("sft-steps", "base")}
    assert {c.metric for c in result.comparisons} >= {"macro_f1", "nll.task", "nll.retention"}
    assert result.verdict.against == "sft-steps"
    assert "6 test rows, 1 seed" in result.verdict.sentence


def test_what_was_dropped_is_listed_and_counted(run_dir, result):
    rows = read_jsonl(run_dir / "dropped.jsonl")
    assert rows == [{"id": "19", "source": "general", "reason": "has the prompt of test row '1'"}]
    assert (result.dropped.count, result.dropped.by_reason) == (1, {"has the prompt of test": 1})


def test_rows_like_others_are_listed_and_counted(run_dir, result):
    assert read_jsonl(run_dir / "leaks.jsonl") == [
        {
            "sets": "general-test", "id": "19", "source": "general", "like_id": "1",
            "like_source": "task", "kind": "prompt", "similarity": 1.0,
        }
    ]  # fmt: skip
    assert result.leaks == (LeakInfo("general-test", "prompt", 1, 1),)
    page = (run_dir / "report.html").read_text("utf-8")
    assert "general rows like test rows: 1 (1 prompt); 1 dropped" in page


def test_a_label_no_training_row_has_is_warned_of(finished):
    _, outcome, said = finished
    warning = "Labels of test rows that no training row has: 1 ('black')."
    assert warning in outcome.result.warnings
    assert f"warning: {warning}" in said


def test_what_was_chosen_is_said_before_the_work_starts(finished):
    _, _, said = finished
    text = "\n".join(said)
    for words in (
        "task: 12 rows (prompt/completion), 393 tokens in chat form; 6 test rows from test.jsonl",
        "kind: label", "anchor: 'Answer with", "evaluation.batch_size: 64",
        "cells: 3 (base, sft-steps, tell; seeds 0)", "estimate: about ",
    ):  # fmt: skip
        assert words in text


def test_it_ends_with_a_table_the_verdict_and_what_to_type(finished):
    _, outcome, _ = finished
    assert outcome.columns == (
        "arm", "macro F1", "task NLL", "retention NLL", "unparseable", "tokens", "steps", "time",
    )  # fmt: skip
    assert [row[0] for row in outcome.rows] == ["base", "sft-steps", "tell"]
    assert all(len(row) == len(outcome.columns) for row in outcome.rows)
    assert re.fullmatch(r"\d+\.\d \[\d+\.\d, \d+\.\d\]", outcome.rows[1][1])
    assert outcome.rows[0][5:7] == ("-", "-")
    assert outcome.verdict.startswith("TELL scored")
    assert outcome.next_command == f"levertune chat {RUN}"
    assert outcome.report_path == RUN / "report.html"


def test_the_result_carries_no_path_of_the_machine(finished, run_dir):
    project, _, _ = finished
    result = (run_dir / "result.json").read_text("utf-8")
    assert str(project.folder) not in result
    assert str(project.model.parent) not in result
    assert '"name": "tiny-llama"' in result


def test_results_load_as_a_table(finished):
    project, _, _ = finished
    table = load_results(str(project.folder / "runs/*"))
    assert sorted(table["arm"]) == ["base", "sft-steps", "tell"]
    assert table["done"].all()
    assert (table["num_test_rows"] == 6).all()


# Follows the printed lines in a process that has never heard of levertune.
USE_PRINTED_LINES = """
import sys
import torch
batch = tokenizer.apply_chat_template(
    [{"role": "user", "content": "roses"}],
    add_generation_prompt=True, return_tensors="pt", return_dict=True,
)
model.eval()
with torch.no_grad():
    adapted = model(**batch).logits
    with model.disable_adapter():
        plain = model(**batch).logits
assert not torch.equal(adapted, plain)
assert not [name for name in sys.modules if name.partition(".")[0] == "levertune"]
print("loaded", type(model).__name__)
"""


def test_the_printed_lines_load_the_best_adapter_with_peft_alone(finished):
    project, outcome, _ = finished
    lines = [line.strip() for line in outcome.lines if line.startswith("  ")]
    lines = [line for line in lines if "anchor" not in line]
    assert len(lines) == 5
    done = subprocess.run(
        [sys.executable, "-c", "\n".join([*lines, USE_PRINTED_LINES])],
        cwd=project.folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.stdout == "loaded PeftModelForCausalLM\n", done.stderr


def test_the_best_folder_is_the_best_arms_adapter_and_knows_its_anchor(run_dir, result):
    card = read_json(run_dir / "best" / "levertune.json")
    source = run_dir / "arms" / card["arm"] / "seed-0" / "adapter"
    for name in ("adapter_model.safetensors", "adapter_config.json", "levertune.json"):
        assert (run_dir / "best" / name).read_bytes() == (source / name).read_bytes()
    assert (card["anchor"] is None) == (card["arm"] != "tell")
    assert card["base_sha256"] == result.model.sha256


# A second call.


def test_a_second_call_trains_nothing(finished_copy, trainings, modified, snapshot):
    before, times = snapshot(RUN), modified(RUN)
    said = []
    run_recipe(finished_copy.recipe(), say=said.append)
    assert trainings == []
    assert modified(RUN) == times
    assert snapshot(RUN) == before
    assert any("3 are done and skipped" in line for line in said)
    assert not any(line.startswith("estimate") for line in said)


def test_a_run_folder_can_be_named_in_place_of_the_recipe(finished_copy, trainings, snapshot):
    before = snapshot(RUN)
    run_recipe(load_recipe(RUN / "recipe.yaml"))
    assert trainings == []
    assert snapshot(RUN) == before


def test_another_arm_and_another_seed_train_only_the_new_cells(finished_copy, trainings, modified):
    times = modified(RUN)
    arms = ["base", "sft-steps", "tell", "sft"]
    recipe = finished_copy.recipe(arms=arms, seeds=[0, 1])
    outcome = run_recipe(recipe)
    assert set(trainings) == {
        "train sft seed 0", "find the stop of sft-steps seed 1", "train sft-steps seed 1",
        "train tell seed 1", "train sft seed 1",
    }  # fmt: skip
    assert {name: modified(RUN)[name] for name in times if "best" not in name} == {
        name: time for name, time in times.items() if "best" not in name
    }
    by_arm = {arm.arm: arm for arm in outcome.result.arms}
    assert list(by_arm) == arms
    assert by_arm["tell"].seeds == (0, 1)
    assert by_arm["tell"].scores["macro_f1"].seeds == 2
    assert by_arm["base"].seeds == (0,)
    assert len(load_results(RUN)) == 7
    assert "2 seeds" in outcome.verdict


def test_a_changed_setting_is_refused_with_its_name_and_both_values(finished_copy):
    before = finished_copy.files()
    recipe = finished_copy.recipe(training__learning_rate=0.02)
    with pytest.raises(RunError, match=r"changed: training\.learning_rate: 0\.01 -> 0\.02\. "):
        run_recipe(recipe)
    assert finished_copy.files() == before


def test_settings_that_change_no_cell_may_change(finished_copy, trainings):
    run_recipe(
        finished_copy.recipe(
            arms=["tell", "base"], evaluation__batch_size=2, training__logging_steps=3
        )
    )
    assert trainings == []


def test_the_run_folder_of_another_task_is_refused(finished_copy):
    finished_copy.write("other.jsonl", [("a", "b"), ("c", "d"), ("e", "f")])
    with pytest.raises(RunError, match="holds the run of another recipe; changed: task.path"):
        run_recipe(finished_copy.recipe(task__path="other.jsonl"))


def test_task_rows_changed_under_the_same_name_are_refused(finished_copy):
    lines = Path("task.jsonl").read_text("utf-8").splitlines(keepends=True)
    Path("task.jsonl").write_text("".join(lines[:-1]), "utf-8")
    with pytest.raises(RunError, match="made from something else; task_hash: "):
        run_recipe(finished_copy.recipe())


def test_changed_test_rows_are_evaluated_again_with_the_adapters_there_are(
    finished_copy, trainings, modified
):
    times = modified(RUN)
    finished_copy.write("test.jsonl", [("tomato soup", "blue"), ("ivy", "green")])
    outcome = run_recipe(finished_copy.recipe())
    assert trainings == []
    assert {n: t for n, t in modified(RUN).items() if "best" not in n} == {
        n: t for n, t in times.items() if "best" not in n
    }
    assert {arm.scores["macro_f1"].n for arm in outcome.result.arms} == {2}


def test_a_file_where_the_run_folder_should_be_is_refused(project):
    Path("runs").write_text("a file", "utf-8")
    with pytest.raises(RunError, match=r"^runs: is a file\. Name a folder with output_dir="):
        run_recipe(project.recipe(output_dir="runs"))


# Cells that fail.


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("the\nmachine coughed"), "RuntimeError: the machine coughed"),
        (DivergedError("step 3: the loss is nan"), "DivergedError: step 3: the loss is nan"),
    ],
)
def test_a_cell_that_fails_keeps_its_reason_and_the_others_go_on(
    project, monkeypatch, trainings, error, reason
):
    train = cell_module.train_cell

    def fail(recipe, workspace, data, folder, progress):
        if data.plan.arm.name == "sft":
            raise error
        return train(recipe, workspace, data, folder, progress)

    monkeypatch.setattr(cell_module, "train_cell", fail)
    recipe = project.recipe(arms=["base", "sft", "tell"])
    outcome = run_recipe(recipe)
    folder = RUN / "arms/sft/seed-0"
    assert [(f.cell, f.reason) for f in outcome.result.failures] == [("arms/sft/seed-0", reason)]
    assert read_json(folder / "failure.json")["reason"] == reason
    assert "Traceback" in read_json(folder / "failure.json")["traceback"]
    assert f"failed: arms/sft/seed-0: {reason}" in outcome.lines
    assert [arm.arm for arm in outcome.result.arms] == ["base", "tell"]

    monkeypatch.setattr(cell_module, "train_cell", train)
    trainings.clear()
    outcome = run_recipe(recipe)
    assert trainings == ["train sft seed 0"]
    assert outcome.result.failures == ()
    assert [arm.arm for arm in outcome.result.arms] == ["base", "sft", "tell"]
    assert not (folder / "failure.json").exists()


def test_where_every_cell_fails_the_first_reason_is_the_error(project, monkeypatch):
    def fail(*args):
        raise RuntimeError("out of luck")

    monkeypatch.setattr(cell_module, "train_cell", fail)
    with pytest.raises(UserError, match="no cell finished; the first failed with: RuntimeError: o"):
        run_recipe(project.recipe(arms=["tell"]))
    assert not (RUN / "result.json").exists()


# Where the test rows come from.


def test_cross_validation_predicts_every_row_once_and_keeps_an_adapter_of_all_rows(
    project, trainings
):
    recipe = project.recipe(task__test="cv:2", arms=["base", "sft"])
    quick = run_recipe(recipe, quick=True)
    assert trainings == ["train sft seed 0 fold 1"]
    assert quick.result.verdict is None
    assert quick.verdict is None
    assert quick.next_command is None
    assert not (RUN / "best").exists()
    assert quick.result.task.test_rows == quick.result.arms[1].scores["macro_f1"].n == 6
    assert (RUN / "report.html").is_file()

    outcome = run_recipe(recipe)
    assert trainings[1:] == ["train sft seed 0 fold 2", "train sft seed 0"]
    for arm in ("base", "sft"):
        ids = [
            row.id
            for fold in (0, 1)
            for row in read_predictions(RUN / f"arms/{arm}/seed-0/fold-{fold}")
        ]
        assert sorted(ids, key=int) == [str(i) for i in range(1, 13)]
    assert outcome.result.arms[1].scores["macro_f1"].n == 12
    assert outcome.result.task.test_rows == 12
    assert {cell.task_rows for cell in map(read_cell, RUN.glob("arms/sft/seed-0/*"))} == {6}
    final = RUN / "final/sft/seed-0"
    assert read_json(final / "manifest.json")["plan"]["task_rows"] == 12
    weights = "adapter_model.safetensors"
    assert (RUN / "best" / weights).read_bytes() == (final / "adapter" / weights).read_bytes()
    assert any("trained on all rows" in line for line in outcome.lines)


def test_a_share_of_the_rows_is_held_out(project):
    outcome = run_recipe(project.recipe(task__test=0.25, task__subset=5, arms=["sft"]))
    cell = read_cell(RUN / "arms/sft/seed-0")
    assert (cell.num_test_rows, cell.task_rows) == (3, 5)
    assert outcome.result.task.test_mode == "holdout"
    assert outcome.result.verdict is None
    assert any("trained on the training rows" in line for line in outcome.lines)


@pytest.mark.parametrize(("quick", "is_trained"), [(False, True), (True, False)])
def test_a_cross_validation_counts_its_final_adapter_into_the_estimate(project, quick, is_trained):
    recipe = project.recipe(task__test="cv:3", arms=["base", "tell"])
    [line] = [s for s in run_recipe(recipe, quick=quick, dry_run=True).lines if "estimate" in s]
    assert ("the final adapter's among them" in line) == is_trained


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(project):
    before = project.files()
    outcome = run_recipe(project.recipe(), dry_run=True)
    assert project.files() == before
    assert not Path("runs").exists()
    text = "\n".join(outcome.lines)
    assert re.search(r"estimate: about \d+ (seconds|minutes), .* memory", text)
    assert "cells: 3 (base, sft-steps, tell; seeds 0)" in text
    assert outcome.result is None
    assert outcome.to_mapping() == {"lines": list(outcome.lines)}


def test_two_rows_can_be_cross_validated(project):
    """One row trains, so there is none to stop early by."""
    project.write("task.jsonl", [("roses", "red"), ("the sea", "blue")])
    recipe = project.recipe(task__test="cv:2", task__exposures=2, general__rows=2,
                            arms=["sft-steps"])  # fmt: skip
    outcome = run_recipe(recipe, quick=True)
    assert outcome.result.arms[0].scores[outcome.result.metrics.primary].n == 1
    assert outcome.result.arms[0].steps == 1


# Answers by vLLM, whose stand-in gives them all the same.


def test_other_answers_are_asked_for_without_training_again(
    finished_copy, trainings, tmp_path, monkeypatch
):
    tokenizer = ChatTokenizer.from_folder(finished_copy.model)
    letter = str(tokenizer.encode("a")[0])
    folder = tmp_path / "site"
    (folder / "vllm" / "lora").mkdir(parents=True)
    (folder / "vllm" / "__init__.py").write_text(ANSWERS_ALIKE.replace("LETTER", letter))
    (folder / "vllm" / "lora" / "__init__.py").write_text("")
    (folder / "vllm" / "lora" / "request.py").write_text("LoRARequest = lambda *words: words[2]")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setenv("ASKED", str(tmp_path / "asked.txt"))
    before = {cell: read_cell(RUN / cell) for cell in CELLS}
    run_recipe(finished_copy.recipe(evaluation__backend="vllm"))
    assert trainings == []
    asked = Path(tmp_path / "asked.txt").read_text().splitlines()
    adapters = [str((RUN / cell / "adapter").resolve()) for cell in CELLS[1:]]
    assert asked == ["None", *adapters]
    for cell in CELLS:
        assert {row.prediction for row in read_predictions(RUN / cell)} == {"a"}
        assert read_cell(RUN / cell).nll == before[cell].nll
    run_recipe(finished_copy.recipe())
    assert trainings == []
    assert {cell: read_cell(RUN / cell).scores for cell in CELLS} == {
        cell: one.scores for cell, one in before.items()
    }


def test_vllm_that_is_missing_is_refused_before_anything_is_written(project):
    with pytest.raises(UserError, match=r"evaluation.backend: vllm is not installed"):
        run_recipe(project.recipe(evaluation__backend="vllm"))
    assert not RUN.exists()
