"""When one of several processes meets an error: all of them end, and one says why."""

from __future__ import annotations

import contextlib
import json
import os
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from levertune.errors import DivergedError, EndedElsewhereError, RunError, Terminated, UserError
from levertune.results.full_disk import find_full_disk
from levertune.training.processes import HELPER, AbandonedError, Team

if TYPE_CHECKING:
    from torch.distributed import Store

_KEY = "levertune/ended"
_SECONDS_FOR_THE_OTHERS = 5.0
EXIT_ERROR = 2
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


@dataclass(frozen=True, slots=True)
class _Word:
    """What the first process to fail leaves for the others.

    Args:
        status: Its exit status.
        message: What went wrong, for the first process to say; None if it is said already.
    """

    status: int
    message: str | None = None

    def as_error(self) -> RunError:
        """What the process that reads it raises."""
        if self.message is None or HELPER in os.environ:
            return EndedElsewhereError(self.status)
        return RunError(self.message)


@contextlib.contextmanager
def ended_together(team: Team, folder: Path | None = None) -> Iterator[None]:
    """End every process of a team if one of them cannot go on.

    One alone cannot leave a training: the others would wait for its gradients for good. The first
    to fail leaves word and says its error; the others, whose connection breaks, find the word and
    end in silence. A helper says nothing: the process it helps reads its error from that word. What
    all of them meet alike (a loss that is no number, an error of the first process between two
    steps) ends that training only.

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
        if _ask_to_speak(team) is None:
            _leave_word(_Word(status))
        if team.leads:
            raise
        raise EndedElsewhereError(status) from None
    team.is_training = False


def _found(error: Exception, team: Team, folder: Path | None) -> Exception:
    """What to raise for an error that this process alone may have met."""
    if is_lost_contact(error):
        word = _wait_for_word(team)
        if word is not None:
            return word.as_error()
        if HELPER in os.environ:
            return EndedElsewhereError(EXIT_ERROR)
        error = RunError(
            f"process {team.rank} of {team.size}: lost contact with another process of this "
            "training, which was killed, perhaps for lack of memory. What is done is kept: type "
            "the same command again; fewer processes (--num-processes) need less memory."
        )
    word = _ask_to_speak(team)
    if word is not None:
        return word.as_error()
    found = _in_one_line(error, team, folder)
    if HELPER in os.environ:
        _leave_word(_Word(EXIT_ERROR, " ".join(str(found).split())))
        return EndedElsewhereError(EXIT_ERROR)
    _leave_word(_Word(EXIT_ERROR))
    return found


def _in_one_line(error: Exception, team: Team, folder: Path | None) -> Exception:
    """An error as it is said; the traceback of a fault goes into a file."""
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


def _ask_to_speak(team: Team) -> _Word | None:
    """None if this process is the first to fail, and is to leave word; else the word there is."""
    silent = _Word(EXIT_ERROR)
    store = _store()
    if store is None:
        return None if team.leads else silent
    try:
        if store.add(f"{_KEY}/count", 1) == 1:
            return None
    except Exception:  # the process that keeps the store is gone, and so is the run
        return None if team.leads else silent
    return _wait_for_word(team) or silent


def _leave_word(word: _Word) -> None:
    store = _store()
    if store is not None:
        with contextlib.suppress(Exception):  # as above
            store.set(_KEY, json.dumps(asdict(word)))


def _wait_for_word(team: Team) -> _Word | None:
    """What another process has left, waiting a while for it."""
    store = _store()
    deadline = time.monotonic() + _SECONDS_FOR_THE_OTHERS
    while store is not None and time.monotonic() < deadline:
        try:
            if store.check([_KEY]):
                return _Word(**json.loads(store.get(_KEY)))
        except Exception:
            return None if team.leads else _Word(EXIT_ERROR)
        time.sleep(0.1)
    return None


def _store() -> Store | None:
    """Where torch's processes leave word for one another."""
    from torch.distributed import distributed_c10d

    return distributed_c10d._get_default_store() if distributed_c10d.is_initialized() else None
