"""Runs to medians, ranges and ratios, and those to tables and lines."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.train.losses import TOLERANCE

OURS = "levertune"


@dataclass(frozen=True, slots=True)
class Spread:
    """Readings of one figure.

    Args:
        median: Their median.
        low: The lowest.
        high: The highest.
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of some readings."""
        return cls(statistics.median(values), min(values), max(values))

    def show(self, decimals: int = 0) -> str:
        """As `212 (206 to 213)`."""
        return f"{self.median:.{decimals}f} ({self.low:.{decimals}f} to {self.high:.{decimals}f})"


@dataclass(frozen=True, slots=True)
class Summary:
    """One side on one mixture.

    Args:
        case: The mixture.
        side: The side.
        rounds: Its runs.
        tokens: Real tokens a second.
        supervised: Supervised tokens a second.
        times: How many times its tokens levertune does, by round; None for want of a round of both.
        of_ceiling: Its share of the ceiling.
        of_shared_ceiling: Its share of the ceiling with beginnings computed once; None for a side
            that computes them again for each row.
        of_peak: Its share of the rate of one large product.
        peak_bytes: Most memory of its processes.
        peak_device_bytes: Most memory on the GPU, or None.
        first_loss: Loss of its first step.
        loss_difference: That against the loss in float32 on the same tokens, relative; None where
            those could not be seen.
        tail: Tokens of its first step after the end of levertune's rows.
        final_loss: Mean loss of the last steps logged.
        seconds_to_first_step: Median, from its process's start.
        precision: Weights and autocast.
        note: What a reader must know of it, or nothing.
    """

    case: str
    side: str
    rounds: int
    tokens: Spread
    supervised: Spread
    times: Spread | None
    of_ceiling: float
    of_shared_ceiling: float | None
    of_peak: float
    peak_bytes: int
    peak_device_bytes: int | None
    first_loss: float
    loss_difference: float | None
    tail: int
    final_loss: float
    seconds_to_first_step: float
    precision: str
    note: str = ""


def summarise(
    runs: Sequence[Mapping[str, Any]],
    ceilings: Mapping[str, Mapping[str, float]],
    losses: Mapping[str, Mapping[str, Any]],
) -> list[Summary]:
    """The sides of one mixture, in the order in which they first ran.

    Args:
        runs: Its runs.
        ceilings: By number of processes at once, what `ceiling.measure` found.
        losses: By side: `reference`, `tail` and `note`.
    """
    ours = {run["round"]: run["tokens_per_second"] for run in runs if run["side"] == OURS}
    found = []
    for side in dict.fromkeys(run["side"] for run in runs):
        own = [run for run in runs if run["side"] == side]
        tokens = Spread.of([run["tokens_per_second"] for run in own])
        ratios = [
            ours[run["round"]] / run["tokens_per_second"] for run in own if run["round"] in ours
        ]
        limits = ceilings[str(own[0]["processes"])]
        check = losses.get(side, {})
        reference = check.get("reference")
        first = own[0]["first_loss"]
        device_peaks = [run["peak_device_bytes"] for run in own]
        found.append(
            Summary(
                case=own[0]["case"],
                side=side,
                rounds=len(own),
                tokens=tokens,
                supervised=Spread.of([run["supervised_per_second"] for run in own]),
                times=Spread.of(ratios) if ratios else None,
                of_ceiling=tokens.median / limits["tokens_per_second"],
                of_shared_ceiling=(
                    tokens.median / limits["shared_tokens_per_second"] if own[0]["shares"] else None
                ),
                of_peak=tokens.median * limits["flops_per_token"] / limits["peak_flops"],
                peak_bytes=max(run["peak_bytes"] for run in own),
                peak_device_bytes=None if None in device_peaks else max(device_peaks),
                first_loss=first,
                loss_difference=None if reference is None else first / reference - 1,
                tail=check.get("tail", 0),
                final_loss=own[-1]["final_loss"],
                seconds_to_first_step=statistics.median(
                    run["seconds_to_first_step"] for run in own
                ),
                precision=own[0]["precision"],
                note=check.get("note") or "",
            )
        )
    return found


def show_table(summaries: Sequence[Summary]) -> str:
    """A Markdown table of the sides of one mixture."""
    head = (
        "side",
        "tokens/s, median (range)",
        "levertune does",
        "supervised tokens/s",
        "of the ceiling",
        "of a large product",
        "peak memory",
        "first loss (against float32)",
        "last loss",
        "s to first step",
        "precision",
    )
    lines = [f"| {' | '.join(head)} |", f"| --- |{' ---: |' * (len(head) - 2)} --- |"]
    for row in summaries:
        cells = (
            row.side,
            row.tokens.show(),
            "-" if row.times is None or row.side == OURS else f"{row.times.show(2)} x",
            row.supervised.show(1),
            _show_ceiling(row),
            f"{row.of_peak:.1%}",
            _show_memory(row),
            _show_loss(row),
            f"{row.final_loss:.4f}",
            f"{row.seconds_to_first_step:.1f}",
            row.precision,
        )
        lines.append(f"| {' | '.join(cells)} |")
    notes = [f"{row.side}: {row.note}." for row in summaries if row.note]
    return "\n".join([*lines, *([""] if notes else []), *notes])


def show_ceiling(ceilings: Mapping[str, Mapping[str, float]]) -> str:
    """One line for each number of processes."""
    return "\n".join(
        f"ceiling, {processes} process(es): {found['tokens_per_second']:.0f} tokens/s "
        f"({found['shared_tokens_per_second']:.0f} with shared beginnings computed once); "
        f"{found['flops_per_token'] / 1e9:.3f} GFLOP a token; a large product: "
        f"{found['peak_flops'] / 1e9:.0f} GFLOP/s"
        for processes, found in ceilings.items()
    )


def show_line(row: Summary, before: Mapping[str, Any] | None) -> str:
    """One case in one line.

    Args:
        row: The case.
        before: The same summary out of an earlier result, or None.
    """
    words = (
        f"{row.case} {row.side}: {row.tokens.show()} tokens/s, {_show_ceiling(row)} of the "
        f"ceiling, {_show_memory(row)}, loss {_show_loss(row)} to {row.final_loss:.4f}"
    )
    if before is not None:
        words += f", {ratio_to(row, before):.2f} x before"
    return words


def ratio_to(row: Summary, before: Mapping[str, Any]) -> float:
    """Tokens a second against an earlier summary."""
    return row.tokens.median / float(before["tokens"]["median"])


def show_check(summaries: Sequence[Summary]) -> str:
    """Whether the sides begin at one loss, in a line.

    Each is held against float32 on its own tokens; what is left lies between the sides.
    """
    found = {row.side: row.loss_difference for row in summaries}
    seen = {side: value for side, value in found.items() if value is not None}
    if not seen:
        return "first losses: not checked"
    low, high = min(seen, key=lambda side: seen[side]), max(seen, key=lambda side: seen[side])
    apart = seen[high] - seen[low]
    verdict = "within" if apart <= TOLERANCE else "BEYOND"
    return (
        f"first losses against float32 on the same tokens: {seen[low]:+.1e} ({low}) to "
        f"{seen[high]:+.1e} ({high}); {apart:.1e} apart, {verdict} {TOLERANCE:g}"
    )


def _show_ceiling(row: Summary) -> str:
    shared = "" if row.of_shared_ceiling is None else f" ({row.of_shared_ceiling:.0%} shared)"
    return f"{row.of_ceiling:.0%}{shared}"


def _show_memory(row: Summary) -> str:
    words = f"{row.peak_bytes / 2**30:.2f} GiB"
    if row.peak_device_bytes is not None:
        words += f", GPU {row.peak_device_bytes / 2**30:.2f} GiB"
    return words


def _show_loss(row: Summary) -> str:
    if row.loss_difference is None:
        return f"{row.first_loss:.4f} (not checked)"
    tail = f", {row.tail} more tokens" if row.tail else ""
    return f"{row.first_loss:.4f} ({row.loss_difference:+.1e}{tail})"
