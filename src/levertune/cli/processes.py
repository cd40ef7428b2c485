"""`--num-processes`, and what a command does that a launcher has started in several processes."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable

from levertune.cli.arguments import positive_number
from levertune.errors import EndedElsewhereError, RunError
from levertune.training.processes import count_processes, read_rank

_TRAINING = {"run", "train"}
EXIT_USER_ERROR = 2


def add_processes_argument(parser: argparse.ArgumentParser) -> None:
    """Add `--num-processes`: how many processes train together."""
    parser.add_argument(
        "--num-processes",
        type=positive_number,
        metavar="N",
        help="processes of this machine that share the rows of each step, as one for each GPU "
        "(default: on a CPU as many as pay, else 1); across machines: torchrun or accelerate "
        "launch",
    )


def run_in_processes(args: argparse.Namespace, work: Callable[[argparse.Namespace], int]) -> int:
    """Run a verb in this process, or as the one of a launcher's that it is.

    Args:
        args: The parsed words.
        work: The verb.

    Returns:
        The exit status.

    Raises:
        UserError: If the verb fails, or does not work in several processes.
    """
    # Read when torch is loaded, later. Its warnings that another process is gone come with pages of
    # addresses, in each process; what happened is one line, said by one of them.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    found = count_processes(os.environ)
    if found == 1:
        return int(work(args))
    if args.verb not in _TRAINING:
        return int(work(args))  # refused further down if it trains or writes
    wanted = args.num_processes
    if wanted not in (None, found):
        if read_rank(os.environ) > 0:
            raise EndedElsewhereError(EXIT_USER_ERROR)
        raise RunError(
            f"--num-processes {wanted}: a launcher has started {found}. Leave the option out."
        )
    from levertune.runs.together import do_together

    return do_together(lambda: int(work(args)))
