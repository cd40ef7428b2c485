"""One process at a time in a folder; the lock is the system's and ends with its owner."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from levertune.errors import RunError

LOCK_FILE = ".lock"

_TAKEN = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)


@contextlib.contextmanager
def hold_folder(folder: Path, *, what: str, warn: Callable[[str], None]) -> Iterator[None]:
    """Keep a folder to this process while the context lasts.

    The system forgets the lock when the process ends, however it ends: the file that a kill leaves
    behind locks nothing. Within one process, too, the folder is held once.

    Args:
        folder: The folder; it is made if it is not there.
        what: What is done in it, for the message, as `a training`.
        warn: Told where the file system has no locks: the folder is not kept to anyone then.

    Raises:
        RunError: If another process holds it, or its file cannot be made.
    """
    path = folder / LOCK_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = _open_and_lock(path)
    except BlockingIOError as error:
        raise RunError(
            f"{folder}: {what} is under way in this folder already; found process {_owner(path)}. "
            "Wait for its end, stop it, or choose another output_dir."
        ) from error
    except OSError as error:
        if error.errno in _NO_LOCKS:
            warn(f"{folder}: its file system has no locks; start no second run in it.")
            yield
            return
        raise RunError(
            f"{folder}: its lock cannot be made; {error.strerror or error}. Free some space, or "
            "choose another output_dir."
        ) from error
    try:
        with contextlib.suppress(OSError):  # a full disk: then the message names no number
            os.truncate(descriptor, 0)
            os.write(descriptor, str(os.getpid()).encode("ascii"))
        yield
    finally:
        with contextlib.suppress(OSError):  # while it is still locked, so it is ours to remove
            path.unlink()
        os.close(descriptor)


def _open_and_lock(path: Path) -> int:
    """A descriptor of the locked file that lies under the name.

    Raises:
        BlockingIOError: If another holds it.
        OSError: If it cannot be opened or locked.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(descriptor)
            # Its owner may have removed it between the two calls: then it locks nothing.
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _TAKEN:
            raise BlockingIOError(error.errno, error.strerror) from error
        raise


def _owner(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip() or "unknown"
    except (OSError, UnicodeDecodeError):
        return "unknown"
