import sys
from pathlib import Path

import pytest

from levertune.data.records import Message, Record

sys.path.insert(0, str(Path(__file__).parent))
from remote_stand_ins import BrittleFileSystem, WebServer


def make_record(prompt, completion, number=1, *, source="task", stratum="", system=None):
    turns = [Message("user", prompt)]
    if system is not None:
        turns.insert(0, Message("system", system))
    return Record(str(number), source, tuple(turns), completion, (), stratum, number)


@pytest.fixture
def rows():
    """Makes records of `(prompt, completion)` pairs, numbered from 1."""

    def _rows(*pairs, source="task"):
        return [
            make_record(prompt, completion, number, source=source)
            for number, (prompt, completion) in enumerate(pairs, start=1)
        ]

    return _rows


@pytest.fixture
def record():
    return make_record


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of the test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("LEVERTUNE_CACHE", str(folder))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return folder


@pytest.fixture
def web():
    """A web server on this machine."""
    with WebServer().running() as server:
        yield server


@pytest.fixture
def brittle():
    """A file system `brittle://` that can break off."""
    import fsspec

    fsspec.register_implementation("brittle", BrittleFileSystem, clobber=True)
    BrittleFileSystem.clear_instance_cache()
    BrittleFileSystem.store.clear()
    BrittleFileSystem.fail_after, BrittleFileSystem.read_bytes = None, 0
    return BrittleFileSystem


@pytest.fixture
def memory():
    """An empty `memory://`."""
    import fsspec

    file_system = fsspec.filesystem("memory")
    file_system.store.clear()
    yield file_system
    file_system.store.clear()
