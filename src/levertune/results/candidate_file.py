"""The file of candidates for the anchor, and the mark that says it was left unfinished.

A command that could not ask its model to the end writes what there is, and the same command goes on
later. It must then replace what it wrote, and nothing that anybody has changed since.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from levertune.errors import RunError
from levertune.results.files import read_json, write_json_atomically, write_jsonl_atomically


def write_candidates(
    path: Path, rows: Iterable[Mapping[str, Any]], *, is_unfinished: bool = False
) -> None:
    """Write candidates as JSON Lines.

    Args:
        path: The file.
        rows: The candidates as JSON objects.
        is_unfinished: Whether the same command is to go on, and may then replace the file.

    Raises:
        RunError: If a file cannot be written.
    """
    write_jsonl_atomically(path, rows)
    mark = mark_path(path)
    if is_unfinished:
        write_json_atomically(mark, {"file": path.name, "sha256": _hash(path)})
    else:
        mark.unlink(missing_ok=True)


def is_left_unfinished(path: Path) -> bool:
    """Whether a file holds what an unfinished command wrote, and no more.

    Args:
        path: The file, which is there.
    """
    mark = mark_path(path)
    try:
        return mark.is_file() and read_json(mark).get("sha256") == _hash(path)
    except (OSError, RunError):
        return False


def mark_path(path: Path) -> Path:
    """Where the mark stands: beside the file, as `candidates.unfinished.json`.

    Args:
        path: The file of candidates.
    """
    return path.with_name(f"{path.stem}.unfinished.json")


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
