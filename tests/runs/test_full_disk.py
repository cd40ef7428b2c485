"""A disk that fills up in training: one line, status 2, and the rerun ends as if unbroken."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from levertune.cli.main import main
from levertune.results.full_disk import FullDiskError
from levertune.runs import one_cell, pool, worker
from levertune.runs import together as train_module
from levertune.training import trainer as trainer_module

RUN = Path("runs/whole")
NO_ROOM = "Error while serializing: I/O error: No space left on device (os error 28)"


def fill_for_python(patch):
    def fill(*args, **kwargs):
        raise OSError(28, "No space left on device", "checkpoint-2")

    patch.setattr(train_module, "train_adapter", fill)


def fill_for_safetensors(patch):
    def fill(*args, **kwargs):
        raise SafetensorError(NO_ROOM)

    patch.setattr(trainer_module, "save_adapter", fill)


def fill_for_torch(patch):
    save = torch.save
    patch.setattr(torch, "save", lambda content, path: save(content, "/dev/full"))


def fill_for(name):
    """The disk is full when a file of that name is to get it."""

    def fill(patch):
        replace = os.replace

        def replace_or_fail(source, target, **options):
            if Path(target).name == name:
                raise OSError(28, "No space left on device")
            return replace(source, target, **options)

        patch.setattr(os, "replace", replace_or_fail)

    return fill


def fill_for_best(patch):
    """Copying a folder, Python gathers the errors of its files in one without a number."""
    copy = shutil.copyfile

    def copy_or_fail(source, target, **options):
        if "best.partial" in Path(target).parts:
            raise OSError(28, "No space left on device", str(target))
        return copy(source, target, **options)

    patch.setattr(shutil, "copyfile", copy_or_fail)


@pytest.mark.parametrize(
    ("fill", "line"),
    [
        (fill_for_python, "error: checkpoint-2: the disk is full. Free some space"),
        (fill_for_safetensors, "error: the disk is full. Free some space"),
        (fill_for_torch, "error: a file could not be written whole, most likely because the disk"),
        (fill_for_best, "error: the disk is full. Free some space"),
    ],
    ids=["Python", "safetensors", "torch", "best"],
)
def test_a_disk_that_fills_up_in_training_ends_the_run_in_one_line(
    project, finished, snapshot, capsys, fill, line
):
    if fill is fill_for_torch and not Path("/dev/full").is_char_device():
        pytest.skip("needs /dev/full")
    recipe = project.recipe_file()
    with pytest.MonkeyPatch.context() as patch:
        fill(patch)
        assert main(["run", recipe, "--quiet", "--jobs=1"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(line)
    assert err.endswith(f"type the same command again: levertune run {recipe} --quiet --jobs=1\n")
    assert_the_rerun_completes_it(err, recipe, finished, snapshot)


def assert_the_rerun_completes_it(err, recipe, finished, snapshot):
    assert err.count("\n") == 1
    assert not list(RUN.rglob("failure.json"))  # the disk is at fault, no cell is
    assert not list(RUN.rglob("*.partial"))  # it would keep the disk full
    assert not list(RUN.rglob(".tmp-*"))
    assert not (RUN / "result.json").exists()
    assert main(["run", recipe, "--quiet", "--jobs=1"]) == 0
    origin, outcome, _ = finished
    assert snapshot(RUN) == snapshot(origin.folder / outcome.run_dir)


@pytest.mark.parametrize(
    "name", ["training.json", "levertune.json", "predictions.jsonl", "cell.json", "result.json"]
)
def test_a_file_that_finds_no_room_is_named_and_the_rerun_completes_the_run(
    project, finished, snapshot, capsys, name
):
    recipe = project.recipe_file()
    with pytest.MonkeyPatch.context() as patch:
        fill_for(name)(patch)
        assert main(["run", recipe, "--quiet", "--jobs=1"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {RUN}/")
    assert f"{name}: the disk is full; the file was not written" in err
    assert_the_rerun_completes_it(err, recipe, finished, snapshot)


def test_any_other_error_of_these_libraries_is_a_failed_cell(project, monkeypatch, capsys):
    def fail(*args, **kwargs):
        raise SafetensorError("Error while serializing: invalid tensor view")

    monkeypatch.setattr(trainer_module, "save_adapter", fail)
    assert main(["run", project.recipe_file(arms=["base", "tell"]), "--quiet", "--jobs=1"]) == 1
    (failure,) = RUN.rglob(one_cell.FAILURE_FILE)
    assert "invalid tensor view" in json.loads(failure.read_text("utf-8"))["reason"]


def test_a_worker_says_that_the_disk_is_full(monkeypatch):
    """What `worker.serve` sends comes out of the pool as it went in."""

    def fill(*args):
        raise SafetensorError(NO_ROOM)

    sent = []
    monkeypatch.setattr(worker, "_work", fill)
    monkeypatch.setattr(worker.threading, "Thread", lambda **options: NoThread())
    monkeypatch.setattr(worker.os, "dup", lambda descriptor: descriptor)
    monkeypatch.setattr(worker.os, "dup2", lambda *descriptors: None)
    monkeypatch.setattr(worker.os, "fdopen", lambda *args, **options: Lines(sent))
    assert worker.serve(lambda first, progress: print) == 1
    error = pool._error_of(json.loads("".join(sent)))
    assert type(error) is FullDiskError
    assert (error.strerror, error.filename) == ("the disk is full", None)


class NoThread:
    def start(self):
        """Listen to nothing."""


class Lines:
    def __init__(self, sent):
        self._sent = sent

    def write(self, text):
        self._sent.append(text)

    def flush(self):
        """Nothing waits."""


# Runs in a process of its own, in which `runs` is a disk of two megabytes. It is filled up right
# before the library saves; what the library then raises is its own.
ON_A_SMALL_DISK = """
import os, sys
import torch
from levertune.cli.main import main
from levertune.training import trainer

def fill():
    with open("runs/ballast", "ab", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError as error:
            print("filled:", error.errno, file=sys.stderr)

def before(save):
    def fill_and_save(*args, **options):
        fill()
        return save(*args, **options)
    return fill_and_save

words = ["run", sys.argv[1], "--quiet", "--jobs=1"]
for owner, name in ((trainer, "save_adapter"), (torch, "save")):
    save = getattr(owner, name)
    setattr(owner, name, before(save))
    status = main(words)
    setattr(owner, name, save)
    print("status:", status, file=sys.stderr)
    os.unlink("runs/ballast")
print("status:", main(words), file=sys.stderr)
"""


@pytest.mark.slow
def test_a_disk_that_is_really_full_ends_the_run_in_one_line_and_the_rerun_completes_it(project):
    mount = "mount -t tmpfs -o size=2m levertune-test runs"
    (project.folder / "runs").mkdir()
    unshare = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*unshare, mount], capture_output=True, check=False).returncode
    ):
        pytest.skip("needs leave to mount a small disk")
    done = subprocess.run(
        [*unshare, f'{mount} && exec "$@"', "sh", sys.executable, "-c", ON_A_SMALL_DISK,
         project.recipe_file(arms=["base", "tell"])],
        capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    lines = done.stderr.splitlines()
    assert len(lines) == 7, done.stderr
    assert [lines[i] for i in (0, 2, 3, 5, 6)] == [
        "filled: 28", "status: 2", "filled: 28", "status: 2", "status: 0"
    ]  # fmt: skip
    assert lines[1].startswith("error: the disk is full. Free some space")
    assert "most likely because the disk is full. Free some space" in lines[4]
