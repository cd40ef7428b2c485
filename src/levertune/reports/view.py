"""A result as what the page's template prints: tables as text, figures as SVG."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from levertune.reports.figures import Dot, frontier_plot, interval_plot
from levertune.reports.text import (
    bytes_text,
    clip,
    count_text,
    in_points,
    number_text,
    range_text,
    seconds_text,
)
from levertune.reports.training_figures import bar_chart, curve_panel, curve_range
from levertune.results.inputs import MetricInfo
from levertune.results.schema import Interval, RunResult

WIDE, NARROW = 860, 350

_MAX_ARMS = 24
_MAX_COMPARISONS = 80
_MAX_CURVES = 8
_MAX_METHODS = 6

NLL_TITLES = {
    "task": "task NLL",
    "general_heldout": "held-out general NLL",
    "retention": "retention NLL",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure in the widths the page switches between; equal if it has one width."""

    wide: Markup
    narrow: Markup

    def __bool__(self) -> bool:
        return bool(self.wide)


@dataclass(frozen=True, slots=True)
class Number:
    """A number of a table.

    Args:
        value: The number.
        interval: Its interval in brackets, or "".
        n: What it rests on: rows and seeds, or "".
        note: The same with the method.
    """

    value: str
    interval: str
    n: str
    note: str


def number(interval: Interval | None, digits: int | None = None) -> Number:
    """An interval as a table prints it."""
    if interval is None or interval.value is None:
        return Number(number_text(None), "", "", "")
    n = f"{interval.n:,} rows, {interval.seeds} seed{'s' if interval.seeds != 1 else ''}"
    note = f"{n}; {clip(interval.method, 200).text}"
    return Number(number_text(interval.value, digits), range_text(interval, digits), n, note)


def interval_methods(intervals: Iterable[Interval | None]) -> list[str]:
    """How the intervals were made, each way once, the first few."""
    found = dict.fromkeys(i.method for i in intervals if i is not None and i.low is not None)
    return [clip(method, 240).text for method in list(found)[:_MAX_METHODS]]


def find_metric_info(result: RunResult, name: str) -> MetricInfo:
    """What is known of a metric; likelihoods are lower-is-better, an unknown one keeps its name."""
    for metric in result.metrics.all:
        if metric.name == name:
            return metric
    title = NLL_TITLES.get(name.removeprefix("nll."))
    if title:
        return MetricInfo(name, title, higher_is_better=False)
    return MetricInfo(name, name, higher_is_better=True)


def metric_digits(metric: MetricInfo) -> int | None:
    """Decimals of a metric: one if it is shown in points."""
    return None if metric.points_per_unit == 1.0 else 1


def axis_title(metric: MetricInfo) -> str:
    """A metric with its direction."""
    better = "higher" if metric.higher_is_better else "lower"
    points = ", points" if metric.points_per_unit != 1.0 else ""
    nats = ", nats per token" if metric.name.startswith("nll.") else ""
    return f"{clip(metric.title, 60).text}{points}{nats} ({better} is better)"


def two_widths(draw: Callable[[str, int], str], name: str) -> Figure:
    """Draw a figure for wide and for narrow pages.

    Args:
        draw: From an identifier and a width to an `<svg>`, whose data it has escaped.
        name: Start of the identifiers.
    """
    return Figure(Markup(draw(f"{name}-w", WIDE)), Markup(draw(f"{name}-n", NARROW)))


