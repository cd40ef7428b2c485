"""Folders written whole or not at all, and on the disk before anything relies on them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from levertune.results.files import sync_folder


@contextmanager
def write_folder_atomically(folder: Path) -> Iterator[Path]:
    """A folder that appears under its name only when the block ends well, its files on the disk.

    They are written beside their place, so that a power cut leaves the folder as it was before or
    as it is now. When the block raises, what it wrote is removed: on a full disk it would be in the
    way of whatever is tried next.

    Args:
        folder: Where it should end up; one of that name is replaced.

    Yields:
        The folder to write, which is not there yet.

    Raises:
        OSError: If it cannot be brought to the disk or moved.
    """
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        yield partial
        _bring_to_disk(partial)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(partial, folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    sync_folder(folder.parent)


def _bring_to_disk(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("r+b") as file:
                os.fsync(file.fileno())
        else:
            sync_folder(path)
    sync_folder(folder)
