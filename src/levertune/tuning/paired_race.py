"""A race whose losers are dropped by paired tests, and whose winner is short: for anchors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from levertune.results.tuning import Trial
from levertune.tuning.halving import compare, mean_loss

_LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class PairedRace:
    """Losers are dropped by a paired test against the best; of the rest the shortest anchor wins.

    Halving would drop good candidates for the luck of a fold: anchors lie closer together than
    learning rates. So one stays until it is worse than the best by a one-sided paired t test over
    rows, in the manner of a racing algorithm (Maron & Moore 1994), at 0.05 divided by the number
    of candidates compared. The winner is the one with the fewest tokens among those within one
    standard error of the best, the rule of Breiman et al. 1984, section 3.4.3: an anchor is paid
    for in every request.

    Args:
        tokens: Gives the tokens of a candidate's anchor, by its index.
    """

    tokens: Callable[[int], int]

    def most_trials(self, num_candidates: int, num_folds: int) -> list[int]:
        """All of them on every fold: nothing says beforehand that one is worse."""
        return [num_candidates] * num_folds

    def survivors(self, trials: Sequence[Sequence[Trial]], left: Sequence[int]) -> list[int]:
        """Those that are not clearly worse than the best."""
        best = _best(trials, left)
        level = _LEVEL / max(1, len(left) - 1)
        return [i for i in left if i == best or not _is_worse(trials[i], trials[best], level)]

    def winner(self, trials: Sequence[Sequence[Trial]], left: Sequence[int]) -> int:
        """The shortest within one standard error of the best; between equals the better one."""
        best = _best(trials, left)
        near = [i for i in left if i == best or _is_near(trials[i], trials[best])]
        return min(near, key=lambda i: (self.tokens(i), i != best, mean_loss(trials[i]), i))


def _best(trials: Sequence[Sequence[Trial]], left: Sequence[int]) -> int:
    return min(left, key=lambda i: (mean_loss(trials[i]), i))


def _is_worse(own: Sequence[Trial], best: Sequence[Trial], level: float) -> bool:
    if not math.isfinite(mean_loss(own)):
        return True
    mean, error, n = compare(own, best)
    if error is None or not mean > 0:
        return False
    if error == 0:
        return True
    from scipy.special import stdtr

    return float(stdtr(n - 1, -mean / error)) < level


def _is_near(own: Sequence[Trial], best: Sequence[Trial]) -> bool:
    if not math.isfinite(mean_loss(own)):
        return False
    mean, error, _ = compare(own, best)
    return error is not None and mean <= error