def score_figures(result: RunResult) -> dict[str, Figure]:
    """Dot plots of the primary metric and the likelihoods, and the frontier."""
    primary = find_metric_info(result, result.metrics.primary)
    digits = metric_digits(primary)
    arms = result.arms[:_MAX_ARMS]

    def score(i: int) -> Interval | None:
        return in_points(arms[i].scores.get(primary.name), primary.points_per_unit)

    score_dots = [Dot(arm.arm, i, score(i)) for i, arm in enumerate(arms)]
    figures = {
        "score": two_widths(
            lambda name, width: interval_plot(
                score_dots, name=name, title=f"{primary.title} by arm", axis=axis_title(primary),
                width=width, digits=digits,
            ),
            "f-score",
        )
    }  # fmt: skip
    for kind in NLL_TITLES:
        metric = find_metric_info(result, f"nll.{kind}")
        dots = [Dot(arm.arm, i, arm.nll.get(kind)) for i, arm in enumerate(arms)]
        figures[kind] = two_widths(
            lambda name, width, dots=dots, metric=metric: interval_plot(  # type: ignore[misc]
                dots, name=name, title=f"{metric.title} by arm", axis=axis_title(metric),
                width=width,
            ),
            f"f-{kind.replace('_', '-')}",
        )  # fmt: skip
    against = "retention" if figures["retention"] else "general_heldout"
    frontier = [Dot(arm.arm, i, score(i), arm.nll.get(against)) for i, arm in enumerate(arms)]
    figures["frontier"] = two_widths(
        lambda name, width: frontier_plot(
            frontier, name=name, title=f"{primary.title} against {NLL_TITLES[against]}",
            x_axis=axis_title(find_metric_info(result, f"nll.{against}")),
            y_axis=axis_title(primary), width=width, digits=digits,
        ),
        "f-frontier",
    )  # fmt: skip
    return figures


def comparison_rows(result: RunResult) -> tuple[list[dict[str, Any]], int, Figure]:
    """The pairwise comparisons.

    Returns:
        The rows of the table, how many more there are, and those of the primary metric as a
        figure.
    """
    rows, dots = [], []
    index = {arm.arm: i for i, arm in enumerate(result.arms)}
    for c in result.comparisons[:_MAX_COMPARISONS]:
        metric = find_metric_info(result, c.metric)
        difference = in_points(c.difference, metric.points_per_unit)
        assert difference is not None
        shown = number(difference, metric_digits(metric))
        sign = "+" if difference.value is not None and difference.value > 0 else ""
        rows.append(
            {
                "pair": f"{c.arm} − {c.against}",
                "metric": metric.title,
                "difference": replace(shown, value=sign + shown.value),
                "reading": _reading(difference, metric.higher_is_better),
                "p": None if c.p is None else "< 0.001" if c.p < 0.001 else f"{c.p:.3f}",
                "rows": [c.rows_better, c.rows_worse, c.rows_tied],
            }
        )
        if c.metric == result.metrics.primary:
            dots.append(Dot(f"{c.arm} − {c.against}", index.get(c.arm, 0), difference))
    primary = find_metric_info(result, result.metrics.primary)
    figure = two_widths(
        lambda name, width: interval_plot(
            dots, name=name, title=f"Differences in {primary.title}",
            axis=f"difference in {axis_title(primary)}", width=width, zero=True,
            digits=metric_digits(primary),
        ),
        "f-pairs",
    )  # fmt: skip
    return rows, max(0, len(result.comparisons) - _MAX_COMPARISONS), figure


def _reading(difference: Interval, higher_is_better: bool) -> str:
    """What the interval says: better, worse, or not decided."""
    if difference.value is None or difference.low is None or difference.high is None:
        return ""
    if difference.low <= 0 <= difference.high:
        return "not decided"
    return "better" if (difference.low > 0) == higher_is_better else "worse"


def arm_rows(result: RunResult) -> list[dict[str, Any]]:
    """One dictionary an arm: scores, likelihoods, divergence, unparseable answers, cost."""
    rows = []
    for i, arm in enumerate(result.arms[:_MAX_ARMS]):
        tokens = arm.tokens
        bad = arm.unparseable
        untrained = "not trained" if arm.steps == 0 else number_text(None)
        rows.append(
            {
                "index": i % 8,
                "arm": clip(arm.arm, 40).text,
                "title": clip(arm.title, 160).text,
                "seeds": len(arm.seeds),
                "scores": [
                    number(in_points(arm.scores.get(m.name), m.points_per_unit), metric_digits(m))
                    for m in result.metrics.all
                ],
                "nll": [number(arm.nll.get(kind)) for kind in NLL_TITLES],
                "kl": [number(arm.kl_to_base.get(k)) for k in ("general_heldout", "retention")],
                "unparseable": f"{bad.count:,} of {bad.n:,}" if bad else number_text(None),
                "steps": count_text(arm.steps),
                "tokens": count_text(tokens.task + tokens.general) if tokens else untrained,
                "task_share": _share(tokens.supervised_task, tokens.supervised_general)
                if tokens
                else untrained,
                "train": untrained
                if arm.seconds.train is None
                else seconds_text(arm.seconds.train),
                "evaluate": seconds_text(arm.seconds.evaluate),
                "memory": bytes_text(arm.peak_memory_bytes),
            }
        )
    return rows


