"""Checkpoints as folders: whole or not there, sealed, pruned, found again, put back."""

import errno
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from levertune.errors import RunError
from levertune.training import checkpoints as module
from levertune.training.checkpoints import (
    Checkpoints,
    list_checkpoints,
    read_log,
    remove_checkpoints,
    step_to_go_on_from,
)
from levertune.training.seal import SEAL_FILE, DamagedError, read_seal

WEIGHTS = "adapter_model.safetensors"


@pytest.fixture
def store(tmp_path):
    return Checkpoints(
        tmp_path / "cell", {"manifest": "abc"}, step_rows=4, num_rows=30, limit=2,
        kept=("train_log.jsonl", "decisions.jsonl"),
    )  # fmt: skip


@pytest.fixture
def save(store):
    def save(step, *, to=store, **state):
        folder = store.staging / f"checkpoint-{step}"
        (folder / "sharded").mkdir(parents=True)
        (folder / WEIGHTS).write_bytes(bytes([step]) * 5000)
        (folder / "sharded" / "part").write_bytes(b"part")
        with (store.folder / "train_log.jsonl").open("a") as log:
            log.write(json.dumps({"step": step}) + "\n")
        to.publish(step, state)

    return save


def no_warning(text):
    raise AssertionError(text)


def steps(store):
    return [step for step, _ in list_checkpoints(store.folder)]


def test_a_checkpoint_says_what_it_holds_and_of_what(store, save):
    save(4)
    found = read_seal(store.newest())
    assert (found["step"], found["position"]) == (4, 16)
    assert found["fingerprint"] == {"manifest": "abc"}
    assert set(found["files"]) == {
        WEIGHTS, "sharded/part", "levertune_state.json", "kept/train_log.jsonl"
    }  # fmt: skip
    save(8)
    assert read_seal(store.newest())["position"] == 30  # the last step may hold fewer rows


def test_the_newest_are_kept_and_older_ones_go(store, save):
    for step in (2, 10, 4):
        save(step)
        assert not store.staging.exists()
    assert steps(store) == [4, 10]


def test_a_step_saved_twice_is_the_later_one(store, save):
    save(4)
    save(4, first_loss=2.0)
    assert steps(store) == [4]
    assert store.restore(store.newest())["first_loss"] == 2.0


def test_what_belongs_to_the_state_is_put_back_as_it_was(store, save):
    save(2, last_logged=2)
    decisions = store.folder / "decisions.jsonl"
    decisions.write_text("a\n")
    save(4, last_logged=4)
    decisions.write_text("torn")
    (store.folder / "train_log.jsonl").write_text('{"step": 2}\n{"step": 4}\n{"st')
    assert store.restore(store.newest()) == {"last_logged": 4}
    assert decisions.read_text() == "a\n"
    assert read_log(store.folder) == [{"step": 2}, {"step": 4}]
    store.restore(list_checkpoints(store.folder)[0][1])
    assert not decisions.exists()  # there was none then
    assert read_log(store.folder) == [{"step": 2}]
    assert store.restore(None) == {}
    assert read_log(store.folder) == []


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "damage", "reason"),
    [
        (WEIGHTS, truncate, f"{WEIGHTS} has 2500 bytes, not 5000"),
        (WEIGHTS, flip_a_bit, f"{WEIGHTS} does not have its checksum"),
        (WEIGHTS, lambda path: path.unlink(), f"{WEIGHTS} is missing"),
        ("sharded/part", flip_a_bit, "sharded/part does not have its checksum"),
        (SEAL_FILE, truncate, f"{SEAL_FILE} cannot be read"),
        (SEAL_FILE, lambda path: path.write_text('{"content": []}'), f"{SEAL_FILE} cannot be read"),
        (
            SEAL_FILE,
            lambda path: path.write_text(path.read_text().replace('"step": 4', '"step": 6')),
            f"{SEAL_FILE} does not have its checksum",
        ),
        (SEAL_FILE, lambda path: path.unlink(), "it has no seal.json: it was not written to its"),
    ],
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(
    store, save, name, damage, reason
):
    save(2)
    save(4)
    damaged = store.newest()
    damage(damaged / name)
    with pytest.raises(DamagedError, match=re.escape(reason)):
        read_seal(damaged)
    assert step_to_go_on_from(store.folder) == 2
    told = []
    path, step = store.find(told.append)
    assert (path.name, step) == ("checkpoint-2", 2)
    (line,) = told
    assert line.startswith(f"{damaged}: is damaged; {reason}")
    aside = damaged.with_name("damaged-checkpoint-4")
    assert line.endswith(
        f"It is kept as {aside} until the training is done. The training goes on from checkpoint-2."
    )
    assert steps(store) == [2]
    assert aside.is_dir()
    remove_checkpoints(store.folder)
    assert not aside.parent.exists()


