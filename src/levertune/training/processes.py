"""One process trains on one device; a launch with several is refused until it is supported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from levertune.errors import RunError

if TYPE_CHECKING:
    from transformers import TrainingArguments

# What torchrun, accelerate and the MPI launchers set; accelerate goes by all of them.
_NUM_PROCESSES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")


def refuse_several_processes(environment: Mapping[str, str]) -> None:
    """Refuse to be one of several processes that train together.

    Each would take a whole step's rows, so a step would hold several times `effective_batch_size`,
    and all would write the same files.

    Args:
        environment: The process's environment.

    Raises:
        RunError: If a launcher started several.
    """
    for name in _NUM_PROCESSES:
        found = environment.get(name, "").strip()
        if found.isdigit() and int(found) > 1:
            raise RunError(
                f"{name}: training in several processes is not supported yet; found {found}. Start "
                "levertune without torchrun, accelerate launch or mpirun: one process uses one GPU "
                "(choose it with CUDA_VISIBLE_DEVICES)."
            )


def use_one_device(arguments: TrainingArguments) -> None:
    """Keep transformers from spreading a step over every GPU it sees.

    With several visible, its `Trainer` wraps the model in `DataParallel` and multiplies the batch
    by their number. `_n_gpu` is where it keeps that number, and sets it to 1 itself where a model
    lies on several devices (transformers 5, `Trainer.__init__`).

    Args:
        arguments: The training's arguments, changed in place.
    """
    arguments._n_gpu = min(arguments.n_gpu, 1)
