"""The seal of a checkpoint: which files it holds and their checksums; written last."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from levertune.results.files import write_json_atomically

SEAL_FILE = "seal.json"
_FORMAT_VERSION = 1


class DamagedError(Exception):
    """A checkpoint that is not as it was written; the text says in what."""


def seal(folder: Path, *, step: int, position: int, fingerprint: dict[str, Any]) -> None:
    """Bring a checkpoint's files to the disk, then seal it.

    Args:
        folder: The checkpoint, all its files written.
        step: Optimizer steps it holds.
        position: First position of the training order that it does not hold.
        fingerprint: What the training depends on.

    Raises:
        RunError: If the disk is full.
        OSError: If a file cannot be read back.
    """
    content = {
        "format_version": _FORMAT_VERSION,
        "step": step,
        "position": position,
        "fingerprint": fingerprint,
        "files": {
            path.relative_to(folder).as_posix(): _describe(path, to_disk=True)
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != SEAL_FILE
        },
    }
    write_json_atomically(folder / SEAL_FILE, {"content": content, "sha256": _hash(content)})


def read_seal(folder: Path) -> dict[str, Any]:
    """The seal of a checkpoint, after every file of it has been compared with it.

    Args:
        folder: The checkpoint.

    Returns:
        `step`, `position`, `fingerprint` and `files`.

    Raises:
        DamagedError: If the seal or a file is missing, or not as it was written.
    """
    try:
        found = json.loads((folder / SEAL_FILE).read_text(encoding="utf-8"))
        content: dict[str, Any] = found["content"]
        is_whole = found["sha256"] == _hash(content)
    except FileNotFoundError as error:
        raise DamagedError(f"it has no {SEAL_FILE}: it was not written to its end") from error
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DamagedError(f"{SEAL_FILE} cannot be read") from error
    if not is_whole:
        raise DamagedError(f"{SEAL_FILE} does not have its checksum")
    for name, expected in content["files"].items():
        try:
            here = _describe(folder / name, to_disk=False)
        except OSError as error:
            raise DamagedError(f"{name} cannot be read") from error
        if here["bytes"] != expected["bytes"]:
            raise DamagedError(f"{name} has {here['bytes']} bytes, not {expected['bytes']}")
        if here != expected:
            raise DamagedError(f"{name} does not have its checksum")
    return content


def _describe(path: Path, *, to_disk: bool) -> dict[str, Any]:
    if to_disk:
        with path.open("r+b") as written:
            os.fsync(written.fileno())
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("ascii")).hexdigest()
