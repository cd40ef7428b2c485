"""Cells in processes of their own: the same run, and none of them outlives it."""

import signal
import subprocess
import sys
import time

import psutil
import pytest

from levertune.cli.main import main
from levertune.errors import ModelError, RunError
from levertune.results.full_disk import FullDiskError
from levertune.runs import pool
from levertune.runs.jobs import Jobs
from levertune.runs.pool import _error_of
from levertune.runs.run import run_recipe


@pytest.fixture(autouse=True)
def _one_thread_each(monkeypatch):
    """As every other whole run in the tests has; two jobs share two cores then."""
    monkeypatch.setenv("OMP_NUM_THREADS", "2")


@pytest.fixture
def whole(finished, snapshot):
    """What the unbroken run left that did its cells one after the other."""
    project, outcome, _ = finished
    return snapshot(project.folder / outcome.run_dir)


def workers():
    return [p for p in psutil.Process().children() if "levertune.runs.worker" in p.cmdline()]


def all_gone(processes):
    return not psutil.wait_procs(processes, timeout=20)[1]


class Listener:
    """Progress that notes the stages, and does something when one of them begins."""

    def __init__(self, at="", action=lambda: None):
        self.stages, self.done = {}, {}
        self.at, self.action = at, action

    def stage(self, name, total, unit="step"):
        import contextlib

        @contextlib.contextmanager
        def watched():
            self.stages[name] = total
            if self.at and name.startswith(self.at):
                self.action()
            yield _Stage(self.done, name)

        return watched()


class _Stage:
    def __init__(self, done, name):
        self.done, self.name = done, name

    def advance(self, n=1, **info):
        self.done[self.name] = self.done.get(self.name, 0) + n


def test_two_at_once_end_as_one_after_the_other(project, whole, snapshot):
    listener = Listener()
    said = []
    outcome = run_recipe(project.recipe(), jobs=2, progress=listener, say=said.append)
    assert snapshot(project.folder / outcome.run_dir) == whole
    assert "jobs: 2 cells at once (as asked for)" in said
    assert not workers()
    assert listener.stages.keys() == listener.done.keys()
    assert listener.done["train tell seed 0"] == listener.stages["train tell seed 0"]


def test_an_interrupt_lets_the_workers_go_and_the_rerun_ends_the_same(project, whole, snapshot):
    seen = []

    def interrupt():
        seen.extend(workers())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_recipe(project.recipe(), jobs=2, progress=Listener("train tell", interrupt))
    assert len(seen) == 2
    assert all_gone(seen)
    outcome = run_recipe(project.recipe(), jobs=1)
    assert snapshot(project.folder / outcome.run_dir) == whole


def test_ctrl_c_has_the_workers_save_what_they_have(project):
    """Nothing else would: there are no checkpoints by steps or minutes."""

    class Steps(dict):
        def __setitem__(self, name, count):
            super().__setitem__(name, count)
            if name.startswith("train") and count == 2:
                raise KeyboardInterrupt

    listener = Listener()
    listener.done = Steps()
    recipe = project.recipe(
        task__exposures=40, arms=["sft", "tell"], training__save_steps=0, training__save_minutes=0
    )
    with pytest.raises(KeyboardInterrupt):
        run_recipe(recipe, jobs=2, progress=listener)
    assert not workers()
    saved = [path.parent.name for path in project.folder.rglob("checkpoint-*/seal.json")]
    assert saved
    assert "checkpoint-0" not in saved


def test_a_worker_that_is_killed_is_named_and_the_rerun_ends_the_same(project, whole, snapshot):
    def kill_all():
        for worker in workers():
            worker.kill()

    with pytest.raises(RunError, match=r"arms/.*was killed \(signal 9\).*--jobs 1"):
        run_recipe(project.recipe(), jobs=2, progress=Listener("train tell", kill_all))
    outcome = run_recipe(project.recipe(), jobs=1)
    assert snapshot(project.folder / outcome.run_dir) == whole


