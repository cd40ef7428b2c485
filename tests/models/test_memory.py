"""Memory that is free inside the process goes back; the cache of kernels is limited."""

import gc
import os
import subprocess
import sys

import pytest

from levertune.models.memory import limit_kernel_cache, release_unused_memory, settled_objects

CAPACITY = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"


def test_the_users_size_of_the_kernel_cache_stays(monkeypatch):
    monkeypatch.setenv(CAPACITY, "7")
    limit_kernel_cache()
    assert os.environ[CAPACITY] == "7"


def test_the_kernel_cache_is_limited_by_default(monkeypatch):
    monkeypatch.setenv(CAPACITY, "")  # so that it is undone afterwards
    monkeypatch.delenv(CAPACITY)
    limit_kernel_cache()
    assert int(os.environ[CAPACITY]) < 1024


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_gaps_between_objects_are_given_back():
    script = """
from levertune.models.memory import _find_trim, release_unused_memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

blocks = [bytes(100_000) for _ in range(2000)]
blocks = blocks[::20]  # holes between those that stay
before = resident()
release_unused_memory()
print(before - resident() if _find_trim() else 10**9)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) > 100_000_000


def test_releasing_is_harmless_anywhere():
    release_unused_memory()


def test_what_is_there_is_not_looked_through_again_while_training():
    with settled_objects():
        assert gc.get_freeze_count() > 1000
    assert gc.get_freeze_count() == 0
