"""Entries written whole or not at all, so that every text is read back character by character."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from levertune.anchors.pool.entry import PoolEntry
from levertune.anchors.pool.reading import ENDING, ENTRIES_FOLDER, MAX_BYTES, read_entry
from levertune.data.home_folder import expand_home
from levertune.errors import DataError
from levertune.recipes.yaml_text import format_value
from levertune.results.files import write_text_atomically

_INDENT = "  "


def write_entry(folder: str | Path, entry: PoolEntry, *, overwrite: bool = False) -> Path:
    """Write an entry as `ID.yaml`.

    Args:
        folder: The pool's folder, as `find_entry_file` takes it.
        entry: The entry.
        overwrite: Whether to replace an entry of that id with another text, or with evidence that
            this one lacks.

    Returns:
        The file.

    Raises:
        DataError: If the entry is too large for a file, or there is one of that id with another
            text or with evidence that would be lost.
        RunError: If the place cannot be written to.
    """
    path = find_entry_file(folder, entry.id)
    write_entry_file(path, entry, overwrite=overwrite)
    return path


def write_entry_file(path: Path, entry: PoolEntry, *, overwrite: bool = False) -> None:
    """Write an entry to a file of its own; arguments and errors as those of `write_entry`.

    Args:
        path: The file.
        entry: The entry.
        overwrite: Whether to replace an entry with another text, or with evidence that this one
            lacks.
    """
    text = format_entry(entry)
    size = len(text.encode("utf-8"))
    if size > MAX_BYTES:
        raise DataError(
            f"{path}: would be too large; found {size:,} bytes of at most {MAX_BYTES:,}. Keep "
            "fewer or shorter examples."
        )
    if path.exists() and not overwrite:
        _require_kept(read_entry(path), entry, path)
    write_text_atomically(path, text)


def find_entry_file(folder: str | Path, entry_id: str) -> Path:
    """Where an entry of a pool folder lies, or would: in its `entries/` if it has one.

    Args:
        folder: The folder, as `reading.read_pool_folder` takes it.
        entry_id: The entry's id.
    """
    place = expand_home(folder)
    inner = place / ENTRIES_FOLDER
    return (inner if inner.is_dir() else place) / f"{entry_id}{ENDING}"


def _require_kept(old: PoolEntry, new: PoolEntry, path: Path) -> None:
    if old.text != new.text:
        raise DataError(f"{path}: holds another text under the id {new.id!r}. Choose another id.")
    lost = {e.measurement for e in old.evidence} - {e.measurement for e in new.evidence}
    if lost:
        raise DataError(
            f"{path}: has measured gains that would be lost; found {len(lost)}. Add to the entry "
            "that is there instead."
        )


def format_entry(entry: PoolEntry) -> str:
    """The text of an entry's file."""
    return "\n".join(_lines(entry.to_mapping(), "")) + "\n"


def _lines(mapping: dict[str, Any], indent: str) -> Iterator[str]:
    for name, value in mapping.items():
        if isinstance(value, str) and _can_be_block(value):
            yield f"{indent}{name}: |-"
            for line in value.split("\n"):
                yield f"{indent}{_INDENT}{line}" if line else ""
        elif isinstance(value, tuple) and value and isinstance(value[0], dict):
            yield f"{indent}{name}:"
            for item in value:
                first, *others = _lines(item, indent + _INDENT * 2)
                yield f"{indent}{_INDENT}- {first.strip()}"
                yield from others
        else:
            yield f"{indent}{name}: {format_value(value)}"


def _can_be_block(text: str) -> bool:
    """Whether a text of several lines comes back unchanged from under `|-`; others are quoted."""
    return (
        "\n" in text
        and not text[0].isspace()
        and not text.endswith("\n")
        and all(character.isprintable() or character == "\n" for character in text)
        # A line of blanks alone could be taken for an empty one, or for indentation.
        and all(line.strip(" ") or not line for line in text.split("\n"))
    )
