"""Vectors by a hash of their row, in blocks on disk: a killed run loses one block at most.

What lies there is trusted only while it has the hashes and settings that were written down with it.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from levertune.data.cache_folder import sha256_of
from levertune.errors import RunError
from levertune.results.files import write_json_atomically

Array = np.ndarray[Any, np.dtype[Any]]

CACHE_FORMAT = 2
"""Raise when the files below change: blocks of another format are computed again."""

_KEYS, _STATES, _FACTS = ".keys.npy", ".states.npy", ".json"


class StateCache:
    """Vectors in a folder, found by 64-bit content hashes.

    A block is two files and the facts of it, each written whole, the facts last: what the vectors
    depend on beside their rows, and the hashes of both files. A block without facts was not
    finished and does not exist; one that is not as its facts say is removed, and counted.

    Args:
        folder: The folder; made when the first block is written.
        settings: What the vectors depend on: model, version, depth.
        dtype: Number type of the vectors.
    """

    def __init__(
        self, folder: Path, settings: Mapping[str, Any], *, dtype: type = np.float16
    ) -> None:
        self.num_removed = 0
        self._folder = folder
        self._settings = json.loads(json.dumps(dict(settings)))
        self._dtype = np.dtype(dtype)
        self._blocks: list[Array] = []
        self._keys: list[Array] = []
        self._index: tuple[Array, Array, Array] | None = None
        for path in sorted(folder.glob(f"*{_FACTS}")) if folder.is_dir() else ():
            self._open(path)

    def _open(self, facts: Path) -> None:
        name = facts.name.removesuffix(_FACTS)
        paths = self._folder / (name + _KEYS), self._folder / (name + _STATES)
        with suppress(OSError, ValueError, EOFError):
            found = json.loads(facts.read_text(encoding="utf-8"))
            if found == self._facts(*map(sha256_of, paths)):
                # A map: rows are read from the disk as they are asked for.
                states = np.load(paths[1], mmap_mode="r", allow_pickle=False)
                self._keep(np.load(paths[0], allow_pickle=False), states)
                return
        self.num_removed += 1
        for path in (facts, *paths):
            with suppress(OSError):
                path.unlink()

    def _facts(self, keys: str, states: str) -> dict[str, Any]:
        return {"format": CACHE_FORMAT, "settings": self._settings, "keys": keys, "states": states}

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
        # Of a name of its own, as another process may be writing the same rows.
        name = f"{int(np.bitwise_xor.reduce(keys)):016x}-{len(keys)}-{secrets.token_hex(4)}"
        paths = self._folder / (name + _KEYS), self._folder / (name + _STATES)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._write(paths[0], keys)
            self._write(paths[1], states)
            facts = self._facts(*map(sha256_of, paths))
            write_json_atomically(self._folder / (name + _FACTS), facts)
        except OSError as error:
            raise RunError(
                f"{self._folder.name}: states cannot be written to the cache; "
                f"{error.strerror or error}. Make room, or set LEVERTUNE_CACHE to another folder."
            ) from error
        self._keep(keys, np.load(paths[1], mmap_mode="r"))

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

    def _write(self, path: Path, array: Array) -> None:
        temporary = self._folder / f".tmp-{secrets.token_hex(8)}"
        try:
            with temporary.open("xb") as file:
                np.save(file, array, allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            with suppress(OSError):
                temporary.unlink()
