"""A folder is one process's at a time, and free again however that process ended."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from levertune.errors import RunError
from levertune.results import folder_lock
from levertune.results.folder_lock import LOCK_FILE, hold_folder

HOLD = (
    "import sys, time\n"
    "from pathlib import Path\n"
    "from levertune.results.folder_lock import hold_folder\n"
    "with hold_folder(Path(sys.argv[1]), what='a run', warn=print):\n"
    "    print('held', flush=True)\n    time.sleep(60)\n"
)


def no_warning(text):
    raise AssertionError(text)


@pytest.fixture
def owner(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=-1)
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_process_is_refused_and_told_of_the_first(owner, tmp_path):
    message = f"run: a run is under way in this folder already; found process {owner.pid}. Wait"
    with (
        pytest.raises(RunError, match=message),
        hold_folder(tmp_path / "run", what="a run", warn=no_warning),
    ):
        pass


def test_the_lock_dies_with_an_owner_that_is_killed(owner, tmp_path):
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    assert (tmp_path / "run" / LOCK_FILE).is_file()  # what it left locks nothing
    with hold_folder(tmp_path / "run", what="a run", warn=no_warning):
        pass


def test_one_process_holds_a_folder_once_and_leaves_nothing(tmp_path):
    for _ in range(2):
        with hold_folder(tmp_path / "run", what="a run", warn=no_warning):
            with (
                pytest.raises(RunError, match=f"found process {os.getpid()}"),
                hold_folder(tmp_path / "run", what="a run", warn=no_warning),
            ):
                pass
            assert (tmp_path / "run" / LOCK_FILE).is_file()
        assert not list((tmp_path / "run").iterdir())


def test_a_lock_whose_file_was_removed_in_between_is_taken_anew(tmp_path, monkeypatch):
    lock, calls = folder_lock._lock, []

    def remove_then_lock(descriptor):
        if not calls:
            (tmp_path / LOCK_FILE).unlink()
        calls.append(descriptor)
        lock(descriptor)

    monkeypatch.setattr(folder_lock, "_lock", remove_then_lock)
    with hold_folder(tmp_path, what="a run", warn=no_warning):
        assert len(calls) == 2
        assert (tmp_path / LOCK_FILE).read_text() == str(os.getpid())


def test_a_file_system_without_locks_is_told_and_not_refused(tmp_path, monkeypatch):
    def refuse(descriptor):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(folder_lock, "_lock", refuse)
    told = []
    with hold_folder(tmp_path, what="a run", warn=told.append):
        assert told == [f"{tmp_path}: its file system has no locks; start no second run in it."]


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(RunError, match=r"its lock cannot be made; Not a directory|File exists"),
        hold_folder(tmp_path / "file", what="a run", warn=no_warning),
    ):
        pass
