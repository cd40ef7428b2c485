"""Where levertune keeps what it can make or fetch again: remote files, decoded rows, models.

Nothing there is trusted by its name: a file counts only while its bytes have the hash that was
written down with it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from levertune.errors import DataError, RunError
from levertune.results.files import write_text_atomically
from levertune.results.full_disk import find_full_disk


def cache_folder() -> Path:
    """Levertune's cache: `$LEVERTUNE_CACHE`, or the user's cache folder."""
    from platformdirs import user_cache_dir

    return Path(os.environ.get("LEVERTUNE_CACHE") or user_cache_dir("levertune", appauthor=False))


@contextmanager
def usable_cache() -> Iterator[None]:
    """Turn what keeps the cache from being used into one line.

    A full disk stays what it is, as the command line says what to do then; so do a connection that
    broke, and faults of files elsewhere.

    Raises:
        DataError: If a file or folder of the cache cannot be made, read or written.
    """
    try:
        yield
    except (OSError, RunError) as error:
        fault = error.__cause__ if isinstance(error, RunError) else error
        if (
            not isinstance(fault, OSError)
            or isinstance(fault, ConnectionError)
            or find_full_disk(fault) is not None
            or not _may_be_ours(fault.filename)
        ):
            raise
        raise DataError(
            f"{cache_folder()}: the cache cannot be used; found {fault.strerror or str(fault)!r}. "
            "Set LEVERTUNE_CACHE to a folder of your own."
        ) from error


def _may_be_ours(name: object) -> bool:
    """Whether a file an error names, if any, lies in the cache or above it."""
    if not isinstance(name, str | os.PathLike):
        return True
    place, folder = Path(name).absolute(), cache_folder().absolute()
    return place.is_relative_to(folder) or folder.is_relative_to(place)


def sha256_of(path: Path) -> str:
    """Hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_intact(path: Path, sha256: str) -> bool:
    """Whether a file is there with the bytes of this hash."""
    return path.is_file() and sha256_of(path) == sha256


def seal(path: Path) -> None:
    """Write a file's hash beside it; a file without one was not finished.

    Args:
        path: The file, written whole.

    Raises:
        OSError: If it cannot be read.
        RunError: If the hash cannot be written.
    """
    write_text_atomically(_seal_of(path), sha256_of(path) + "\n")


def is_sealed(path: Path) -> bool:
    """Whether a file is there with the bytes it was sealed with."""
    try:
        return is_intact(path, _seal_of(path).read_text(encoding="ascii").strip())
    except (OSError, UnicodeDecodeError):
        return False


def _seal_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")
