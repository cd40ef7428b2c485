"""Going on with an interrupted run: what makes it another is refused by name, all else goes on."""

import contextlib
import dataclasses
import errno
import json
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from levertune import settings
from levertune.cli.main import main
from levertune.cli.terminal import Terminal
from levertune.errors import RunError
from levertune.models import hardware
from levertune.models.hardware import Hardware
from levertune.models.rendering import IGNORE_INDEX, ChatTokenizer
from levertune.results import folder_lock
from levertune.results.files import read_json
from levertune.results.folder_lock import hold_folder
from levertune.results.provenance import collect_provenance
from levertune.results.tuning import Tuning, write_tuning
from levertune.runs import run as run_module
from levertune.runs.run import run_recipe
from levertune.runs.same_recipe import CHOSEN_BY_DEVICE, describe_changes
from levertune.training.train import TrainSummary

RUN = Path("runs/whole")
TELL = RUN / "arms/tell/seed-0"


def interrupt():
    raise KeyboardInterrupt


@pytest.fixture(scope="module")
def begun(tmp_path_factory, new_project, on_cpu):
    """A run whose training was interrupted in its third step, on a model of its own."""
    project = new_project(tmp_path_factory.mktemp("begun"))
    with contextlib.chdir(project.folder):
        shutil.copytree(project.model, "model")
        (project.folder / "anchor.txt").write_text("Name a colour.")
        with pytest.raises(KeyboardInterrupt):
            run_recipe(recipe_of(project), progress=AtStep(3))
    assert (project.folder / TELL / "checkpoints/checkpoint-2/seal.json").is_file()
    return project


class AtStep:
    """Progress that interrupts a training after a step, or does something else to it."""

    def __init__(self, step, action=interrupt):
        self.step, self.action, self.warnings = step, action, []

    def stage(self, name, total, unit="step"):
        self.steps = 0 if name.startswith("train") else -10_000
        return contextlib.nullcontext(self)

    def advance(self, n=1, **info):
        self.steps += n
        if self.steps == self.step:
            self.action()

    def warn(self, text):
        self.warnings.append(text)


def recipe_of(project, **changes):
    settings = {
        "arms": ["tell"],
        "model__model_name_or_path": "./model",
        "anchor": {"text": "file:anchor.txt"},
        **changes,
    }
    return project.recipe(**settings)


@pytest.fixture
def copy(begun, project):
    """The interrupted run, copied into this test's project."""
    shutil.rmtree(project.folder, ignore_errors=True)
    shutil.copytree(begun.folder, project.folder)
    os.chdir(project.folder)
    return project


def change_task(project):
    project.write("task.jsonl", [("roses", "red"), *[(f"ink {i}", "blue") for i in range(11)]])


def change_general(project):
    project.write("general.jsonl", [(f"say {i}", str(i)) for i in range(30)])


def change_anchor(project):
    Path("anchor.txt").write_text("Say a colour.")


def change_weights(project):
    path = Path("model/model.safetensors")
    save_file({n: t + 1e-3 for n, t in load_file(path).items()}, path, {"format": "pt"})


def change_template(project):
    path = Path("model/chat_template.jinja")
    path.write_text(path.read_text() + " ")


