"""Whether TELL paid: one sentence with figures, and what it does and does not cover."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from levertune.scoring.intervals import Interval
from levertune.scoring.metrics import Metric

RIVALS = ("sft", "sft-steps")
CONFIRMATORY_SEEDS = 8


@dataclass(frozen=True)
class Verdict:
    """What a run says about an arm, in words.

    Args:
        sentence: The arm's score and its difference from the best rival, with the interval.
        paid: True if the whole interval lies on the good side of zero, False if on the bad side,
            None if it holds zero or the question could not be judged.
        against: The rival it was judged against, `""` if there was none.
        comparisons: The difference from every rival, and how the best was chosen.
        retention: What happened to the loss on general text that was never mixed in.
        covers: What the intervals cover.
        does_not_cover: What they leave open.
    """

    sentence: str
    paid: bool | None
    against: str
    comparisons: str
    retention: str
    covers: str
    does_not_cover: str

    @property
    def text(self) -> str:
        """All of it, one part a line."""
        parts = (self.sentence, self.comparisons, self.retention, self.covers, self.does_not_cover)
        return "\n".join(part for part in parts if part)


def judge(
    differences: Mapping[str, Interval],
    *,
    score: Interval,
    metric: Metric,
    num_seeds: int,
    retention: Mapping[str, Interval] | None = None,
    arm: str = "tell",
) -> Verdict:
    """Judge an arm against the best of `sft` and `sft-steps`, on score and on retention.

    Without `sft-steps`, a gain over `sft` is not called paid: at equal exposures the arm trains
    for more steps, and longer training passes for leverage.

    Args:
        differences: Arm minus each other arm on the primary metric, by the other arm's name. Arms
            other than the two rivals are left out of the judgement.
        score: The arm's own score.
        metric: The primary metric.
        num_seeds: Training seeds the intervals rest on.
        retention: NLL on retention rows, in nats per token, arm minus each other arm.
        arm: The arm judged.

    Returns:
        The verdict.
    """
    rivals = {
        name: differences[name]
        for name in RIVALS
        if name in differences and differences[name].value is not None
    }
    sign = 1.0 if metric.higher_is_better else -1.0
    # The rival with the best score is the one the arm is least ahead of.
    against = min(rivals, key=lambda name: sign * (rivals[name].value or 0.0), default="")
    missing = [name for name in RIVALS if name not in rivals]
    paid, outcome = _outcome(rivals.get(against), sign, missing)
    rival = f"the {'only' if missing else 'best'} SFT arm ({against})"
    size = f"{_count(score.n, 'test row')}, {_count(num_seeds, 'seed')}"
    return Verdict(
        sentence=_sentence(arm, score, rivals.get(against), rival, metric, size, outcome),
        paid=paid if score.value is not None else None,
        against=against,
        comparisons=_comparisons(arm, rivals, against, metric),
        retention=_retention(arm, retention or {}, against),
        covers=_covers(num_seeds),
        does_not_cover=_does_not_cover(num_seeds, missing),
    )


def _outcome(
    difference: Interval | None, sign: float, missing: list[str]
) -> tuple[bool | None, str]:
    if difference is None:
        return None, (
            f"Whether it paid cannot be judged: there is no score of {' or '.join(RIVALS)} to "
            "hold it against."
        )
    if difference.low is None:
        return None, f"Undecided: there is no interval ({difference.method})."
    if not (difference.is_above_zero or difference.is_below_zero):
        return None, "Undecided: the interval holds zero."
    if difference.is_above_zero != (sign > 0):
        return False, "It did not pay."
    if "sft-steps" in missing:
        return None, (
            "Whether it paid cannot be judged: sft-steps is missing, and longer training alone "
            "may do as much."
        )
    return True, "It paid."


def _sentence(
    arm: str,
    score: Interval,
    difference: Interval | None,
    rival: str,
    metric: Metric,
    size: str,
    outcome: str,
) -> str:
    name = arm.upper()
    if score.value is None:
        return f"{name} has no {metric.title} ({score.method}), so nothing can be judged."
    scored = f"{name} scored {_points(score.value, metric)} {metric.title}"
    if difference is None:
        return f"{scored}{_ends(score, metric)}, {size}. {outcome}"
    compared = f"{_apart(difference, metric)} {rival}{_ends(difference, metric)}"
    return f"{scored}, {compared}, {size}. {outcome}"


def _comparisons(arm: str, rivals: Mapping[str, Interval], against: str, metric: Metric) -> str:
    if len(rivals) < 2:
        return ""
    both = "; ".join(
        f"{_apart(difference, metric)} {name}{_ends(difference, metric)}"
        for name, difference in rivals.items()
    )
    return (
        f"{against} counts as the best SFT arm because it did best here: choosing after "
        f"the fact flatters it a little, so both comparisons stand: {arm.upper()} is {both}."
    )


def _retention(arm: str, retention: Mapping[str, Interval], against: str) -> str:
    known = {
        name: retention[name]
        for name in ("base", against)
        if name in retention and retention[name].value is not None
    }
    if not known:
        return "Retention, the loss on general text that was never mixed in, was not measured."
    parts = [_loss_part(name, difference) for name, difference in known.items()]
    return (
        "Retention: on general text that was never mixed in, the loss of "
        f"{arm.upper()} is {' and '.join(parts)}."
    )


def _loss_part(name: str, difference: Interval) -> str:
    value = difference.value or 0.0
    other = "the base model's" if name == "base" else f"that of {name}"
    words = f"{abs(value):.2f} nats per token {'below' if value < 0 else 'above'} {other}"
    if difference.low is None or difference.high is None:
        return f"{words} (no interval)"
    outcome = (
        "worse" if difference.is_above_zero else "better" if difference.is_below_zero else None
    )
    ends = f"{difference.level:.0%} interval [{difference.low:.2f}, {difference.high:.2f}]"
    return f"{words} ({ends}: {outcome or 'no clear change'})"


def _covers(num_seeds: int) -> str:
    if num_seeds == 1:
        return "The intervals cover the choice of test rows."
    return (
        "The intervals cover the choice of test rows and the luck of training, as "
        f"{num_seeds} seeds show it."
    )


def _does_not_cover(num_seeds: int, missing: list[str]) -> str:
    parts = []
    if num_seeds == 1:
        parts.append(
            "the luck of training: one seed was trained, and another may come out otherwise"
        )
    elif num_seeds < CONFIRMATORY_SEEDS:
        parts.append(
            f"the luck of training beyond these {num_seeds} seeds, which describe it: to confirm a "
            f"difference takes {CONFIRMATORY_SEEDS}"
        )
    parts += [f"the arm {name}, which has no score" for name in missing]
    parts.append("other tasks, models and general data")
    return f"Not covered: {'; '.join(parts)}."


def _points(value: float, metric: Metric) -> str:
    return f"{value * metric.points_per_unit:.{_decimals(metric)}f}"


def _decimals(metric: Metric) -> int:
    """One decimal where the scale is known to end at 100; a user's own scale gets three."""
    return 3 if metric.maximum is None else 1


def _apart(difference: Interval, metric: Metric) -> str:
    value = difference.value or 0.0
    unit = "points " if metric.maximum is not None else ""
    return f"{_points(abs(value), metric)} {unit}{'below' if value < 0 else 'above'}"


def _ends(interval: Interval, metric: Metric) -> str:
    if interval.low is None or interval.high is None:
        return ""
    low, high = _points(interval.low, metric), _points(interval.high, metric)
    return f", {interval.level:.0%} interval [{low}, {high}]"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
