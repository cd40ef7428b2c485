"""The seal of a checkpoint: which files it holds and their checksums; written last."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from levertune.errors import RunError
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
        RunError: If the system cannot read a file: that says nothing of what is in it.
    """
    text = _read_seal_text(folder)
    try:
        found = json.loads(text)
        content: dict[str, Any] = found["content"]
        is_whole = found["sha256"] == _hash(content)
    except (ValueError, TypeError, KeyError) as error:
        raise DamagedError(f"{SEAL_FILE} cannot be read") from error
    if not is_whole:
        raise DamagedError(f"{SEAL_FILE} does not have its checksum")
    compare_files(folder, content["files"])
    return content


def describe_file(path: Path) -> dict[str, Any]:
    """Size and checksum of a file, as seals hold them.

    Args:
        path: The file.

    Raises:
        OSError: If it cannot be read.
    """
    return _describe(path, to_disk=False)


def compare_files(folder: Path, files: Mapping[str, Any]) -> None:
    """Compare files with what they were when they were written.

    Args:
        folder: Their folder.
        files: What `describe_file` gave then, by the path below the folder.

    Raises:
        DamagedError: If one is missing, or not as it was.
        RunError: If the system cannot read one: that says nothing of what is in it.
    """
    for name, expected in files.items():
        try:
            here = describe_file(folder / name)
        except FileNotFoundError as error:
            raise DamagedError(f"{name} is missing") from error
        except OSError as error:
            raise _unreadable(folder, folder / name, error) from error
        if here["bytes"] != expected["bytes"]:
            raise DamagedError(f"{name} has {here['bytes']} bytes, not {expected['bytes']}")
        if here != expected:
            raise DamagedError(f"{name} does not have its checksum")


def _read_seal_text(folder: Path) -> bytes:
    path = folder / SEAL_FILE
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DamagedError(f"it has no {SEAL_FILE}: it was not written to its end") from error
    except OSError as error:
        raise _unreadable(folder, path, error) from error


def _unreadable(folder: Path, path: Path, error: OSError) -> RunError:
    return RunError(
        f"{path}: cannot be read; {error.strerror or error}. It stays where it is: run the same "
        f"command again once it can be read; if it never can, move {folder} away."
    )


def _describe(path: Path, *, to_disk: bool) -> dict[str, Any]:
    if to_disk:
        with path.open("r+b") as written:
            os.fsync(written.fileno())
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("ascii")).hexdigest()
