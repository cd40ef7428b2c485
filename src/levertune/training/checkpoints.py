"""The checkpoints of a training: written whole or not at all, pruned, found again, put back."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from levertune.errors import RunError
from levertune.results.files import sync_folder
from levertune.training.seal import DamagedError, read_seal, seal

LOG_FILE = "train_log.jsonl"
CHECKPOINTS_FOLDER = "checkpoints"
STATE_FILE = "levertune_state.json"
"""In a checkpoint, beside the engine's own files: what levertune's loop keeps in memory."""

_STAGING = ".partial"
_KEPT_FOLDER = "kept"
_PREFIX = "checkpoint-"
_DAMAGED_PREFIX = "damaged-"


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The checkpoints of one training.

    Args:
        folder: The training's folder.
        fingerprint: What the training depends on, as flat JSON; a resume needs it equal.
        step_rows: Rows of a step.
        num_rows: Rows of the training.
        limit: How many are kept; older ones go.
        kept: Names of files in the folder that belong to the training's state, the log among them:
            each checkpoint holds a copy, and a resume puts it back.
    """

    folder: Path
    fingerprint: dict[str, Any]
    step_rows: int
    num_rows: int
    limit: int
    kept: tuple[str, ...] = (LOG_FILE,)

    @property
    def staging(self) -> Path:
        """Where a checkpoint is written before it is whole."""
        return self.folder / CHECKPOINTS_FOLDER / _STAGING

    def newest(self, *, up_to: int | None = None) -> Path | None:
        """The newest checkpoint there is, unread; of those up to a step, if one is given."""
        found = list_checkpoints(self.folder)
        return next((p for step, p in reversed(found) if up_to is None or step <= up_to), None)

    def drop_after(self, step: int) -> None:
        """Remove the checkpoints of later steps.

        Args:
            step: The last step whose checkpoint stays.
        """
        for saved, path in list_checkpoints(self.folder):
            if saved > step:
                shutil.rmtree(path, ignore_errors=True)

    def find(self, warn: Callable[[str], None]) -> tuple[Path, int] | None:
        """The newest whole checkpoint and its step.

        What was not written to its end is removed. A damaged one is set aside, so that a fault of
        the machine that reads it costs nothing for good; one at most, lest it fill the disk.

        Args:
            warn: Told of each damaged one, and of what is used in its place.

        Raises:
            RunError: If it belongs to a training with another fingerprint, the system cannot read
                it, or a damaged one cannot be set aside.
        """
        self.discard()
        damaged = []
        for step, path in reversed(list_checkpoints(self.folder)):
            try:
                found = read_seal(path)
            except DamagedError as error:
                damaged.append((path, error))
                continue
            self._require_same(found["fingerprint"])
            self._set_aside(damaged, f"The training goes on from {path.name}", warn)
            return path, step
        self._set_aside(damaged, "No checkpoint is whole: the training starts anew", warn)
        return None

    def _require_same(self, old: dict[str, Any]) -> None:
        new = self.fingerprint
        changed = [k for k in sorted({*old, *new}) if old.get(k) != new.get(k)]
        if changed:
            listed = "; ".join(f"{k}: {old.get(k)!r} -> {new.get(k)!r}" for k in changed)
            raise RunError(
                f"{self.folder.name}: holds checkpoints of another training; changed: {listed}. "
                "Restore the setting, or name another output_dir."
            )

    def _set_aside(
        self,
        damaged: Sequence[tuple[Path, DamagedError]],
        instead: str,
        warn: Callable[[str], None],
    ) -> None:
        """Keep the first, which is the newest, under another name; the others go."""
        for number, (path, reason) in enumerate(damaged):
            aside = path.with_name(_DAMAGED_PREFIX + path.name)
            if number == 0:
                _remove_all(path.parent, f"{_DAMAGED_PREFIX}*")
                try:
                    os.replace(path, aside)
                except OSError as error:
                    raise RunError(
                        f"{path}: is damaged; {reason}, and it cannot be set aside: "
                        f"{error.strerror or error}. Move it away, then run the same command again."
                    ) from error
                done = f"It is kept as {aside} until the training is done"
            else:
                shutil.rmtree(path, ignore_errors=True)
                done = "It is removed, since a newer damaged one is kept"
            warn(f"{path}: is damaged; {reason}. {done}. {instead}.")

    def publish(self, step: int, state: dict[str, Any]) -> None:
        """Give the checkpoint in `staging` its name, then remove those beyond the limit.

        Args:
            step: Optimizer steps it holds.
            state: What levertune's loop keeps in memory, as JSON.

        Raises:
            RunError: If the disk is full.
            OSError: Likewise, or if a file cannot be read.
        """
        written = self.staging / f"{_PREFIX}{step}"
        (written / STATE_FILE).write_text(json.dumps(state), encoding="utf-8")
        for name in self.kept:
            if (self.folder / name).is_file():
                (written / _KEPT_FOLDER).mkdir(exist_ok=True)
                shutil.copyfile(self.folder / name, written / _KEPT_FOLDER / name)
                sync_folder(written / _KEPT_FOLDER)
        position = min(step * self.step_rows, self.num_rows)
        seal(written, step=step, position=position, fingerprint=self.fingerprint)
        place = self.folder / CHECKPOINTS_FOLDER / written.name
        if place.exists():  # of the same step; it must not be missed for longer than it takes
            os.replace(place, self.staging / "replaced")
        os.replace(written, place)
        sync_folder(place.parent)
        self.discard()
        for _, path in list_checkpoints(self.folder)[: -self.limit]:
            shutil.rmtree(path, ignore_errors=True)

    def discard(self) -> None:
        """Remove what is left of a checkpoint that was not written to its end."""
        shutil.rmtree(self.staging, ignore_errors=True)

    def restore(self, checkpoint: Path | None) -> dict[str, Any]:
        """Put the kept files back as they were at a checkpoint, or remove them for a fresh start.

        Returns:
            What `publish` was given as state; empty for a fresh start.
        """
        for name in self.kept:
            copy = None if checkpoint is None else checkpoint / _KEPT_FOLDER / name
            if copy is None or not copy.is_file():
                (self.folder / name).unlink(missing_ok=True)
                continue
            partial = self.folder / f".{name}.partial"
            shutil.copyfile(copy, partial)
            os.replace(partial, self.folder / name)
        if checkpoint is None:
            return {}
        content: dict[str, Any] = json.loads((checkpoint / STATE_FILE).read_text("utf-8"))
        return content


