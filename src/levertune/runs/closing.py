"""What a run says when it is done: a small table, and how to use the adapter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from levertune.models.adapters import AdapterCard, read_card
from levertune.results.schema import Comparison, Interval, RunResult

if TYPE_CHECKING:
    from levertune.runs.prepare import Prepared

_MISSING = "not measured"


def closing_table(result: RunResult) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Score, NLL, retention, tokens and time of each arm."""
    primary = next(m for m in result.metrics.all if m.name == result.metrics.primary)
    columns = (
        "arm", primary.title, "task NLL", "retention NLL", "unparseable", "tokens", "steps", "time",
    )  # fmt: skip
    rows = []
    for arm in result.arms:
        tokens = arm.tokens
        rows.append(
            (
                arm.arm,
                _with_interval(arm.scores.get(primary.name), primary.points_per_unit, 1),
                _with_interval(arm.nll.get("task"), 1.0, 2),
                _with_interval(arm.nll.get("retention"), 1.0, 2),
                f"{arm.unparseable.count}/{arm.unparseable.n}" if arm.unparseable else _MISSING,
                f"{tokens.task + tokens.general:,}" if tokens else "-",
                f"{arm.steps:.0f}" if arm.steps else "-",
                _time(arm.seconds.total),
            )
        )
    return columns, tuple(rows)


def difference_table(
    result: RunResult, differences: Sequence[Comparison]
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Differences between two arms, a row a metric.

    Args:
        result: A run that has the metrics, for their names and points.
        differences: The differences.
    """
    known = {metric.name: metric for metric in result.metrics.all}
    rows = []
    for found in differences:
        metric = known.get(found.metric)
        factor, decimals = (metric.points_per_unit, 1) if metric else (1.0, 3)
        counts = (found.rows_better, found.rows_worse, found.rows_tied)
        rows.append(
            (
                metric.title if metric else found.metric,
                _with_interval(found.difference, factor, decimals),
                "-" if None in counts else " / ".join(f"{count:,}" for count in counts),
                str(found.difference.n),
            )
        )
    return ("measure", "difference", "better / worse / same", "rows"), tuple(rows)


def closing_lines(prepared: Prepared, result: RunResult, best: Path | None) -> list[str]:
    """Warnings, failures and the lines that load the adapter with peft alone."""
    lines = [f"warning: {warning}" for warning in result.warnings]
    lines += [f"failed: {failure.cell}: {failure.reason}" for failure in result.failures]
    if best is None:
        return lines
    card = read_card(best)
    base = prepared.workspace.location
    name = base.name if base.origin == "hub" else str(base.folder)
    rows = "all rows" if prepared.inputs.test_mode == "cv" else "the training rows"
    lines += [
        f"best adapter: {best} (arm {card.arm}, trained on {rows}). To load it with peft alone:",
        "  from transformers import AutoModelForCausalLM, AutoTokenizer",
        "  from peft import PeftModel",
        *_base_lines(name, card),
        f'  model = PeftModel.from_pretrained(base, "{best}")',
        f'  tokenizer = AutoTokenizer.from_pretrained("{best}")',
    ]
    if card.anchor is not None:
        where = {"prefix": "in front of", "suffix": "behind", "system": "as system turn to"}
        lines.append(f"  and put its anchor {where[card.anchor.placement]} each prompt: "
                     f"{card.anchor.text!r}")  # fmt: skip
    return lines


def _base_lines(name: str, card: AdapterCard) -> list[str]:
    """The lines that load the base model in the form the adapter was trained on."""
    if card.quantization is None:
        return [f'  base = AutoModelForCausalLM.from_pretrained("{name}")']
    return [
        "  from transformers import BitsAndBytesConfig",
        "  bits = BitsAndBytesConfig(load_in_4bit=True, "
        f'bnb_4bit_quant_type="{card.quantization}", '
        f'bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype="{card.dtype}")',
        f'  base = AutoModelForCausalLM.from_pretrained("{name}", dtype="{card.dtype}", '
        "quantization_config=bits)",
    ]


def _with_interval(interval: Interval | None, factor: float, decimals: int) -> str:
    if interval is None or interval.value is None:
        return _MISSING
    value = f"{interval.value * factor:.{decimals}f}"
    if interval.low is None or interval.high is None:
        return value
    low, high = interval.low * factor, interval.high * factor
    return f"{value} [{low:.{decimals}f}, {high:.{decimals}f}]"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return _MISSING
    return f"{seconds / 60:.1f} min" if seconds >= 100 else f"{seconds:.0f} s"
