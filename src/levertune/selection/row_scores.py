"""What a model says of tokenized rows, each row once: kept by a hash of its tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from levertune.models.rendering import TokenizedExample
from levertune.selection.state_cache import StateCache

Array = np.ndarray[Any, np.dtype[Any]]

_BLOCK_ROWS = 512


class RowScores:
    """Vectors of tokenized rows, kept in a folder where there is one.

    Args:
        folder: Where they are kept from one selection to the next; a folder in it is used for this
            `identity`. None keeps them in memory.
        identity: All that a row's vector depends on beside the row: model, settings, precision.
        dtype: Number type of the vectors.
    """

    def __init__(self, folder: Path | None, identity: Sequence[object], dtype: type) -> None:
        name = hashlib.sha256(repr(tuple(identity)).encode()).hexdigest()[:24]
        settings = {"identity": repr(tuple(identity))}
        self._cache = (
            StateCache(folder / name, settings, dtype=dtype) if folder is not None else None
        )
        self._memory: dict[int, Array] = {}
        self._dtype = dtype

    def missing(self, rows: Sequence[TokenizedExample]) -> list[TokenizedExample]:
        """The rows without a vector yet, equal ones once, in an order of their content."""
        by_key = {_key(row): row for row in rows}
        keys = np.array(sorted(by_key), dtype=np.uint64)
        if self._cache is not None:
            keys = keys[~self._cache.holds(keys)]
        return [by_key[int(key)] for key in keys if int(key) not in self._memory]

    def add(
        self,
        rows: Sequence[TokenizedExample],
        compute: Callable[[Sequence[TokenizedExample]], Array],
    ) -> None:
        """Give rows their vectors, block by block, so that a killed run loses one block.

        Args:
            rows: Rows without one, as `missing` gives them.
            compute: Gives `[rows, width]`.

        Raises:
            RunError: If the folder cannot be written to.
        """
        for start in range(0, len(rows), _BLOCK_ROWS):
            block = rows[start : start + _BLOCK_ROWS]
            vectors: Array = compute(block).astype(self._dtype)
            keys = [_key(row) for row in block]
            if self._cache is None:
                self._memory.update(zip(keys, vectors, strict=True))
            else:
                self._cache.add(np.array(keys, dtype=np.uint64), vectors)

    def take(self, rows: Sequence[TokenizedExample]) -> Array:
        """The vectors of rows, in their order.

        Raises:
            KeyError: If one has none.
        """
        keys = [_key(row) for row in rows]
        if self._cache is not None:
            return self._cache.take(np.array(keys, dtype=np.uint64))
        return np.stack([self._memory[key] for key in keys]) if keys else np.empty((0, 0))


def _key(row: TokenizedExample) -> int:
    content = np.array([row.input_ids, row.labels], dtype=np.int64).tobytes()
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")
