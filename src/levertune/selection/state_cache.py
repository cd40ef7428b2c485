"""Vectors by a hash of their row, in blocks on disk: a killed run loses one block at most."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from levertune.errors import RunError

Array = np.ndarray[Any, np.dtype[Any]]

_KEYS, _STATES = ".keys.npy", ".states.npy"


class StateCache:
    """Vectors in a folder, found by 64-bit content hashes.

    The folder is named by the hash of everything the vectors depend on beside their rows, so what
    lies in it is never from another model or setting. A block is two files, each written whole; the
    keys come last, and a block without them, or that cannot be read, does not exist.

    Args:
        folder: The folder; made when the first block is written.
        dtype: Number type of the vectors.
    """

    def __init__(self, folder: Path, *, dtype: type = np.float16) -> None:
        self._folder = folder
        self._dtype = np.dtype(dtype)
        self._blocks: list[Array] = []
        self._keys: list[Array] = []
        self._index: tuple[Array, Array, Array] | None = None
        for path in sorted(folder.glob(f"*{_KEYS}")) if folder.is_dir() else ():
            self._open(path)

    def _open(self, path: Path) -> None:
        with suppress(OSError, ValueError, EOFError):
            keys = np.load(path, allow_pickle=False)
            # A map: rows are read from the disk as they are asked for.
            states = np.load(
                path.with_name(path.name.removesuffix(_KEYS) + _STATES),
                mmap_mode="r",
                allow_pickle=False,
            )
            width = self._blocks[0].shape[1] if self._blocks else states.shape[-1]
            if (
                keys.dtype == np.uint64
                and states.dtype == self._dtype
                and states.shape == (len(keys), width)
            ):
                self._keep(keys, states)

    def _keep(self, keys: Array, states: Array) -> None:
        self._keys.append(keys)
        self._blocks.append(states)
        self._index = None

    def holds(self, keys: Array) -> Array:
        """Which of these keys are there, a boolean each."""
        known, _, _ = self._sorted()
        if not len(known):
            return np.zeros(len(keys), dtype=bool)
        places = np.minimum(np.searchsorted(known, keys), len(known) - 1)
        found: Array = known[places] == keys
        return found

    def add(self, keys: Array, states: Array) -> None:
        """Write a block.

        Args:
            keys: 64-bit content hashes.
            states: `[keys, width]`, of the cache's number type.

        Raises:
            RunError: If it cannot be written.
        """
        name = f"{int(np.bitwise_xor.reduce(keys)):016x}-{len(keys)}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._write(name + _STATES, states)
            self._write(name + _KEYS, keys)
        except OSError as error:
            raise RunError(
                f"{self._folder.name}: states cannot be written to the cache; "
                f"{error.strerror or error}. Make room, or set LEVERTUNE_CACHE to another folder."
            ) from error
        self._keep(keys, np.load(self._folder / (name + _STATES), mmap_mode="r"))

    def take(self, keys: Array) -> Array:
        """The vectors of these keys, in their order.

        Raises:
            KeyError: If one is not there.
        """
        known, block_of, row_of = self._sorted()
        if not self.holds(keys).all():
            raise KeyError("states that were never added")
        places = np.searchsorted(known, keys)
        width = self._blocks[0].shape[1] if self._blocks else 0
        taken = np.empty((len(keys), width), dtype=self._dtype)
        blocks, rows = block_of[places], row_of[places]
        for block in np.unique(blocks):
            mine = np.flatnonzero(blocks == block)
            taken[mine] = self._blocks[block][rows[mine]]
        return taken

    def _sorted(self) -> tuple[Array, Array, Array]:
        """Keys in order, with the block and row of each."""
        if self._index is None:
            keys = np.concatenate([np.empty(0, dtype=np.uint64), *self._keys])
            sizes = [len(block) for block in self._keys]
            blocks = np.repeat(np.arange(len(sizes)), sizes)
            rows = np.concatenate([np.empty(0, dtype=np.int64), *map(np.arange, sizes)])
            order = np.argsort(keys, kind="stable")
            self._index = keys[order], blocks[order], rows[order]
        return self._index

    def _write(self, name: str, array: Array) -> None:
        temporary = self._folder / f".tmp-{secrets.token_hex(8)}"
        try:
            with temporary.open("xb") as file:
                np.save(file, array, allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self._folder / name)
        finally:
            with suppress(OSError):
                temporary.unlink()
