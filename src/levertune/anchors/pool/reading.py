"""Entries read from files of strangers: bounded, no link out of the folder, no YAML surprises."""

from __future__ import annotations

from pathlib import Path

from levertune.anchors.pool.entry import PoolEntry, build_entry
from levertune.data.home_folder import expand_home
from levertune.errors import DataError, RecipeError
from levertune.recipes.yaml_text import Document, parse_yaml

MAX_BYTES = 64 * 1024
ENDING = ".yaml"
MISNAMED_ENDING = ".yml"  # listed too, so that it is not passed over in silence
ENTRIES_FOLDER = "entries"


def read_pool_folder(
    folder: str | Path, *, shown: str | None = None, root: Path | None = None
) -> dict[str, PoolEntry]:
    """Read every entry of a folder.

    Args:
        folder: The folder: its `entries/` is read if it has one, else the files directly in it.
        shown: What to call it in errors; its path unless given.
        root: The folder that links may not lead out of; `folder` unless given.

    Returns:
        The entries by what to call their files, in the order of file names.

    Raises:
        DataError: If the folder is missing or empty, or a file of it is no entry.
    """
    place = expand_home(folder)
    return {
        name: read_entry(path, where=name, root=root or place)
        for name, path in list_entry_files(place, shown=shown, root=root).items()
    }


def list_entry_files(
    folder: Path, *, shown: str | None = None, root: Path | None = None
) -> dict[str, Path]:
    """The files of a pool folder that should be entries, by what to call them.

    Args:
        folder: As for `read_pool_folder`.
        shown: What to call it in errors; its path unless given.
        root: The folder that links may not lead out of; `folder` unless given.

    Raises:
        DataError: If the folder is missing, cannot be read or holds none, or its `entries/` is a
            link out of it.
    """
    name = shown or str(folder)
    try:
        if not folder.is_dir():
            what = "is a file, not a folder" if folder.exists() else "there is no such folder"
            raise DataError(f"{name}: {what}. Name a folder with one {ENDING} file an anchor.")
        inner = folder / ENTRIES_FOLDER
        place, name = (inner, f"{name}/{ENTRIES_FOLDER}") if inner.is_dir() else (folder, name)
        if place.is_symlink() and place == inner and not _leads_into(place, root or folder):
            raise DataError(
                f"{name}: is a link that leads out of its folder; found {str(place.resolve())!r}. "
                "Put the entries themselves there, or name that folder."
            )
        visible = sorted(p.name for p in place.iterdir() if not p.name.startswith("."))
    except OSError as error:
        raise _unreadable(name, error) from None
    endings = (ENDING, MISNAMED_ENDING)
    found = {f"{name}/{n}": place / n for n in visible if n.lower().endswith(endings)}
    if not found:
        raise DataError(
            f"{name}: the pool is empty: no {ENDING} file there; found {visible[:8]}. Put an entry "
            "into it, or name another folder."
        )
    return found


def read_entry(
    path: str | Path, *, where: str | None = None, root: Path | None = None
) -> PoolEntry:
    """Read one entry.

    Args:
        path: Its file.
        where: What to call the file in errors; its path unless given.
        root: The folder that links may not lead out of; that of the file unless given.

    Returns:
        The entry.

    Raises:
        DataError: If the file cannot be read safely or is no entry; the first fault is told.
    """
    name = where or str(path)
    document = read_document(Path(path), where=name, root=root)
    return build_entry(document.value, where=name, stem=Path(path).stem, lines=document.lines)


def read_document(path: Path, *, where: str, root: Path | None = None) -> Document:
    """Read the YAML of one entry, of plain values only.

    Args:
        path: Its file.
        where: What to call the file in errors.
        root: The folder that links may not lead out of; that of the file unless given.

    Returns:
        The values and their lines.

    Raises:
        DataError: If the file is missing, misnamed, no plain file, a link out of the folder, larger
            than 64 KiB, not UTF-8 or not YAML, or has an alias, a tag or a repeated key.
    """
    if path.suffix != ENDING:
        raise DataError(
            f"{where}: an entry's file ends in {ENDING}; found {path.name!r}. Rename it."
        )
    try:
        if path.is_symlink() and not _leads_into(path, root or path.parent):
            raise DataError(
                f"{where}: is a link that leads out of its folder or nowhere; found {path.name!r}. "
                "Put the file itself there."
            )
        if not path.is_file():  # a pipe would be waited for without end
            what = "is no plain file" if path.exists() else "there is no such file"
            raise DataError(f"{where}: {what}; found {path.name!r}. Put one file an anchor there.")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _unreadable(where, error) from None
    return parse_document(content, where=where)


def _unreadable(where: str, error: OSError) -> DataError:
    return DataError(f"{where}: cannot be read; {error.strerror}. Check its permissions.")


def _leads_into(link: Path, folder: Path) -> bool:
    try:
        return link.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # links in a ring: RuntimeError up to Python 3.12
        return False


def parse_document(content: bytes, *, where: str) -> Document:
    """Parse the YAML of one entry; errors as those of `read_document`.

    Args:
        content: The file's bytes.
        where: What to call the file in errors.

    Raises:
        DataError: If it is larger than 64 KiB, not UTF-8 or not YAML, or has an alias, a tag or a
            repeated key.
    """
    if len(content) > MAX_BYTES:
        raise DataError(
            f"{where}: is too large; an entry has at most {MAX_BYTES:,} bytes. Keep fewer or "
            "shorter examples."
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where}: is not UTF-8; found byte {content[error.start]:#04x} at offset "
            f"{error.start}. Save it as UTF-8."
        ) from None
    try:
        return parse_yaml(text, where)
    except RecipeError as error:  # the reader is the recipes'; the fault is one of a data file
        raise DataError(str(error)) from None