def test_one_damaged_checkpoint_at_most_is_kept_and_each_line_says_what_is_used(store, save):
    store = replace(store, limit=4)
    for step in (2, 4, 6):
        save(step, to=store)
    truncate(store.newest() / WEIGHTS)
    store.find(lambda text: None)
    for step in (6, 8):
        save(step, to=store)
    for _, path in list_checkpoints(store.folder)[1:]:
        truncate(path / WEIGHTS)
    told = []
    assert store.find(told.append)[1] == 2
    assert [line.split(": ")[0].rpartition("-")[2] for line in told] == ["8", "6", "4"]
    assert all(line.endswith("The training goes on from checkpoint-2.") for line in told)
    assert "It is kept as " in told[0]
    assert all("It is removed, since a newer damaged one is kept." in line for line in told[1:])
    names = {path.name for path in (store.folder / "checkpoints").iterdir()}
    assert names == {"checkpoint-2", "damaged-checkpoint-8"}


@pytest.mark.parametrize("name", [WEIGHTS, SEAL_FILE])
@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.ESTALE, errno.EACCES])
def test_a_file_that_the_system_cannot_read_stops_with_a_line_and_costs_no_checkpoint(
    store, save, monkeypatch, number, name
):
    """It says nothing of what is in the file: another time it may be read."""
    save(2)
    save(4)
    opened = Path.open

    def fail(self, *args, **options):
        if self.name == name:
            raise OSError(number, os.strerror(number), str(self))
        return opened(self, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", fail)
        message = f"{store.newest() / name}: cannot be read; {os.strerror(number)}. It stays"
        with pytest.raises(RunError, match=re.escape(message)):
            store.find(no_warning)
        with pytest.raises(RunError, match="cannot be read"):
            step_to_go_on_from(store.folder)
    assert steps(store) == [2, 4]
    assert store.find(no_warning)[1] == 4


def test_a_damaged_checkpoint_that_cannot_be_moved_stops_with_a_line(store, save, monkeypatch):
    save(2)
    truncate(store.newest() / WEIGHTS)

    def refuse(*args):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(RunError, match="and it cannot be set aside: Permission denied. Move it"):
        store.find(no_warning)
    assert steps(store) == [2]


def test_every_flipped_byte_of_a_seal_is_noticed(store, save):
    save(2)
    path = store.newest() / SEAL_FILE
    content = path.read_bytes()
    found = read_seal(store.newest())
    for place in range(0, len(content), 7):
        flipped = bytearray(content)
        flipped[place] ^= 1
        path.write_bytes(flipped)
        try:
            assert read_seal(store.newest()) == found  # white space, or the case of an escape
        except DamagedError:
            continue
        assert json.loads(flipped) == json.loads(content)


def test_where_all_are_damaged_the_training_starts_anew_and_says_so(store, save):
    save(2)
    truncate(store.newest() / WEIGHTS)
    told = []
    assert store.find(told.append) is None
    assert told[0].endswith("No checkpoint is whole: the training starts anew.")
    assert step_to_go_on_from(store.folder) is None


def test_what_was_not_written_to_its_end_is_no_checkpoint(store, save, monkeypatch):
    save(2)

    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, "seal", fail)
        with pytest.raises(OSError, match="No space"):
            save(4)
    assert steps(store) == [2]
    assert store.staging.exists()  # as after a kill
    assert store.find(no_warning)[1] == 2
    assert not store.staging.exists()


def test_another_training_is_refused_with_what_changed(store, save):
    save(2)
    other = Checkpoints(
        store.folder, {"manifest": "abd", "rows": 3}, step_rows=4, num_rows=30, limit=2
    )
    message = "^cell: holds checkpoints of another training; changed: manifest: 'abc' -> 'abd'; "
    with pytest.raises(RunError, match=message + "rows: None -> 3. Restore the setting, or name"):
        other.find(no_warning)
    assert steps(store) == [2]


def test_checkpoints_go_but_not_what_a_tracker_keeps_beside_them(store, save):
    save(2)
    store.staging.mkdir()
    beside = store.staging.parent / "runs"
    beside.mkdir()
    remove_checkpoints(store.folder)
    assert [path.name for path in beside.parent.iterdir()] == ["runs"]
    beside.rmdir()
    remove_checkpoints(store.folder)
    assert not beside.parent.exists()