def _share(part: int, rest: int) -> str:
    return f"{100 * part / (part + rest):.0f} %" if part + rest else "none"


LEAK_TITLES = {
    "train-test": "test rows like training rows",
    "general-test": "general rows like test rows",
    "general-train": "general rows like training rows",
}


def leak_lines(result: RunResult) -> list[str]:
    """What the leak gate found between each two sets, a line each."""
    lines = []
    for sets, title in LEAK_TITLES.items():
        found = [leak for leak in result.leaks or () if leak.sets == sets]
        if found:
            kinds = ", ".join(f"{leak.rows:,} {clip(leak.kind, 40).text}" for leak in found)
            dropped = sum(leak.dropped for leak in found)
            done = f"; {dropped:,} dropped" if sets != "train-test" else ""
            lines.append(f"{title}: {sum(leak.rows for leak in found):,} ({kinds}){done}")
    if result.task.parted_rows:
        lines.append(
            f"near duplicates in training and test both: {result.task.parted_rows:,} rows of "
            "groups too large for one side"
        )
    return lines


def curve_figures(result: RunResult) -> list[tuple[Markup, str]]:
    """One panel an arm, each with a note on how many cells it shows."""
    shown = []
    for i, arm in enumerate(result.arms[:_MAX_ARMS]):
        curves = [c for c in result.curves if c.arm == arm.arm]
        shown.append((i, arm, curves[:_MAX_CURVES], len(curves)))
    extent = curve_range([curve for _, _, curves, _ in shown for curve in curves])
    if extent is None:
        return []
    panels = []
    for i, arm, curves, total in shown:
        svg = curve_panel(
            curves, extent, name=f"f-curve-{i}", title=f"Losses of {arm.arm}", index=i
        )
        if svg:
            name = clip(arm.arm, 40).text
            cells = f"{total} cell{'s' if total != 1 else ''}"
            note = f"{len(curves)} of {cells}" if total > len(curves) else cells
            panels.append((Markup(svg), f"{name}: {note}"))
    return panels


def order_figure(result: RunResult) -> Figure | None:
    """Where the task rows fell along the training order."""
    spread = result.mixture.dispersion if result.mixture else None
    if spread is None:
        return None
    even = spread.task_positions / max(1, len(spread.histogram))
    stretch = spread.positions / max(1, len(spread.histogram))
    return two_widths(
        lambda name, width: bar_chart(
            spread.histogram, name=name, title="Task rows along the training order",
            x_axis=f"position in the order (a bar is about {stretch:,.0f} rows)",
            y_axis="task rows", edges=("1", f"{spread.positions:,}"), width=width, even=even,
        ),
        "f-order",
    )  # fmt: skip


def order_facts(result: RunResult) -> list[tuple[str, str]]:
    """Task rows per step, share of the loss tokens, gaps and runs, as name and text."""
    spread = result.mixture.dispersion if result.mixture else None
    if spread is None:
        return []
    per_step, gaps = spread.task_rows_per_step, spread.gaps
    facts = [
        (
            "task rows per step",
            f"{per_step.mean:.2f} on average, {per_step.min:.0f} to {per_step.max:.0f} "
            f"(of {spread.step_rows} rows a step)",
        ),
        (
            "steps without a task row",
            f"{spread.steps_without_task:,} of {spread.steps:,}",
        ),
    ]
    share, by_step = spread.task_loss_share, spread.task_loss_share_per_step
    if share is None:
        facts.append(("share of loss tokens from task rows", number_text(None)))
    else:
        range_ = (
            f", {100 * by_step.min:.0f} to {100 * by_step.max:.0f} % by step" if by_step else ""
        )
        facts.append(("share of loss tokens from task rows", f"{100 * share:.0f} % in all{range_}"))
    if gaps:
        facts += [
            (
                "gap between task rows",
                f"{gaps.mean:.1f} positions on average (a uniform shuffle: "
                f"{gaps.expected_mean:.1f})",
            ),
            (
                "longest gap",
                f"{gaps.max:,} positions (a uniform shuffle: about {gaps.expected_max:,.0f})",
            ),
        ]
    facts.append(("longest run of task rows", f"{spread.longest_task_run:,}"))
    return facts
