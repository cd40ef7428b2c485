"""The rows that show what is forgotten: never trained on, nor like any that may be."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from levertune.data.draws import allot_rows
from levertune.data.general import read_general, read_retention
from levertune.data.leaks import find_leaks
from levertune.data.records import Record, RecordFile
from levertune.errors import DataError
from levertune.recipes.recipe import Recipe

RETENTION_SEED = 0
"""Retention is measured on the same rows in every arm and seed of a run."""

SHIPPED = "embedded-retention"


def read_retention_rows(
    recipe: Recipe,
    task: RecordFile,
    general: Sequence[RecordFile],
    *,
    instruction: str | None,
) -> tuple[tuple[Record, ...], list[str]]:
    """Read the rows retention is measured on, without those like a row that may be trained on.

    Args:
        recipe: The recipe; its `evaluation` section says which rows, and how many.
        task: The task rows.
        general: The general sources, as they may be mixed in.
        instruction: What the task rows share, left out where rows are compared.

    Returns:
        The rows, and what a reader should know.

    Raises:
        DataError: If the rows cannot be read, or all of them are like rows that may be trained on.
    """
    setting = recipe.evaluation
    if setting.retention is None or setting.retention_rows == 0:
        return (), []
    if setting.retention == SHIPPED:
        rows = allot_rows(read_retention().records, setting.retention_rows, seed=RETENTION_SEED)
        return tuple(rows), []
    files = read_general(setting.retention, name="retention")
    mixed_in = {file.sha256 for file in general}  # whatever path they were named by
    if any(file.sha256 in mixed_in for file in files):
        raise DataError(
            f"evaluation.retention: {setting.retention!r} is a general source too, so what it "
            "measures is not retention. Name rows that are never mixed in."
        )
    records = tuple(record for file in files for record in file.records)
    rows = allot_rows(records, setting.retention_rows, seed=RETENTION_SEED)
    trained = list(chain(task.records, *(file.records for file in general)))
    leaks = find_leaks(trained, rows, instruction=instruction)
    if not leaks:
        return tuple(rows), []
    alike = {(leak.like_source, leak.like_id) for leak in leaks}
    kept = tuple(row for row in rows if (row.source, row.id) not in alike)
    first = leaks[0]
    found = (
        f"{len(alike)} of {len(rows)} rows are like task or general rows (row {first.like_id!r} "
        f"like row {first.id!r} of {first.source}), so they do not show retention"
    )
    if not kept:
        raise DataError(f"evaluation.retention: {found}. Name rows that are never mixed in.")
    return kept, [f"evaluation.retention: {found}; they are left out."]
