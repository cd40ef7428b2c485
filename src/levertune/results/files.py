"""Files written whole or not at all, and JSON lines read back with the line of any fault."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from levertune.errors import RunError
from levertune.results.full_disk import find_full_disk


@contextmanager
def open_atomically(path: str | Path) -> Iterator[TextIO]:
    """Open a UTF-8 text file that appears under its name only when the block ends well.

    The text goes to a temporary file in the same folder (a rename is atomic only within one file
    system), is flushed to the disk and then takes the name. When the block raises, or the disk is
    full, the temporary file is removed and an earlier file of that name stays as it was. Missing
    parent folders are made.

    Args:
        path: Where the file should end up.

    Yields:
        The handle to write to.

    Raises:
        RunError: If the disk is full or the place cannot be written to.
    """
    target = Path(path)
    # Not tempfile.mkstemp: its files are private to the user whatever the umask says.
    temporary = target.with_name(f".tmp-{secrets.token_hex(8)}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "x", encoding="utf-8", newline="\n") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, target)
    except OSError as error:
        _remove(temporary)
        if error.filename is not None and Path(error.filename) not in (
            temporary,
            target,
            *target.parents,
        ):
            raise  # the block failed on a file of its own
        raise _write_error(target, error) from error
    except BaseException:
        _remove(temporary)
        raise
    sync_folder(target.parent)


def write_text_atomically(path: str | Path, text: str) -> None:
    """Write `text` to a file, whole or not at all.

    Args:
        path: The file.
        text: Its content.

    Raises:
        RunError: If the disk is full or the place cannot be written to.
    """
    with open_atomically(path) as handle:
        handle.write(text)


def write_json_atomically(path: str | Path, obj: Any) -> None:
    """Write an object as indented JSON, whole or not at all.

    Args:
        path: The file.
        obj: Anything JSON can hold. A missing number is None; NaN and infinity are refused.

    Raises:
        RunError: If the disk is full or the place cannot be written to.
        ValueError: If `obj` holds NaN or infinity.
    """
    write_text_atomically(path, _dump(obj, where=str(path), indent=2) + "\n")


def write_jsonl_atomically(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object a line, whole or not at all.

    Args:
        path: The file.
        rows: The objects, in order; an iterator is consumed row by row.

    Raises:
        RunError: If the disk is full or the place cannot be written to.
        ValueError: If a row holds NaN or infinity.
    """
    with open_atomically(path) as handle:
        for number, row in enumerate(rows, start=1):
            handle.write(_dump(row, where=f"{path}, line {number}") + "\n")


def require_writable(path: str | Path) -> None:
    """Make sure that a file can be written, before the work that fills it; nothing is left behind.

    Args:
        path: Where the file is to be.

    Raises:
        RunError: If it is a folder, or the place cannot be written to.
    """
    target = Path(path)
    if target.is_dir():
        raise RunError(f"{target}: is a folder. Name a file.")
    try:
        # Missing folders are made with the file, in the nearest one that is there.
        place = next(folder for folder in target.parents if folder.exists())
        temporary = place / f".tmp-{secrets.token_hex(8)}"
        open(temporary, "x", encoding="utf-8").close()
        temporary.unlink()
    except OSError as error:
        raise _write_error(target, error) from error


def read_json(path: str | Path) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Args:
        path: The file.

    Returns:
        The object.

    Raises:
        RunError: If the file is missing, not UTF-8, or not one JSON object.
    """
    return _parse_object(_read_text(path), where=str(path))


def read_jsonl(path: str | Path) -> list[dict[str, Any]]:
    """Read a file of one JSON object a line; blank lines are passed over.

    Args:
        path: The file.

    Returns:
        The objects in file order.

    Raises:
        RunError: If the file is missing or not UTF-8, or a line is not a JSON object.
    """
    # Not str.splitlines: it would also split at U+2028, which JSON strings may hold.
    lines = _read_text(path).split("\n")
    return [
        _parse_object(line, where=f"{path}, line {number}")
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]


def sync_folder(folder: Path) -> None:
    """Make a rename in a folder survive a power cut, where the system allows it.

    Args:
        folder: The folder.
    """
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _dump(obj: Any, *, where: str, indent: int | None = None) -> str:
    try:
        text = json.dumps(obj, ensure_ascii=False, allow_nan=False, indent=indent)
    except ValueError as error:
        raise ValueError(
            f"{where}: cannot be written as JSON; {error}. A missing number is None."
        ) from error
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # half a surrogate pair: only its escape can be stored
        text = json.dumps(obj, ensure_ascii=True, allow_nan=False, indent=indent)
    return text


def _read_text(path: str | Path) -> str:
    try:
        return Path(path).read_bytes().decode("utf-8")
    except FileNotFoundError as error:
        raise RunError(f"{path}: no such file. Run the stage that writes it first.") from error
    except OSError as error:
        raise RunError(f"{path}: cannot be read; {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise RunError(
            f"{path}: not UTF-8; found byte {error.object[error.start]:#04x} at offset "
            f"{error.start}. Run the stage that writes it again."
        ) from error


def _parse_object(text: str, *, where: str) -> dict[str, Any]:
    try:
        row = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply"
        raise RunError(
            f"{where}: not valid JSON; {reason}. Run the stage that writes it again."
        ) from error
    if not isinstance(row, dict):
        raise RunError(
            f"{where}: not a JSON object; found {type(row).__name__}. "
            "Run the stage that writes it again."
        )
    return row


def _write_error(target: Path, error: OSError) -> RunError:
    full = find_full_disk(error)
    if full is not None:
        return RunError(
            f"{target}: {full.strerror}; the file was not written, what was there before is "
            "untouched. Free some space, then run the same command again."
        )
    return RunError(
        f"{target}: cannot be written; {error.strerror or error}. Choose another place."
    )


def _remove(temporary: Path) -> None:
    with suppress(OSError):
        temporary.unlink()