def change_end_token(project):
    path = Path("model/tokenizer_config.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "eos_token": "<pad>"}))


@pytest.mark.parametrize(
    ("change", "named", "words"),
    [
        (change_task, "task_hash: ", "the task rows"),
        (change_general, "general_hashes.general: ", "the general rows"),
        (change_anchor, "anchor.id: ", "the anchor"),
        (change_weights, "model_hash: ", "the base model"),
        (change_end_token, "tokenizer_hash: ", "the tokenizer or its template"),
        (change_template, "tokenizer_hash: ", "the tokenizer or its template"),
    ],
)
def test_changed_files_are_refused_and_named(copy, change, named, words):
    change(copy)
    with pytest.raises(RunError) as caught:
        run_recipe(recipe_of(copy))
    line = str(caught.value)
    assert f"something else; {named}" in line or f"; {named}" in line
    assert words in line.partition("What changed: ")[2]
    assert line.endswith("Change it back, or choose another output_dir.")
    assert (TELL / "checkpoints/checkpoint-2").is_dir()


def test_rows_that_come_to_other_ids_or_labels_are_refused_and_named(copy, monkeypatch):
    """As under a levertune whose renderer has changed: neither file nor tokenizer has."""
    tokenize = ChatTokenizer.tokenize

    def without_end(self, example):
        row = tokenize(self, example)
        return dataclasses.replace(row, labels=(*row.labels[:-1], IGNORE_INDEX))

    monkeypatch.setattr(ChatTokenizer, "tokenize", without_end)
    with pytest.raises(RunError) as caught:
        run_recipe(recipe_of(copy))
    assert "; task_ids_hash: " in str(caught.value)
    assert "What changed: how task rows become tokens, the general rows. " in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"mixture__order": "even"}, "mixture.order: 'shuffle' -> 'even'"),
        ({"mixture__seed": 1}, "mixture.seed: 0 -> 1"),
        ({"anchor": {"text": "Which?"}}, "anchor.text: 'file:anchor.txt' -> 'Which?'"),
        ({"training__learning_rate": 0.02}, "training.learning_rate: 0.01 -> 0.02"),
        ({"training__effective_batch_size": 4}, "training.effective_batch_size: 5 -> 4"),
        ({"task__exposures": 2}, "task.exposures: 1 -> 2"),
        ({"model__dtype": "bfloat16"}, "model.dtype: 'float32' -> 'bfloat16'"),
    ],
)
def test_changed_settings_are_refused_and_named(copy, changes, named):
    with pytest.raises(RunError) as caught:
        run_recipe(recipe_of(copy, **changes))
    assert str(caught.value) == (
        f"{RUN}: holds the run of another recipe; changed: {named}. Change it back, or choose "
        "another output_dir."
    )


def test_how_it_is_logged_and_saved_may_change_and_the_end_is_the_same(copy, new_project):
    changes = {
        "training__logging_steps": 2, "training__save_steps": 3, "training__save_minutes": 1,
        "training__save_total_limit": 4, "training__gradient_checkpointing": True,
        "evaluation__batch_size": 2,
    }  # fmt: skip
    outcome = run_recipe(recipe_of(copy, **changes))
    assert not outcome.result.failures
    assert TrainSummary(**read_json(TELL / "training.json")).resumed_from == 2
    whole = recipe_of(copy, output_dir="runs/unbroken", **changes)
    run_recipe(whole)
    weights = "arms/tell/seed-0/adapter/adapter_model.safetensors"
    left, right = load_file(RUN / weights), load_file(Path("runs/unbroken") / weights)
    for name, tensor in left.items():
        torch.testing.assert_close(right[name], tensor, rtol=1e-4, atol=1e-6)


def test_another_device_keeps_the_precision_that_the_run_began_with(project, monkeypatch):
    def on_a_device_with(dtype):
        choose = {"auto": dtype, "float32": torch.float32, "bfloat16": torch.bfloat16}
        monkeypatch.setattr(
            hardware, "choose_hardware", lambda d="auto": Hardware("cpu", choose[d])
        )

    recipe = project.recipe(arms=["tell"], model__dtype="auto")
    on_a_device_with(torch.float32)
    with pytest.raises(KeyboardInterrupt):
        run_recipe(recipe, progress=AtStep(3))
    on_a_device_with(torch.bfloat16)
    run_recipe(recipe)
    assert TrainSummary(**read_json(TELL / "training.json")).resumed_from == 2
    assert read_json(TELL / "manifest.json")["training"]["dtype"] == "float32"
    assert "dtype: float32  # " in (RUN / "recipe.yaml").read_text()


def test_another_device_keeps_the_general_rows_that_the_run_began_with(project, monkeypatch):
    """On a CPU `auto` takes fewer."""
    recipe = project.recipe(arms=["tell"], general__rows="auto")
    with monkeypatch.context() as patch:
        patch.setattr(settings, "GENERAL_ROWS_ON_CPU", 7)
        with pytest.raises(KeyboardInterrupt):
            run_recipe(recipe, progress=AtStep(3))
    run_recipe(recipe)
    assert TrainSummary(**read_json(TELL / "training.json")).resumed_from == 2
    assert "rows: 7  # " in (RUN / "recipe.yaml").read_text()
    assert settings.GENERAL_ROWS_ON_CPU > 7


