import errno
import json
import os

import numpy as np
import pytest

from levertune.errors import RunError
from levertune.selection.state_cache import StateCache

SETTINGS = {"model": "tiny", "max_tokens": 64}


def block(*keys, width=4):
    keys = np.array(keys, dtype=np.uint64)
    states = (keys[:, None] * np.ones(width)).astype(np.float16)
    return keys, states


def test_what_was_added_is_found_by_another_cache_of_the_folder(tmp_path):
    cache = StateCache(tmp_path / "states", SETTINGS)
    cache.add(*block(7, 3))
    cache.add(*block(5))
    for one in (cache, StateCache(tmp_path / "states", SETTINGS)):
        wanted = np.array([5, 7, 3, 7], dtype=np.uint64)
        assert one.take(wanted)[:, 0].tolist() == [5, 7, 3, 7]
        assert one.holds(np.array([3, 4], dtype=np.uint64)).tolist() == [True, False]


def test_an_empty_cache_holds_nothing_and_a_missing_row_is_a_fault(tmp_path):
    cache = StateCache(tmp_path, SETTINGS)
    keys = np.array([1], dtype=np.uint64)
    assert not cache.holds(keys).any()
    with pytest.raises(KeyError, match="never added"):
        cache.take(keys)
    assert cache.take(keys[:0]).shape[0] == 0


def files_of(folder, ending):
    return sorted(folder.glob(f"*{ending}"))


def test_a_block_that_was_not_finished_does_not_exist_and_is_left_alone(tmp_path):
    StateCache(tmp_path, SETTINGS).add(*block(1))
    (facts,) = files_of(tmp_path, ".json")
    facts.unlink()  # killed before the last of the three files
    again = StateCache(tmp_path, SETTINGS)
    assert not again.holds(np.array([1], dtype=np.uint64)).any()
    assert again.num_removed == 0
    assert len(list(tmp_path.iterdir())) == 2


def another_setting(folder):
    (facts,) = files_of(folder, ".json")
    content = json.loads(facts.read_text("utf-8"))
    content["settings"]["model"] = "another"
    facts.write_text(json.dumps(content), "utf-8")


def another_format(folder):
    (facts,) = files_of(folder, ".json")
    facts.write_text(facts.read_text("utf-8").replace('"format": 2', '"format": 1'), "utf-8")


def other_states(folder):
    (states,) = files_of(folder, ".states.npy")
    np.save(states, np.load(states) + np.float16(1))


def cut_keys(folder):
    (keys,) = files_of(folder, ".keys.npy")
    keys.write_bytes(keys.read_bytes()[:90])


def no_facts(folder):
    (facts,) = files_of(folder, ".json")
    facts.write_text("[", "utf-8")


@pytest.mark.parametrize(
    "change", [another_setting, another_format, other_states, cut_keys, no_facts]
)
def test_a_block_that_is_not_as_it_was_written_is_removed_and_counted(tmp_path, change):
    StateCache(tmp_path, SETTINGS).add(*block(3, 4))
    change(tmp_path)
    again = StateCache(tmp_path, SETTINGS)
    assert again.num_removed == 1
    assert not again.holds(np.array([3, 4], dtype=np.uint64)).any()
    assert list(tmp_path.iterdir()) == []
    again.add(*block(3, 4))
    assert StateCache(tmp_path, SETTINGS).take(np.array([4], dtype=np.uint64))[0, 0] == 4


def test_two_processes_may_write_the_same_rows(tmp_path):
    first, second = (StateCache(tmp_path, SETTINGS) for _ in range(2))
    first.add(*block(5, 6))
    keys, states = block(5, 6)
    second.add(keys, states + np.float16(0.5))
    both = StateCache(tmp_path, SETTINGS)
    assert both.num_removed == 0
    assert both.take(keys)[0, 0] in (5, 5.5)


def test_a_full_disk_is_told_and_leaves_no_half_file(tmp_path, monkeypatch):
    def refuse(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(RunError, match=r"written to the cache; No space.*LEVERTUNE_CACHE"):
        StateCache(tmp_path, SETTINGS).add(*block(1))
    assert list(tmp_path.iterdir()) == []
