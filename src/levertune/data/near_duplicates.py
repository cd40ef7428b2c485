"""Near duplicates: texts whose character shingles overlap by a Jaccard index of at least 0.8.

Candidates come from MinHash with banding (Broder, "On the resemblance and containment of
documents", 1997; Leskovec et al., "Mining of Massive Datasets", section 3.4); each is then verified
on the shingles themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from levertune.data.shingles import distinct, hash_shingles, mix_bits

Array = np.ndarray[Any, np.dtype[Any]]

NEAR_THRESHOLD = 0.8
MAX_NEAR_ROWS = 20_000
"""Above so many rows the search would take most of a gigabyte; it is left out and said so."""

# 24 bands of 6 find a pair at Jaccard 0.8 with probability 1 - (1 - 0.8**6)**24 = 0.9993.
_NUM_BANDS = 24
_ROWS_PER_BAND = 6
# A bucket is compared all against all up to here; a larger one, of rows made from one template,
# along its order only. It keeps the worst case linear.
_MAX_BUCKET = 1_000
# Shingles hashed at a time, so that the temporaries stay in the processor's cache.
_CHUNK_SHINGLES = 1 << 15


@dataclass(frozen=True, slots=True)
class _Shingles:
    """The distinct shingles of each text, as dense ids, one text after the other."""

    ids: Array
    starts: Array
    sizes: Array


def group_near_duplicates(texts: Sequence[str], *, threshold: float = NEAR_THRESHOLD) -> list[int]:
    """Put texts into groups joined by chains of near duplicates.

    Args:
        texts: Normalised texts.
        threshold: Jaccard index from which two texts are near duplicates.

    Returns:
        For each text the index of the first text of its group.
    """
    first_of: dict[str, int] = {}
    copies = np.array([first_of.setdefault(text, i) for i, text in enumerate(texts)], dtype=int)
    unique = np.array(sorted(first_of.values()), dtype=int)
    if len(unique) < 2:
        return copies.tolist()
    shingles = _shingle([texts[i] for i in unique])
    group = np.arange(len(unique))
    for bucket in _buckets(shingles):
        for position, member in enumerate(bucket[:-1]):
            others = bucket[position + 1 : position + _MAX_BUCKET]
            others = others[group[others] != group[member]]
            for other in others[_jaccard(shingles, member, others) >= threshold]:
                low, high = sorted((group[member], group[other]))
                group[group == high] = low
    position_of = np.empty(len(texts), dtype=int)
    position_of[unique] = unique[group]
    return position_of[copies].tolist()


def _shingle(texts: Sequence[str]) -> _Shingles:
    """Distinct runs of five characters of each text; a shorter text is one shingle itself."""
    rows = [distinct(hash_shingles([text])[0]) for text in texts]
    sizes = np.array([len(row) for row in rows])
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    _, ids = np.unique(np.concatenate(rows), return_inverse=True)
    return _Shingles(ids.astype(np.int64), starts, sizes)


def _signatures(shingles: _Shingles) -> Array:
    """MinHash signatures, one row for each hash function."""
    count = _NUM_BANDS * _ROWS_PER_BAND
    generator = np.random.default_rng(1997)  # fixed: the groups are a function of the texts alone
    factors = generator.integers(1, 2**32, size=count, dtype=np.uint32) | np.uint32(1)
    offsets = generator.integers(0, 2**32, size=count, dtype=np.uint32)
    hashed = (mix_bits(shingles.ids.astype(np.uint64) + np.uint64(1)) >> np.uint64(32)).astype(
        np.uint32
    )
    num_texts = len(shingles.sizes)
    signatures = np.empty((count, num_texts), dtype=np.uint32)
    ends = shingles.starts + shingles.sizes
    first = 0
    while first < num_texts:
        last = int(np.searchsorted(ends, shingles.starts[first] + _CHUNK_SHINGLES, side="right"))
        last = max(last, first + 1)
        chunk = hashed[shingles.starts[first] : ends[last - 1]]
        starts = shingles.starts[first:last] - shingles.starts[first]
        for i in range(count):
            values = chunk * factors[i] + offsets[i]
            signatures[i, first:last] = np.minimum.reduceat(values, starts)
        first = last
    return signatures


def _buckets(shingles: _Shingles) -> Iterator[Array]:
    """Texts that agree on a whole band, in order of index."""
    signatures = _signatures(shingles).astype(np.uint64)
    seen: set[bytes] = set()
    for band in range(_NUM_BANDS):
        key = np.zeros(signatures.shape[1], dtype=np.uint64)
        for row in signatures[band * _ROWS_PER_BAND : (band + 1) * _ROWS_PER_BAND]:
            key = mix_bits(key + row + np.uint64(0x9E3779B97F4A7C15))
        order = np.argsort(key, kind="stable")
        edges = np.flatnonzero(np.diff(key[order])) + 1
        for bucket in np.split(order, edges):
            # Rows that are alike agree on many bands: each set of them is compared once.
            if len(bucket) > 1 and (content := bucket.tobytes()) not in seen:
                seen.add(content)
                yield bucket


def _jaccard(shingles: _Shingles, member: int, others: Array) -> Array:
    """Jaccard indices of one text's shingles with those of others."""
    if not len(others):
        return np.empty(0)
    own = shingles.ids[shingles.starts[member] : shingles.starts[member] + shingles.sizes[member]]
    sizes = shingles.sizes[others]
    ends = np.cumsum(sizes)
    offsets = np.arange(ends[-1]) - np.repeat(ends - sizes, sizes)
    theirs = shingles.ids[np.repeat(shingles.starts[others], sizes) + offsets]
    # `own` is sorted: ids are ranks of the sorted shingles.
    places = np.minimum(np.searchsorted(own, theirs), len(own) - 1)
    shared = np.add.reduceat((own[places] == theirs).astype(np.int64), ends - sizes)
    return shared / (len(own) + sizes - shared)
