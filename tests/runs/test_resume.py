"""Runs that are interrupted or killed, and gone on with: bit for bit the unbroken run."""

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from levertune.cli.main import main
from levertune.cli.terminal import Terminal
from levertune.progress import SilentProgress
from levertune.runs import evaluate_cell as evaluate_module
from levertune.runs import run as run_module
from levertune.runs import train_cell as train_module
from levertune.runs.arms import ARMS
from levertune.runs.cells import CellPlan
from levertune.runs.prepare import prepare_run
from levertune.runs.run import run_recipe
from levertune.training import train as engine

RUN = Path("runs/whole")


def interrupt():
    raise KeyboardInterrupt


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def whole(finished, snapshot):
    """What the unbroken run left."""
    project, outcome, _ = finished
    return snapshot(project.folder / outcome.run_dir)


def test_a_run_interrupted_three_times_ends_as_an_unbroken_one(
    project, breaker, monkeypatch, capsys, whole, snapshot
):
    words = ["run", project.recipe_file()]
    resumed = {}
    for stage, step in (
        ("find the stop of sft-steps", 2),
        ("train tell", 3),
        ("answers of tell", 6),
    ):
        listener = breaker(stage, step, interrupt)
        monkeypatch.setattr(Terminal, "progress", lambda self, listener=listener: listener)
        assert main(words) == 130
        err = capsys.readouterr().err
        assert err.endswith("What is done is kept; to go on: levertune run recipe.yaml\n")
        resumed[stage] = [line for line in err.splitlines() if "was interrupted" in line]
        assert not (RUN / "result.json").exists()
    monkeypatch.undo()
    monkeypatch.chdir(project.folder)
    assert resumed["train tell"] == ["sft-steps seed 0 was interrupted: goes on from its step 1"]
    assert resumed["answers of tell"] == ["tell seed 0 was interrupted: goes on from its step 2"]
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["result"]["verdict"]["against"] == "sft-steps"
    assert snapshot(RUN) == whole


@pytest.mark.skipif(sys.platform != "linux", reason="forks with torch loaded")
def test_a_run_killed_again_and_again_ends_as_an_unbroken_one(
    project, breaker, monkeypatch, whole, snapshot
):
    def before(module, name, when=lambda *args: True):
        def set_trap():
            work = getattr(module, name)

            def trap(*args, **kwargs):
                if when(*args):
                    kill()
                return work(*args, **kwargs)

            monkeypatch.setattr(module, name, trap)

        return set_trap

    def is_stop(path, obj):
        return path.name == train_module.STOP_FILE

    def nothing():
        pass

    deaths = [
        (breaker("find the stop of sft-steps", 3, kill), nothing),
        (None, before(train_module, "write_json_atomically", is_stop)),  # the trial has ended
        (None, before(engine, "write_json_atomically")),  # its adapter is there, without its name
        (None, before(train_module, "write_card")),  # its adapter is there
        (breaker("train tell", 2, kill), nothing),
        (None, before(evaluate_module, "write_cell")),  # its predictions are there
        (None, before(run_module, "write_run_result")),
    ]
    for number, (listener, set_trap) in enumerate(deaths):
        child = os.fork()
        if child == 0:
            try:
                set_trap()
                run_recipe(project.recipe(), progress=listener)
            finally:
                os._exit(1)  # not killed
        assert wait(child) == signal.SIGKILL, number
        assert not (RUN / "result.json").exists()
    run_recipe(project.recipe())
    assert snapshot(RUN) == whole


def wait(child, seconds=60):
    """The signal that ended a child."""
    for _ in range(seconds * 20):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.WTERMSIG(status)
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    pytest.fail("the run did not get to the place where it was to be killed")


def test_the_final_adapter_goes_on_where_it_was_interrupted(project, breaker):
    """Only the final training has three steps: a fold's has two."""
    recipe = project.recipe(task__test="cv:2", general__rows=0, arms=["sft"])
    with pytest.raises(KeyboardInterrupt):
        run_recipe(recipe, progress=breaker("train sft seed 0", 3, interrupt))
    assert not (RUN / "best").exists()
    run_recipe(recipe)
    prepared = prepare_run(recipe)
    data = prepared.build(CellPlan(ARMS["sft"], 0), all_rows=True)
    other = Path("unbroken")
    train_module.train_cell(prepared.recipe, prepared.workspace, data, other, SilentProgress())
    weights = "adapter_model.safetensors"
    assert (RUN / "best" / weights).read_bytes() == (other / "adapter" / weights).read_bytes()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: os.truncate(path, 0), "adapter_model.safetensors has 0 bytes, not "),
        (lambda path: path.unlink(), "adapter_model.safetensors is missing"),
    ],
)
def test_an_adapter_that_is_not_as_it_was_written_is_trained_again(
    finished_copy, capsys, whole, snapshot, damage, reason
):
    """As a power cut would leave it on a disk that forgets what it has said it holds."""
    cell = RUN / "arms/tell/seed-0"
    damage(cell / "adapter/adapter_model.safetensors")
    (cell / "adapter/levertune.json").unlink()
    (cell / "cell.json").unlink()
    assert main(["run", finished_copy.recipe_file(), "--jobs=1"]) == 0
    assert f"{cell}/adapter: is damaged; {reason}" in capsys.readouterr().err
    assert snapshot(RUN) == whole


def _flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # it loads, and answers a little otherwise
    path.write_bytes(content)


def test_a_best_that_is_not_as_it_was_copied_is_copied_again(
    finished_copy, capsys, whole, snapshot
):
    _flip_a_bit(RUN / "best/adapter_model.safetensors")
    assert main(["run", finished_copy.recipe_file(), "--jobs=1"]) == 0
    line = f"{RUN}/best: is damaged; adapter_model.safetensors does not have its checksum. "
    assert line + "It is copied again." in " ".join(capsys.readouterr().err.split())
    assert snapshot(RUN) == whole


def test_no_damaged_adapter_becomes_the_best(finished_copy, capsys, whole, snapshot):
    """Its cell is finished, so nothing would look at it before it is served."""
    shutil.rmtree(RUN / "best")
    for adapter in RUN.glob("arms/*/seed-0/adapter"):  # whichever is the best
        _flip_a_bit(adapter / "adapter_model.safetensors")
    assert main(["run", finished_copy.recipe_file(), "--jobs=1"]) == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert "/seed-0/adapter: is damaged; adapter_model.safetensors does not have its" in line
    assert line.endswith("Train it again, with: levertune train")
    assert not (RUN / "best").exists()
    assert main(["train", finished_copy.recipe_file()]) == 0
    assert main(["run", finished_copy.recipe_file(), "--jobs=1"]) == 0
    assert snapshot(RUN) == whole