def list_checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """Steps and folders of a training's checkpoints, oldest first; whether they are whole is open.

    Args:
        folder: The training's folder.
    """
    found = []
    for path in (folder / CHECKPOINTS_FOLDER).glob(f"{_PREFIX}*"):
        with contextlib.suppress(ValueError):
            found.append((int(path.name.removeprefix(_PREFIX)), path))
    return sorted(found)


def step_to_go_on_from(folder: Path) -> int | None:
    """The step of the newest whole checkpoint of a training; None if there is none.

    Args:
        folder: The training's folder.

    Raises:
        RunError: If the system cannot read one.
    """
    for step, path in reversed(list_checkpoints(folder)):
        with contextlib.suppress(DamagedError):
            read_seal(path)
            return step
    return None


def remove_checkpoints(folder: Path) -> None:
    """Remove the checkpoints, but nothing that a logger of the user's keeps beside them."""
    checkpoints = folder / CHECKPOINTS_FOLDER
    for name in (f"{_PREFIX}*", f"{_DAMAGED_PREFIX}*", _STAGING):
        _remove_all(checkpoints, name)
    with contextlib.suppress(OSError):  # not empty, or not there
        checkpoints.rmdir()


def read_log(folder: Path) -> list[dict[str, float]]:
    """The lines of a training's log; none if there is no log yet."""
    path = folder / LOG_FILE
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def _remove_all(folder: Path, pattern: str) -> None:
    for path in folder.glob(pattern):
        shutil.rmtree(path, ignore_errors=True)
