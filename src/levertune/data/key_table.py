"""Tables of 64-bit hashes: which of many keys are known, and which stand in too many rows."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

_MAX_BITS = 24


class KeyTable:
    """A fixed set of keys that many others are looked up in.

    A bit array tells nearly all unknown keys apart before the search, so that a lookup costs a few
    nanoseconds a key.

    Args:
        keys: The keys; repeated ones count once.
    """

    def __init__(self, keys: Array) -> None:
        self.keys = np.unique(keys)
        bits = min(max(int(len(self.keys) * 16).bit_length(), 10), _MAX_BITS)
        self._shift = np.uint64(64 - bits)
        self._known = np.zeros(1 << bits, dtype=bool)
        self._known[self._slots(self.keys)] = True

    def __len__(self) -> int:
        return len(self.keys)

    def find(self, keys: Array) -> tuple[Array, Array]:
        """Look keys up.

        Args:
            keys: The keys to look for.

        Returns:
            The positions of the keys that are known, and the index of each in `keys` of the table.
        """
        if not len(self.keys) or not len(keys):
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
        maybe = np.flatnonzero(self._known[self._slots(keys)])
        wanted = keys[maybe]
        places = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        is_known = self.keys[places] == wanted
        return maybe[is_known], places[is_known]

    def _slots(self, keys: Array) -> Array:
        return (keys * np.uint64(0x9E3779B97F4A7C15)) >> self._shift


class CommonKeys:
    """Tells the keys of a table that more than a few different rows hold.

    Args:
        size: Number of keys.
        limit: From one row more a key is common.
    """

    def __init__(self, size: int, limit: int) -> None:
        self.is_common = np.zeros(size, dtype=bool)
        self._limit = limit
        self._keys = np.empty(0, dtype=np.int64)
        self._rows = np.empty(0, dtype=np.int64)

    def add(self, keys: Array, rows: Array) -> None:
        """Count keys.

        Args:
            keys: Indices of keys.
            rows: What tells the row of each apart from unlike rows, as a hash of its content.
        """
        is_open = ~self.is_common[keys]
        keys = np.concatenate((self._keys, keys[is_open]))
        rows = np.concatenate((self._rows, rows[is_open]))
        order = np.lexsort((rows, keys))
        keys, rows = keys[order], rows[order]
        is_new = np.ones(len(keys), dtype=bool)
        is_new[1:] = (keys[1:] != keys[:-1]) | (rows[1:] != rows[:-1])
        keys, rows = keys[is_new], rows[is_new]
        counts = np.bincount(keys, minlength=len(self.is_common))
        self.is_common |= counts > self._limit
        is_open = ~self.is_common[keys]
        self._keys, self._rows = keys[is_open], rows[is_open]


def expand(starts: Array, ends: Array) -> tuple[Array, Array]:
    """All indices of several ranges, one range after the other.

    Args:
        starts: First index of each range.
        ends: One behind the last of each.

    Returns:
        The indices, and the number of the range that each belongs to.
    """
    sizes = ends - starts
    owners = np.repeat(np.arange(len(sizes)), sizes)
    offsets = np.arange(len(owners)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return starts[owners] + offsets, owners
