"""The processes that train together: one leads the run, the others lend their hands to its steps.

Each holds the whole model (DDP) or a share of it (FSDP2) and computes a share of each step's rows.
The first alone reads the data, decides, evaluates, prints and writes; at each step it sends the
others its rows. So they cannot disagree, and none of them needs the recipe or the data.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast

from levertune.errors import LevertuneError, RunError

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup
    from transformers import TrainingArguments

T = TypeVar("T")

# What torchrun, accelerate and the MPI launchers set; accelerate goes by all of them.
_NUM_PROCESSES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
_RANK = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")

HELPER = "LEVERTUNE_HELPER"
"""Set in the environment of processes that another started to help it; that one speaks for them."""

# The others wait for the first while it prepares and evaluates, however long that takes.
_PATIENCE = timedelta(days=30)


class AbandonedError(LevertuneError):
    """The first process met an error of its own between two steps; the training is given up."""


class Team:
    """The processes that train together, seen from one of them; by default it is alone.

    Args:
        rank: This process's number, from 0; the first leads.
        size: How many there are.
        group: The connection for messages between them, beside that for gradients.
    """

    def __init__(self, rank: int = 0, size: int = 1, group: ProcessGroup | None = None) -> None:
        self.rank = rank
        self.size = size
        self.is_training = False
        self.met_by_all: BaseException | None = None
        self._group = group

    @property
    def leads(self) -> bool:
        """Whether this process is the first."""
        return self.rank == 0

    def send(self, value: T | None = None) -> T:
        """What the first process gives, on all of them."""
        if self.size == 1:
            return cast(T, value)
        from torch.distributed import broadcast_object_list

        values: list[Any] = [value]
        broadcast_object_list(values, src=0, group=self._group)
        return cast(T, values[0])

    def lead(self, work: Callable[[], T]) -> T:
        """Do something in the first process alone.

        Args:
            work: What to do.

        Returns:
            What it gave, on all of them.

        Raises:
            AbandonedError: On the others, if it raised; on the first that error itself.
        """
        if self.size == 1:
            return work()
        if not self.leads:
            told: tuple[bool, T] = self.send()
            if not told[0]:
                raise AbandonedError("the first process met an error")
            return told[1]
        try:
            value = work()
        except Exception as error:
            self.met_by_all = error
            self.send((False, None))
            raise
        self.send((True, value))
        return value

    def gather(self, value: T) -> list[T]:
        """The values of all processes, in all of them."""
        if self.size == 1:
            return [value]
        from torch.distributed import all_gather_object

        values: list[Any] = [None] * self.size
        all_gather_object(values, value, group=self._group)
        return values

    def largest(self, value: int) -> int:
        """The largest of the processes' values."""
        if self.size == 1:
            return value
        import torch
        from torch.distributed import ReduceOp, all_reduce

        found = torch.tensor([value])
        all_reduce(found, op=ReduceOp.MAX, group=self._group)
        return int(found)


# A process is in one team for its life, as it is in one process group of torch's.
_team = Team()
_has_connected = False  # Ray, for one, connects the processes itself and closes that too


def current_team() -> Team:
    """The team this process has joined; one of its own if it has not."""
    return _team


def join_team() -> Team:
    """Meet the processes a launcher started with this one.

    accelerate finds them, chooses the backend (NCCL between GPUs, gloo between CPUs) and gives each
    process its device.

    Raises:
        RunError: If this machine's accelerator takes one process only.
    """
    global _has_connected, _team
    if _team.size > 1 or count_processes(os.environ) == 1:
        return _team
    import torch
    from accelerate import PartialState
    from accelerate.state import AcceleratorState

    from levertune.models.hardware import choose_hardware
    from levertune.models.quiet import quiet_libraries

    device = choose_hardware().device
    # What a training of this process alone left there says that it is alone.
    AcceleratorState._reset_state(reset_partial_state=True)
    if device == "mps":
        raise RunError(
            f"{_first_set(_NUM_PROCESSES, os.environ)}: several processes train on CPUs or NVIDIA "
            "GPUs; found an Apple GPU. Start levertune without a launcher."
        )
    _has_connected = not torch.distributed.is_initialized()
    with quiet_libraries():
        state = PartialState(cpu=device == "cpu")
    group = torch.distributed.new_group(backend="gloo", timeout=_PATIENCE)
    _team = Team(state.process_index, state.num_processes, group)
    return _team


def leave_team() -> None:
    """Close the connections, once all processes are done."""
    global _team
    if _team.size > 1 and _has_connected:
        import torch

        torch.distributed.destroy_process_group()
    _team = Team()


def count_processes(environment: Mapping[str, str]) -> int:
    """How many processes a launcher started together, this one among them.

    Args:
        environment: This process's environment.
    """
    name = _first_set(_NUM_PROCESSES, environment)
    return max(1, int(environment[name])) if name else 1


def read_rank(environment: Mapping[str, str]) -> int:
    """This process's number among those a launcher started together.

    Args:
        environment: This process's environment.
    """
    name = _first_set(_RANK, environment)
    return int(environment[name]) if name else 0


def _first_set(names: Sequence[str], environment: Mapping[str, str]) -> str | None:
    found = (name for name in names if environment.get(name, "").strip().isdigit())
    return next((name for name in found if int(environment[name]) > 0), None)


def refuse_several_processes(environment: Mapping[str, str]) -> None:
    """Refuse to be one of several processes that have not met.

    Each would do the whole work, and all would write the same files.

    Args:
        environment: The process's environment.

    Raises:
        RunError: If a launcher started several, and this one has not joined them.
    """
    found = count_processes(environment)
    if found > 1 and current_team().size == 1:
        raise RunError(
            f"{_first_set(_NUM_PROCESSES, environment)}: only the commands `levertune train` and "
            f"`levertune run` work in several processes; found {found}. Start this one without "
            "torchrun, accelerate launch or mpirun."
        )


def share_rows(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Share a step's rows among processes so that each has about the same tokens to compute.

    The longest row that is left goes to the process with the fewest tokens (Graham, "Bounds on
    Multiprocessing Timing Anomalies", 1969: at most a third above the best there is).

    Args:
        lengths: Tokens of each row.
        size: How many processes there are.

    Returns:
        For each process the indices of its rows, in their order; every index is with one of them.
    """
    shares: list[list[int]] = [[] for _ in range(size)]
    heap = [(0, rank) for rank in range(size)]
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        tokens, rank = heapq.heappop(heap)
        shares[rank].append(i)
        heapq.heappush(heap, (tokens + lengths[i], rank))
    return [sorted(share) for share in shares]


def use_one_device(arguments: TrainingArguments) -> None:
    """Keep transformers from spreading a step over every GPU it sees.

    With several visible, its `Trainer` wraps the model in `DataParallel` and multiplies the batch
    by their number. `_n_gpu` is where it keeps that number, and sets it to 1 itself where a model
    lies on several devices (transformers 5, `Trainer.__init__`).

    Args:
        arguments: The training's arguments, changed in place.
    """
    arguments._n_gpu = min(arguments.n_gpu, 1)
