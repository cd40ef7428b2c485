"""A table of kept cells: the variants of a grid, and how each differs from one of them by row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from anchor_design import describe_design
from kept import KeptCell

from levertune.runs.summary import BOOTSTRAP_SEED
from levertune.scoring.intervals import Interval, crossed_bootstrap, crossed_difference
from levertune.scoring.metrics import find_metric
from levertune.scoring.scored import Scored

COUNTS = ("tokens", "served_tokens")
"""The two counts of an anchor's tokens."""


def make_table(cells: Mapping[str, Mapping[int, KeptCell]], reference_name: str) -> str:
    """Write a Markdown table: score, likelihoods and time of variants, with differences.

    A difference is over the seeds that both have, and says how many where these are fewer.

    Args:
        cells: The cells of each variant by seed; a variant without cells is left out.
        reference_name: The variant the others are compared with, where it has cells.
    """
    reference = cells.get(reference_name, {})
    has_anchors = any("anchor" in cell.numbers for mine in cells.values() for cell in mine.values())
    lines = [
        "| variant | seeds | score | difference | task NLL | difference | retention NLL "
        "| minutes |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    if has_anchors:
        lines = [lines[0] + " anchor tokens | design |", lines[1] + " ---: | --- |"]
    for variant, mine in cells.items():
        if mine:
            columns = [*_columns(mine, reference), *(_anchor_columns(mine) if has_anchors else ())]
            lines.append(f"| {variant} | {len(mine)} | {' | '.join(columns)} |")
    return "\n".join(lines)


def _columns(mine: Mapping[int, KeptCell], reference: Mapping[int, KeptCell]) -> Iterator[str]:
    scores = {seed: cell.score for seed, cell in mine.items()}
    points = find_metric(next(iter(scores.values())).name).points_per_unit
    others = {seed: cell.score for seed, cell in reference.items()}
    comparable = mine is not reference and _same_rows(mine, reference)
    of = _of_seeds(sum(seed in reference for seed in mine), len(mine)) if comparable else ""
    yield _shown(_interval(scores), points, 1)
    yield _shown(_difference(scores, others) if comparable else None, points, 1, sign="+") + of
    task = {seed: cell.nll["task"] for seed, cell in mine.items()}
    others = {seed: cell.nll["task"] for seed, cell in reference.items()}
    yield _shown(_interval(task), 1, 3)
    yield _shown(_difference(task, others) if comparable else None, 1, 3, sign="+") + of
    yield _shown(_interval({seed: cell.nll["retention"] for seed, cell in mine.items()}), 1, 3)
    yield _mean_minutes([cell.numbers["seconds"]["total"] for cell in mine.values()])


def _anchor_columns(mine: Mapping[int, KeptCell]) -> Iterator[str]:
    """Tokens on a row in training and on a request of the adapter, and the design's cost.

    The variant's name says where test rows carry something else (`evaluation.anchor`).
    """
    counts = {_anchor_tokens(cell.numbers): None for cell in mine.values()}
    yield ", ".join(counts)
    designs = {describe_design(cell.numbers.get("design")): None for cell in mine.values()}
    yield "; ".join(designs)


def _anchor_tokens(numbers: Mapping[str, Any]) -> str:
    if "anchor" not in numbers:  # A cell kept before this was.
        return "-"
    anchor = numbers["anchor"]
    if anchor is None:
        return "0"
    tokens, served = ("?" if anchor[key] is None else anchor[key] for key in COUNTS)
    return str(tokens) if tokens == served else f"{tokens} → {served}"


def _mean_minutes(seconds: Sequence[float | None]) -> str:
    """Of the cells whose time is known: that of one killed between two checkpoints is not."""
    known = [value for value in seconds if value is not None]
    if not known:
        return "-"
    of = "" if len(known) == len(seconds) else f" ({len(known)} of {len(seconds)})"
    return f"{fmean(known) / 60:.1f}{of}"


def _of_seeds(shared: int, all_of_them: int) -> str:
    """How many seeds a difference is over, where the row has more."""
    if shared in (0, all_of_them):
        return ""
    return f" ({shared} seed{'s' if shared > 1 else ''})"


def _same_rows(mine: Mapping[int, KeptCell], reference: Mapping[int, KeptCell]) -> bool:
    return len({cell.ids["task"] for cell in (*mine.values(), *reference.values())}) == 1


def _interval(by_seed: Mapping[int, Scored]) -> Interval:
    return crossed_bootstrap(list(by_seed.values()), seed=BOOTSTRAP_SEED)


def _difference(mine: Mapping[int, Scored], others: Mapping[int, Scored]) -> Interval | None:
    """One variant minus another over the seeds that both have."""
    shared = [seed for seed in mine if seed in others]
    if not shared:
        return None
    return crossed_difference(
        [mine[seed] for seed in shared], [others[seed] for seed in shared], seed=BOOTSTRAP_SEED
    )


def _shown(found: Interval | None, factor: float, decimals: int, sign: str = "") -> str:
    if found is None or found.value is None:
        return "-"
    value = f"{found.value * factor:{sign}.{decimals}f}"
    if found.low is None or found.high is None:
        return value
    return f"{value} [{found.low * factor:.{decimals}f}, {found.high * factor:.{decimals}f}]"
