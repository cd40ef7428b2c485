"""Scores of a cell's answers: at first, and again where what scores them has changed since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from levertune.results.cells import read_cell, read_predictions, write_cell, write_predictions
from levertune.runs.inputs import Inputs
from levertune.scoring.metrics import find_metric


@dataclass(frozen=True, slots=True)
class AnswerScores:
    """What the metrics say of the answers of one cell.

    Args:
        values: Each metric over all rows; None where it is undefined.
        by_row: Each row's scores by metric.
        parsed: Whether each row's answer could be read; None where nothing has to be.
        num_unparseable: Answers that some metric could not read.
    """

    values: dict[str, float | None]
    by_row: list[dict[str, float | None]]
    parsed: list[bool | None]
    num_unparseable: int


def score_answers(
    inputs: Inputs, predictions: Sequence[str], references: Sequence[tuple[str, ...]]
) -> AnswerScores:
    """Score answers by every metric of a run.

    Args:
        inputs: The run's inputs, which name the metrics.
        predictions: The answers.
        references: The right answers of each row.

    Raises:
        UserError: If a user's own metric fails.
    """
    values: dict[str, float | None] = {}
    by_row: list[dict[str, float | None]] = [{} for _ in predictions]
    unparseable = [False] * len(predictions)
    for name in inputs.metrics.names:
        scored = find_metric(name).score(predictions, references, labels=inputs.kind.labels or None)
        values[name] = scored.aggregate()
        for row, value in zip(by_row, scored.per_row, strict=True):
            row[name] = None if value != value else float(value)
        unparseable = [a or bool(b) for a, b in zip(unparseable, scored.unparseable, strict=True)]
    has_parser = inputs.kind.kind in ("json", "label")
    return AnswerScores(
        values,
        by_row,
        [not fault if has_parser else None for fault in unparseable],
        sum(unparseable),
    )


def rescore_cell(folder: Path, inputs: Inputs) -> None:
    """Write a done cell's scores again where its answers are scored otherwise now.

    A user's own metric may have changed since, and the run's result is always of the present one.

    Args:
        folder: The cell's folder.
        inputs: The run's inputs.

    Raises:
        RunError: If a file of the cell cannot be read.
        UserError: If a user's own metric fails.
    """
    rows = read_predictions(folder)
    found = score_answers(
        inputs, [row.prediction for row in rows], [row.references for row in rows]
    )
    rescored = [
        replace(row, scores=scores, parsed=parsed)
        for row, scores, parsed in zip(rows, found.by_row, found.parsed, strict=True)
    ]
    if rescored != rows:
        write_predictions(folder, rescored)
    cell = read_cell(folder)
    changed = replace(cell, scores=found.values, num_unparseable=found.num_unparseable)
    if changed != cell:
        write_cell(folder, changed)
