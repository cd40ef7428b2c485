import errno
import os

import numpy as np
import pytest

from levertune.errors import RunError
from levertune.selection.state_cache import StateCache


def block(*keys, width=4):
    keys = np.array(keys, dtype=np.uint64)
    states = (keys[:, None] * np.ones(width)).astype(np.float16)
    return keys, states


def test_what_was_added_is_found_by_another_cache_of_the_folder(tmp_path):
    cache = StateCache(tmp_path / "states")
    cache.add(*block(7, 3))
    cache.add(*block(5))
    for one in (cache, StateCache(tmp_path / "states")):
        wanted = np.array([5, 7, 3, 7], dtype=np.uint64)
        assert one.take(wanted)[:, 0].tolist() == [5, 7, 3, 7]
        assert one.holds(np.array([3, 4], dtype=np.uint64)).tolist() == [True, False]


def test_an_empty_cache_holds_nothing_and_a_missing_row_is_a_fault(tmp_path):
    cache = StateCache(tmp_path)
    keys = np.array([1], dtype=np.uint64)
    assert not cache.holds(keys).any()
    with pytest.raises(KeyError, match="never added"):
        cache.take(keys)
    assert cache.take(keys[:0]).shape[0] == 0


def test_a_block_that_was_not_finished_or_is_damaged_does_not_exist(tmp_path):
    cache = StateCache(tmp_path)
    cache.add(*block(1))
    cache.add(*block(2))
    cache.add(*block(3, 4))
    one, two, three = (sorted(tmp_path.glob(f"*{n:x}-*.keys.npy")) for n in (1, 2, 7))
    one[0].unlink()  # killed between the two files
    two[0].write_bytes(two[0].read_bytes()[:90])
    again = StateCache(tmp_path)
    assert again.holds(np.array([1, 2, 3, 4], dtype=np.uint64)).tolist() == [0, 0, 1, 1]
    np.save(three[0], np.arange(2.0))  # of another type
    assert not StateCache(tmp_path).holds(np.array([3], dtype=np.uint64)).any()


def test_a_full_disk_is_told_and_leaves_no_half_file(tmp_path, monkeypatch):
    def refuse(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(RunError, match=r"written to the cache; No space.*LEVERTUNE_CACHE"):
        StateCache(tmp_path).add(*block(1))
    assert list(tmp_path.iterdir()) == []
