"""Pools that are read once a run: each fold and cell of it asks for the same anchor."""

from __future__ import annotations

from collections.abc import Sequence

from levertune.anchors.pool.merge import Pool, merge_pools

_kept: dict[tuple[str, ...], Pool] = {}


def kept_pool(places: Sequence[str]) -> Pool:
    """The pool of some places as it was when first asked for; errors as those of `merge_pools`.

    To read it anew for each cell would take most of the time of a look at a run, ask a server each
    time, and give cells other texts where a branch moves meanwhile.

    Args:
        places: The places in order.
    """
    key = tuple(places)
    if key not in _kept:
        _kept[key] = merge_pools(key)
    return _kept[key]


def forget_pools() -> None:
    """Read pools anew when they are next asked for: another run begins."""
    _kept.clear()
