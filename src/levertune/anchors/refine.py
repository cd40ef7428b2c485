"""Refining: when a challenger takes the place of the anchor in use, while training goes on.

A challenger must answer the rows set aside better by more than one standard error, twice running.
Were all anchors alike and two checks independent, the first condition would hold in a share `p` of
the comparisons (about 0.17 for ten rows: the upper tail of Student's t beyond 1), so that at most a
share `m p^2` of the checks with `m` challengers switched for nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from levertune.anchors.shorten import LAST_START
from levertune.results.anchor_checks import AnchorCheck, Challenger


@dataclass(frozen=True, slots=True)
class PairedGain:
    """What a challenger gains over the anchor in use, row by row.

    Args:
        mean: Nats a row, positive if the challenger is better.
        standard_error: Standard error of the mean over the rows.
    """

    mean: float
    standard_error: float

    @property
    def is_beyond(self) -> bool:
        """Whether the gain is larger than one standard error."""
        return self.mean > self.standard_error


def paired_gain(current: Sequence[float], challenger: Sequence[float]) -> PairedGain:
    """Compare two anchors on the same rows.

    Args:
        current: NLL of each row with the anchor in use.
        challenger: NLL of the same rows with the other.

    Raises:
        ValueError: If there are fewer than two rows, or not equally many.
    """
    gains = [a - b for a, b in zip(current, challenger, strict=True)]
    n = len(gains)
    if n < 2:
        raise ValueError(f"a standard error needs at least two rows, got {n}")
    mean = fmean(gains)
    variance = sum((gain - mean) ** 2 for gain in gains) / (n - 1)
    return PairedGain(mean, math.sqrt(variance / n))


def find_contenders(checks: Sequence[AnchorCheck], anchor_id: str) -> tuple[Challenger, ...]:
    """Challengers that were beyond one standard error at the last check, the largest gain first.

    Args:
        checks: The checks so far.
        anchor_id: The anchor in use now; a gain over another one does not count.
    """
    if not checks or checks[-1].anchor_id != anchor_id or checks[-1].switched_to is not None:
        return ()
    beyond = [c for c in checks[-1].challengers if c.is_beyond]
    return tuple(sorted(beyond, key=lambda c: -c.gain))  # stable: equals in the order scored


def choose_switch(
    checks: Sequence[AnchorCheck], anchor_id: str, gains: Mapping[str, PairedGain]
) -> str | None:
    """The challenger that takes the anchor's place.

    Args:
        checks: The checks before this one.
        anchor_id: The anchor in use.
        gains: What this check found, by the challenger's id.

    Returns:
        The id of the challenger that is beyond one standard error now and was at the check before,
        of several the one with the larger gain now; None to keep the anchor.
    """
    before = {contender.id for contender in find_contenders(checks, anchor_id)}
    twice = [key for key, gain in gains.items() if gain.is_beyond and key in before]
    return max(twice, key=lambda key: gains[key].mean, default=None)


def list_check_steps(num_steps: int, every: float) -> tuple[int, ...]:
    """After which optimizer steps to check.

    The last check leaves the new anchor as much of the training as the last form of an annealed one
    has: an anchor that is hardly trained with would be served.

    Args:
        num_steps: Steps of the whole training.
        every: Share of the training between two checks, above 0.
    """
    last = math.floor(LAST_START / every + 1e-9)
    wanted = (math.ceil(i * every * num_steps - 1e-9) for i in range(1, last + 1))
    return tuple(dict.fromkeys(step for step in wanted if 0 < step < num_steps))
