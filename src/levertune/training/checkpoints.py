"""Checkpoints and log of a training: which one to resume from, and what belongs to it."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

from levertune.errors import RunError
from levertune.results.files import write_json_atomically, write_jsonl_atomically

FINGERPRINT_FILE = "fingerprint.json"
LOG_FILE = "train_log.jsonl"
CHECKPOINTS_FOLDER = "checkpoints"


def find_checkpoint(folder: Path, fingerprint: dict[str, Any]) -> tuple[Path, int] | None:
    """The newest whole checkpoint and its step; records the fingerprint of a fresh training.

    Raises:
        RunError: If the checkpoints belong to a training with another fingerprint.
    """
    path = folder / FINGERPRINT_FILE
    found = _whole_checkpoints(folder / CHECKPOINTS_FOLDER)
    if found and path.is_file():
        old = json.loads(path.read_text(encoding="utf-8"))
        changed = sorted(k for k in {*old, *fingerprint} if old.get(k) != fingerprint.get(k))
        if changed:
            listed = "; ".join(f"{k}: {old.get(k)!r} -> {fingerprint.get(k)!r}" for k in changed)
            raise RunError(
                f"{folder.name}: holds checkpoints of another training; changed: {listed}. "
                "Restore the setting, or name another output_dir."
            )
        return found[-1]
    # What is left of another training must not be resumed from later.
    remove_checkpoints(folder)
    (folder / LOG_FILE).unlink(missing_ok=True)
    write_json_atomically(path, fingerprint)
    return None


def _whole_checkpoints(folder: Path) -> list[tuple[Path, int]]:
    """Checkpoints whose last-written file is whole, oldest first; others are passed over."""
    found = []
    for path in folder.glob("checkpoint-*"):
        number = path.name.removeprefix("checkpoint-")
        with contextlib.suppress(OSError, ValueError):
            json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
            found.append((path, int(number)))
    return sorted(found, key=lambda pair: pair[1])


def remove_checkpoints(folder: Path) -> None:
    """Remove the checkpoints, but nothing that a logger of the user's keeps beside them."""
    checkpoints = folder / CHECKPOINTS_FOLDER
    for path in checkpoints.glob("checkpoint-*"):
        shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):  # not empty, or not there
        checkpoints.rmdir()


def read_log(path: Path, *, up_to: int) -> list[dict[str, float]]:
    """Log lines up to a step; those of steps that will be taken again are cut off the file."""
    if not path.is_file():
        return []
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    kept = [line for line in lines if line["step"] <= up_to]
    write_jsonl_atomically(path, kept)
    return kept