def test_all_that_auto_makes_of_a_device_may_change_or_is_kept(project):
    recipe = project.recipe(
        model__dtype="auto", general__rows="auto", task__exposures="auto",
        training__learning_rate="auto", training__gradient_checkpointing="auto",
        training__save_steps="auto", evaluation__max_new_tokens="auto",
        evaluation__batch_size="auto",
    )  # fmt: skip
    facts = [
        settings.Facts(5000, 20_000, 7_000_000_000, device, memory, 10, is_native)
        for device, memory, is_native in (("cpu", 16 << 30, False), ("cuda", 192 << 30, True))
    ]
    one, other = (settings.resolve_settings(recipe, f)[0].model_dump() for f in facts)
    assert {change.split(":")[0] for change in describe_changes(one, other)} == set(
        CHOSEN_BY_DEVICE
    )


def test_a_second_run_in_the_folder_is_refused_in_one_line(copy, capsys):
    words = ["run", copy.recipe_file(arms=["tell"], model__model_name_or_path="./model",
                                     anchor={"text": "file:anchor.txt"}), "--quiet"]  # fmt: skip
    with hold_folder(RUN, what="a run", warn=print):
        assert main(words) == 2
    err = capsys.readouterr().err
    assert f"error: {RUN}: a run or a tuning is under way in this folder already" in err
    assert err.count("\n") == 1


@pytest.fixture
def before_the_lock(monkeypatch):
    """Has something happen in a run folder after a run got ready and before it holds the lock."""

    def arrange(action):
        @contextlib.contextmanager
        def act_then_hold(folder, **options):
            action()
            with hold_folder(folder, **options):
                yield

        monkeypatch.setattr(run_module, "hold_folder", act_then_hold)

    return arrange


def test_a_recipe_that_came_before_the_lock_is_not_written_over(copy, before_the_lock):
    text = (RUN / "recipe.yaml").read_text()
    (RUN / "recipe.yaml").unlink()
    other = text.replace("learning_rate: 0.01", "learning_rate: 0.05")
    before_the_lock(lambda: (RUN / "recipe.yaml").write_text(other))
    with pytest.raises(RunError, match=r"changed: training.learning_rate: 0\.05 -> 0\.01"):
        run_recipe(recipe_of(copy), jobs=1)
    assert (RUN / "recipe.yaml").read_text() == other


def test_a_tuning_that_came_before_the_lock_is_not_passed_over(copy, before_the_lock):
    tuning = Tuning(("general.rows",), 0, "abc", (), collect_provenance())
    before_the_lock(lambda: write_tuning(RUN, tuning))
    with pytest.raises(RunError, match="was tuned by another process while this one got ready"):
        run_recipe(recipe_of(copy), jobs=1)


def test_a_cell_that_was_done_before_the_lock_is_not_done_again(
    finished_copy, before_the_lock, monkeypatch
):
    path = RUN / "arms/base/seed-0/cell.json"
    content = path.read_bytes()
    path.unlink()
    before_the_lock(lambda: path.write_bytes(content))
    monkeypatch.setattr(run_module, "do_cell", None)
    run_recipe(finished_copy.recipe(), jobs=1)
    assert path.read_bytes() == content


def test_a_run_says_that_its_file_system_has_no_locks(finished_copy, monkeypatch):
    def refuse(descriptor):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(folder_lock, "_lock", refuse)
    listener = AtStep(-1)
    run_recipe(finished_copy.recipe(), progress=listener)
    line = f"{RUN}: its file system has no locks; start no second run in it."
    assert line in listener.warnings


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
def test_a_signal_saves_the_step_and_ends_with_a_status_that_says_so(
    project, capsys, monkeypatch, request, number, status
):
    # A shell's background jobs ignore Ctrl-C, and so would this test there.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    recipe = project.recipe_file(arms=["tell"], training__save_steps=0, training__save_minutes=0)
    listener = AtStep(3, lambda: os.kill(os.getpid(), number))
    with monkeypatch.context() as patch:
        patch.setattr(Terminal, "progress", lambda self: listener)
        assert main(["run", recipe, "--jobs=1"]) == status
    err = capsys.readouterr().err
    assert err.endswith(f"What is done is kept; to go on: levertune run {recipe} --jobs=1\n")
    assert [path.name for path in (TELL / "checkpoints").iterdir()] == ["checkpoint-3"]
    assert main(["run", recipe, "--quiet", "--jobs=1"]) == 0
    assert read_json(TELL / "training.json")["resumed_from"] == 3
