"""When one of several processes meets an error: all of them end, and one says why."""

from __future__ import annotations

import contextlib
import os
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from levertune.errors import DivergedError, EndedElsewhereError, RunError, Terminated, UserError
from levertune.results.full_disk import find_full_disk
from levertune.training.processes import STARTED_HERE, AbandonedError, Team

if TYPE_CHECKING:
    from torch.distributed import Store

_KEY = "levertune/ended"
_SECONDS_FOR_THE_OTHERS = 5.0
EXIT_ERROR = 2
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


@contextlib.contextmanager
def ended_together(team: Team, folder: Path | None = None) -> Iterator[None]:
    """End every process of a team if one of them cannot go on.

    One alone cannot leave a training: the others would wait for its gradients for good. The first
    to fail leaves word and says its error; the others, whose connection breaks, find the word and
    end in silence. What all of them meet alike (a loss that is no number, an error of the first
    process between two steps) ends that training only.

    Args:
        team: The processes.
        folder: Where the traceback of a fault goes.

    Raises:
        UserError: If this process is the one that says why; always one line.
        EndedElsewhereError: If another one is.
    """
    if team.size == 1:
        yield
        return
    team.is_training = True
    try:
        yield
    except (DivergedError, AbandonedError):
        team.is_training = False
        raise
    except Exception as error:
        if error is team.met_by_all:
            team.is_training = False
            raise
        raise _found(error, team, folder) from error
    except KeyboardInterrupt as error:
        status = EXIT_TERMINATED if isinstance(error, Terminated) else EXIT_INTERRUPTED
        _leave_word(team, status)
        if team.leads:
            raise
        raise EndedElsewhereError(status) from None
    team.is_training = False


def _found(error: Exception, team: Team, folder: Path | None) -> Exception:
    """What to raise for an error that this process alone may have met."""
    if is_lost_contact(error):
        status = _wait_for_word(team)
        if status is not None:
            return EndedElsewhereError(status)
        if STARTED_HERE in os.environ:
            return EndedElsewhereError(EXIT_ERROR)
        error = RunError(
            f"process {team.rank} of {team.size}: lost contact with another process of this "
            "training, which was killed, perhaps for lack of memory. What is done is kept: type "
            "the same command again."
        )
    status = _leave_word(team, EXIT_ERROR)
    if status is not None:
        return EndedElsewhereError(status)
    if isinstance(error, UserError) or find_full_disk(error) is not None:
        return error
    kept = ""
    if folder is not None:
        path = folder / f"fault-of-process-{team.rank}.txt"
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
            kept = f" The traceback: {path}"
    reason = " ".join(str(error).split())[:300]
    return RunError(
        f"process {team.rank} of {team.size}: {type(error).__name__}: {reason}. The others were "
        f"ended with it; what is done is kept.{kept}"
    )


def is_lost_contact(error: BaseException) -> bool:
    """Whether an error says that another process can no longer be reached.

    torch has classes for some of these errors; gloo's own come as `RuntimeError` with the place in
    gloo's source, or the name of a socket, in their text.

    Args:
        error: The error.
    """
    from torch import distributed

    if isinstance(error, distributed.DistError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and any(
        word in text for word in ("gloo/", "Gloo", "Connection reset", "Connection closed", "NCCL")
    )


def _leave_word(team: Team, status: int) -> int | None:
    """Say that this process ends the others; the status another has said before, or None."""
    store = _store()
    if store is None:
        return None if team.leads else status
    try:
        if store.add(f"{_KEY}/count", 1) == 1:
            store.set(_KEY, str(status))
            return None
        return _read_word(store) or status
    except Exception:  # the process that keeps the store is gone, and so is the run
        return None if team.leads else status


def _wait_for_word(team: Team) -> int | None:
    """The status that another process has left, waiting a while for it."""
    store = _store()
    deadline = time.monotonic() + _SECONDS_FOR_THE_OTHERS
    while store is not None and time.monotonic() < deadline:
        try:
            if store.check([_KEY]):
                return _read_word(store)
        except Exception:
            return None if team.leads else EXIT_ERROR
        time.sleep(0.1)
    return None


def _read_word(store: Store) -> int | None:
    return int(store.get(_KEY)) if store.check([_KEY]) else None


def _store() -> Store | None:
    """Where torch's processes leave word for one another."""
    from torch.distributed import distributed_c10d

    return distributed_c10d._get_default_store() if distributed_c10d.is_initialized() else None