def test_workers_die_with_a_run_that_is_killed(project):
    words = [sys.executable, "-m", "levertune.cli.main", "run", project.recipe_file(), "--jobs=2"]
    run = subprocess.Popen(words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    parent = psutil.Process(run.pid)
    deadline = time.monotonic() + 120
    children = []
    while len(children) < 2 and time.monotonic() < deadline and run.poll() is None:
        children = [p for p in parent.children() if "levertune.runs.worker" in p.cmdline()]
        time.sleep(0.05)
    assert len(children) == 2
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert all_gone(children)


@pytest.fixture
def scripted(tmp_path, monkeypatch, project):
    """Does cells with workers that follow a script: `answer(order)` prints their events."""

    def do(answer, folders):
        script = tmp_path / "worker.py"
        script.write_text(
            "import json, os, sys\n"
            "def say(**event): print(json.dumps(event), flush=True)\n"
            "sys.stdin.readline()\n"
            f"for line in sys.stdin:\n    cell = json.loads(line)['cell']\n    {answer}\n"
        )
        monkeypatch.setattr(pool, "worker_command", lambda _: [sys.executable, str(script)])
        listener = Listener()
        failures = pool.do_cells_in_workers(project.recipe(), folders, Jobs(2, 1, ""), listener)
        return failures, listener

    return do


def test_each_cell_is_done_once_and_failures_are_gathered(scripted):
    folders = [f"arms/tell/seed-{i}" for i in range(7)]
    failures, _ = scripted(
        "say(event='done', answer='ValueError: x' if cell[-1] in '25' else None)",
        folders,
    )
    assert sorted(f.cell for f in failures) == ["arms/tell/seed-2", "arms/tell/seed-5"]
    assert {f.reason for f in failures} == {"ValueError: x"}


def test_a_worker_that_just_leaves_is_a_fault(scripted):
    with pytest.raises(RuntimeError, match="doing arms/a ended with status 7"):
        scripted("os._exit(7)", ["arms/a"])


def test_an_error_in_a_worker_stops_the_others(scripted):
    answer = (
        "say(event='error', kind='ModelError', message='no model') if cell == 'bad' "
        "else __import__('time').sleep(60)"
    )
    started = time.monotonic()
    with pytest.raises(ModelError, match="no model"):
        scripted(answer, ["good", "bad"])
    assert time.monotonic() - started < 30


def test_what_the_user_must_mend_is_raised_here(project):
    manifest = project.folder / "runs/whole/arms/tell/seed-0/manifest.json"
    run_recipe(project.recipe(arms=["tell"], mixture__seed=1), jobs=1)
    before = manifest.read_bytes()
    (project.folder / "runs/whole/recipe.yaml").unlink()
    (manifest.parent / "cell.json").unlink()
    with pytest.raises(RunError, match=r"manifest\.json: .*mixture"):
        run_recipe(project.recipe(), jobs=2)
    assert manifest.read_bytes() == before
    assert not workers()


def test_errors_come_back_as_what_they_were():
    error = _error_of({"kind": "DataError", "message": "task.jsonl: is empty."})
    assert (type(error).__name__, str(error)) == ("DataError", "task.jsonl: is empty.")
    error = _error_of(
        {"kind": "full disk", "number": 28, "message": "the disk is full", "file": "cell.json"}
    )
    assert type(error) is FullDiskError
    assert (error.errno, error.strerror, error.filename) == (28, "the disk is full", "cell.json")
    error = _error_of({"kind": "fault", "message": "Traceback: boom"})
    assert type(error) is RuntimeError
    assert "boom" in str(error)


def test_a_number_of_jobs_that_is_none_is_refused(project, capsys):
    assert main(["run", project.recipe_file(), "--jobs", "none"]) == 2
    assert "must be auto or a number from 1; found 'none'" in capsys.readouterr().err
