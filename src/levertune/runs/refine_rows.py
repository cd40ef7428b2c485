"""Task rows set aside so that `anchor.schedule: refine` has something to judge anchors by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from levertune.anchors.lift import shared_instruction
from levertune.data.records import Record
from levertune.data.splits import split_holdout
from levertune.errors import DataError
from levertune.recipes.recipe import Recipe
from levertune.runs.inputs import Inputs

MIN_JUDGING = 5
"""A standard error over fewer rows says next to nothing."""

MAX_JUDGING = 100
"""More would make a check dear and the standard error hardly smaller."""

MIN_TRAINED = 5


@dataclass(frozen=True, slots=True)
class RefineRows:
    """The rows that anchors are written from and judged by while a cell trains.

    Args:
        judging: Rows that anchors are judged by; the cell does not train on them.
        written_from: All training rows of the cell, these among them, as the user wrote them.
        inputs: The inputs, with the cell's own split as the only one.
    """

    judging: tuple[Record, ...]
    written_from: tuple[Record, ...]
    inputs: Inputs


def set_aside(
    recipe: Recipe, records: Sequence[Record], *, seed: int
) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
    """Part the training rows of a cell into those trained on and those that judge anchors.

    Near duplicates stay on one side.

    Args:
        recipe: The recipe.
        records: The training rows that fit, in their order.
        seed: Seed of the choice.

    Returns:
        The rows to train on, and those set aside, both in their order.

    Raises:
        DataError: If too few would be left on one of the sides.
    """
    share = min(recipe.anchor.refine_rows, MAX_JUDGING / max(1, len(records)))
    try:
        split = split_holdout(records, share, seed=seed, instruction=shared_instruction(records))
    except DataError as error:
        raise DataError(
            f"anchor.schedule: refine cannot set rows aside from {len(records)} training rows that "
            "are all alike. Use anchor.schedule=constant, or bring more rows."
        ) from error
    if len(split.test) < MIN_JUDGING or len(split.train) < MIN_TRAINED:
        raise DataError(
            f"anchor.schedule: refine needs at least {MIN_JUDGING} rows to judge anchors by and "
            f"{MIN_TRAINED} to train on; found {len(split.test)} and {len(split.train)}, of "
            f"{len(records)} training rows with anchor.refine_rows={recipe.anchor.refine_rows:g}. "
            f"{_way_out(len(records))}"
        )
    return split.train, split.test


def _way_out(num_rows: int) -> str:
    least = math.ceil(100 * MIN_JUDGING / max(1, num_rows)) / 100
    raised = f"Set anchor.refine_rows={least:g} or more, bring more rows, or use"
    return f"{raised if least <= 0.5 else 'Bring more rows, or use'} anchor.schedule=constant."
