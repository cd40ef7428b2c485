"""Anchor dropout: which exposures of a task row are trained without the anchor."""

from __future__ import annotations

import hashlib

# The additive recurrence with the golden ratio spreads k points of the unit interval as evenly as
# any fixed step can (Kuipers and Niederreiter, Uniform Distribution of Sequences, 1974, ch. 2).
_GOLDEN_STEP = 0.6180339887498949


def is_anchored(mixture_seed: int, row: int, exposure: int, dropout: float) -> bool:
    """Whether this exposure of a task row carries the anchor.

    The answer depends on the arguments alone, so it survives a resume, and it does not depend on
    the order or the general rows, so arms of one seed drop the same exposures. A share `dropout`
    of all exposures goes without; within each row they are evenly spread, so that a row with few
    exposures is not left anchored throughout, nor unanchored, by bad luck.

    Args:
        mixture_seed: `mixture.seed`.
        row: Row of the task data, counted from 0.
        exposure: How often the row came before.
        dropout: Share of exposures without the anchor (`anchor.dropout`); 0 anchors all.

    Returns:
        True if the anchor is applied.
    """
    content = f"anchor dropout {mixture_seed} {row}".encode("ascii")
    start = int.from_bytes(hashlib.sha256(content).digest()[:6], "big") / 2**48
    return (start + exposure * _GOLDEN_STEP) % 1.0 >= dropout
