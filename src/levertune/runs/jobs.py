"""How many cells are worked on at once, with how many threads, and how many processes share one.

A small model does not fill several cores: its products are too small to be worth dividing. Two
cells with a thread each finish sooner than one after the other with two (LOG.md 2026-11-22).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

from levertune.errors import RecipeError

_BYTES_BESIDE_WEIGHTS = 1 << 30
"""Libraries, activations and logits of one process, roughly."""

_WEIGHT_COPIES = 4
_MEMORY_SHARE = 0.8
WORTH_SECONDS = 90.0
"""Processes of their own pay from so much work on: each one loads everything anew."""

_WORTH_WORK = 1e13
"""Training tokens times bytes of weights from which on helpers pay: about a minute of a laptop.
They take seconds to start."""

_MOST_PROCESSES = 4
"""More were never measured, nor these: two on two cores were."""


@dataclass(frozen=True, slots=True)
class Jobs:
    """How the cells share the machine.

    Args:
        count: Cells worked on at once.
        threads: Threads of each; None to leave that to torch.
        reason: Why.
        is_asked_for: Whether the user named the number.
    """

    count: int
    threads: int | None
    reason: str
    is_asked_for: bool = False

    def limit_threads(self) -> contextlib.AbstractContextManager[None]:
        """Give this process the threads of one job while the context lasts.

        The number of threads can change the last bits of a sum, so a cell gets the same number
        whether it is done here or in a worker.
        """
        return limited_threads(self.threads)


@contextlib.contextmanager
def limited_threads(count: int | None) -> Iterator[None]:
    """Give this process so many threads while the context lasts.

    Args:
        count: How many; None to leave that to torch.
    """
    if count is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def choose_jobs(
    wanted: int | str,
    *,
    device: str,
    num_trainings: int,
    weight_bytes: int,
    memory_bytes: int,
) -> Jobs:
    """Decide how many cells to work on at once.

    It depends on the recipe and the machine, not on what is left to do, so that a run that was
    interrupted goes on in the same way.

    Args:
        wanted: A number, or `auto`.
        device: Where the model runs.
        num_trainings: Trainings there are to do at once.
        weight_bytes: Size of the base model's weights.
        memory_bytes: Memory of the machine.

    Raises:
        RecipeError: If `wanted` is neither.
    """
    cores = count_cores()
    if wanted != "auto":
        if isinstance(wanted, str) or wanted < 1:
            raise RecipeError(f"jobs: must be auto or a number from 1; found {wanted!r}.")
        if wanted == 1:
            return Jobs(1, None, "as asked for", is_asked_for=True)
        return Jobs(wanted, max(1, cores // wanted), "as asked for", is_asked_for=True)
    if device != "cpu":
        return Jobs(1, None, f"one at a time on {device}")
    count = max(1, min(cores, num_trainings, _room(weight_bytes, memory_bytes)))
    if count == 1:
        return Jobs(1, None, "one cell, one core or little memory")
    return Jobs(count, max(1, cores // count), f"{cores} cores, {num_trainings} trainings")


def choose_processes(
    *,
    cores: int,
    device: str,
    tokens: int,
    rows_per_step: int,
    weight_bytes: int,
    memory_bytes: int,
) -> int:
    """Decide how many processes share a training that has the machine for itself.

    Args:
        cores: Processor cores there are for it.
        device: Where the model runs.
        tokens: Tokens of the training.
        rows_per_step: Rows there are to share at each step.
        weight_bytes: Size of the base model's weights.
        memory_bytes: Memory of the machine.

    Returns:
        How many; 1 for a short training, an accelerator, one core or little memory.
    """
    if device != "cpu" or tokens * weight_bytes < _WORTH_WORK:
        return 1
    room = _room(weight_bytes, memory_bytes)
    return max(1, min(cores, rows_per_step, room, _MOST_PROCESSES))


def _room(weight_bytes: int, memory_bytes: int) -> int:
    """How many processes with a model each fit into the memory, leaving some to others."""
    each = _BYTES_BESIDE_WEIGHTS + _WEIGHT_COPIES * weight_bytes
    return int(memory_bytes * _MEMORY_SHARE // each)


def count_cores() -> int:
    """Logical processors this process may use, fewer if `OMP_NUM_THREADS` says so."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    limit = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return min(cores or 1, int(limit)) if limit.isdigit() and int(limit) else cores or 1
