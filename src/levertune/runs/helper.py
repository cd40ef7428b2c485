"""`python -m levertune.runs.helper`: joins in the trainings of the process that started it.

It has its orders and its rows from that process, writes no file but the traceback of a fault of its
own, says nothing, and ends when its standard input does: so it never outlives whom it helps.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading

from levertune.errors import EndedElsewhereError
from levertune.runs.helper_processes import READY
from levertune.runs.together import follow
from levertune.training.processes import join_team, leave_team

EXIT_ORPHANED = 3


def main() -> int:
    """Help until the work is done; the exit status."""
    _end_with_whom_it_helps()
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as pipe:
        # What libraries print must not get into the pipe.
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        # Takes seconds, in which the other process loads it, too.
        importlib.import_module("levertune.training.trainer")
        pipe.write(READY)
    team = join_team()
    try:
        status = follow(team)
    except EndedElsewhereError as error:  # in the middle of a training: the connections are broken
        return error.status
    leave_team()
    return status


def _end_with_whom_it_helps() -> None:
    def listen() -> None:
        while os.read(sys.stdin.fileno(), 1):
            pass
        os._exit(EXIT_ORPHANED)

    threading.Thread(target=listen, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
