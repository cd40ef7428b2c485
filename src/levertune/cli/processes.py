"""`--num-processes`: a command that trains in several processes, started here or by a launcher."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence

from levertune.errors import EndedElsewhereError, RunError
from levertune.training.processes import count_processes, read_rank

_TRAINING = {"run", "train"}
EXIT_USER_ERROR = 2


def add_processes_argument(parser: argparse.ArgumentParser) -> None:
    """Add `--num-processes`: how many processes train together."""
    parser.add_argument(
        "--num-processes",
        type=_from_one,
        metavar="N",
        help="processes of this machine that share the rows of each step, as one for each GPU; "
        "across machines: torchrun or accelerate launch",
    )


def run_in_processes(
    args: argparse.Namespace, words: Sequence[str], work: Callable[[argparse.Namespace], int]
) -> int:
    """Run a verb in this process, or as the one of several that it is, or start several.

    Args:
        args: The parsed words.
        words: The words.
        work: The verb.

    Returns:
        The exit status.

    Raises:
        UserError: If the verb fails, or does not work in several processes.
    """
    wanted = getattr(args, "num_processes", None)
    found = count_processes(os.environ)
    if found == 1:
        if wanted is None or wanted == 1:
            return int(work(args))
        from levertune.runs.launch import start_processes

        return start_processes(words, wanted)
    if args.verb not in _TRAINING:
        return int(work(args))  # refused further down if it trains or writes
    if wanted not in (None, found):
        if read_rank(os.environ) > 0:
            raise EndedElsewhereError(EXIT_USER_ERROR)
        raise RunError(
            f"--num-processes {wanted}: a launcher has started {found}. Leave the option out."
        )
    from levertune.runs.together import do_together

    return do_together(lambda: int(work(args)))


def _from_one(word: str) -> int:
    """A number from 1; argparse says what it found instead."""
    if not word.isdigit() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"must be a number from 1; found {word!r}")
    return int(word)
