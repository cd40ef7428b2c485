"""Smaller micro-batches where memory runs out: the rows stay the same, only their split changes."""

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

NO_ROOM_FOR_A_ROW = (
    "Set training.gradient_checkpointing=true, lower training.max_length, or use a device with "
    "more memory."
)
"""What to do where training has no room for a single row."""


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

    It stays for what follows, and for a resumed training: the same step is split in the same way,
    so its sums are the same to the last bit.

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
            rows: Rows of a step, or of whatever is done at once.
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

    def lower(
        self,
        rows: Sequence[TokenizedExample],
        failed: Sequence[int],
        *,
        where: str,
        advice: str = "Use a device with more memory.",
    ) -> None:
        """Allow half of a micro-batch that did not fit.

        Args:
            rows: The rows that were split.
            failed: Indices of the rows of the micro-batch.
            where: What was done, for the message.
            advice: What to do about a row that does not fit alone.

        Raises:
            RunError: If it is a single row.
        """
        if len(failed) == 1:
            [row] = [rows[i] for i in failed]
            raise RunError(
                f"{where}: memory runs out at row {row.source}:{row.id} alone; found "
                f"{len(row.input_ids)} tokens. {advice}"
            )
        self.tokens = _size(rows, failed) // 2


def _size(rows: Sequence[TokenizedExample], indices: Sequence[int]) -> int:
    return len(indices) * max(len(rows[i].input_ids) for i in indices)
