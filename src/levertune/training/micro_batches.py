"""Smaller micro-batches where memory runs out: a step keeps its rows, only their split changes."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from levertune.errors import RunError
from levertune.models.rendering import TokenizedExample

_NO_MEMORY = (
    "out of memory",  # CUDA, HIP, XPU, MPS
    "can't allocate memory",  # torch's allocator on a CPU
    "not enough memory",  # the same on Windows and in newer versions
    "CUBLAS_STATUS_ALLOC_FAILED",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on whatever device.

    Args:
        error: Any error.
    """
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)


class MicroBatchLimit:
    """The padded tokens a micro-batch may hold; halved whenever one does not fit into memory.

    It stays for the steps that follow, and for a resumed training: the same step is split in the
    same way, so its sums are the same to the last bit.

    Args:
        tokens: Most tokens, or None for no limit beside the batching's own.
    """

    def __init__(self, tokens: int | None = None) -> None:
        self.tokens = tokens

    def split(
        self, rows: Sequence[TokenizedExample], micro_batches: Sequence[Sequence[int]]
    ) -> list[list[int]]:
        """Halve micro-batches until each is within the limit; one row is never divided.

        Args:
            rows: Rows of a step.
            micro_batches: Indices of the rows of each micro-batch.

        Returns:
            Indices in the same order, in pieces.
        """
        pieces: list[list[int]] = []
        for indices in micro_batches:
            half = len(indices) // 2
            if self.tokens is None or not half or _size(rows, indices) <= self.tokens:
                pieces.append(list(indices))
            else:
                pieces += self.split(rows, (indices[:half], indices[half:]))
        return pieces

    def lower(self, rows: Sequence[TokenizedExample], failed: Sequence[int], *, step: int) -> None:
        """Allow half of a micro-batch that did not fit.

        Args:
            rows: Rows of the step.
            failed: Indices of the rows of the micro-batch.
            step: Number of the step.

        Raises:
            RunError: If it is a single row.
        """
        if len(failed) == 1:
            [row] = [rows[i] for i in failed]
            raise RunError(
                f"step {step}: memory runs out at row {row.source}:{row.id} alone; found "
                f"{len(row.input_ids)} tokens. Set training.gradient_checkpointing=true, lower "
                "training.max_length, or use a device with more memory."
            )
        self.tokens = _size(rows, failed) // 2


def _size(rows: Sequence[TokenizedExample], indices: Sequence[int]) -> int:
    return len(indices) * max(len(rows[i].input_ids) for i in indices)


RandomState = tuple[torch.Tensor, torch.Tensor | None]


def random_state(device: torch.device) -> RandomState:
    """What dropout draws from: a step that is taken again draws the same.

    Args:
        device: Where the model is.
    """
    on_device = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    return torch.get_rng_state(), on_device


def set_random_state(state: RandomState, device: torch.device) -> None:
    """Go back to a state.

    Args:
        state: What `random_state` gave.
        device: Where the model is.
    """
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1], device)
