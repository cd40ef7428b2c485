"""Smaller micro-batches where memory runs out: the rows stay the same, only their split changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import torch

from levertune.errors import RunError
from levertune.models.memory import release_unused_memory

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

Found = TypeVar("Found")


class SizedRow(Protocol):
    """A row as far as its size and its name matter here; a `TokenizedExample` is one."""

    @property
    def source(self) -> str:
        """Source of the record."""

    @property
    def id(self) -> str:
        """Id of the record."""

    @property
    def input_ids(self) -> Sequence[int]:
        """Its tokens."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on whatever device.

    Args:
        error: Any error.
    """
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)


def unless_out_of_memory(compute: Callable[[], Found], device: str) -> Found | None:
    """What a computation gives, or None where memory runs out; what it held is free again then.

    Args:
        compute: The computation.
        device: Kind of device it runs on.
    """
    try:
        return compute()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    release_unused_memory()  # now that the error holds no tensor any longer
    if device == "cuda":
        torch.cuda.empty_cache()
    return None


def no_room_for(
    row: SizedRow, *, where: str, advice: str = "Use a device with more memory."
) -> RunError:
    """The error of a row that does not fit into memory by itself.

    Args:
        row: The row.
        where: What was done.
        advice: What to do about it.
    """
    return RunError(
        f"{where}: memory runs out at row {row.source}:{row.id} alone; found "
        f"{len(row.input_ids)} tokens. {advice}"
    )


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
        self, rows: Sequence[SizedRow], micro_batches: Sequence[Sequence[int]]
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
        rows: Sequence[SizedRow],
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
            raise no_room_for(row, where=where, advice=advice)
        self.tokens = _size(rows, failed) // 2


def _size(rows: Sequence[SizedRow], indices: Sequence[int]) -> int:
    return len(indices) * max(len(rows[i].input_ids) for i in indices)
