"""How far the way `evolve` searches: its rows, its budget, and the starts there is room for."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from levertune.anchors.asking import SERVER_MAX_TOKENS
from levertune.anchors.evolve_record import Tried
from levertune.data.draws import sample_items
from levertune.data.records import Record
from levertune.errors import DataError, RecipeError

_MIN_ROWS = 4
_MAX_QUOTED = 60


@dataclass(frozen=True, slots=True)
class EvolvePlan:
    """How far a search goes.

    Args:
        num_calls: Most rows looked at, a row under two candidates counted twice, and those found on
            record counted too.
        max_rows: Most training rows of the search, a sample; half of them, by a seeded draw,
            are shown to the model and the others validate.
        num_shown: Rows shown to the model at a time.
        max_tokens: Most tokens of an answer.
        seed: Seed of the draw and of gepa's choices.

    Raises:
        ValueError: If a number is below one.
    """

    num_calls: int = 400
    max_rows: int = 48
    num_shown: int = 6
    max_tokens: int = SERVER_MAX_TOKENS
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("num_calls", "max_rows", "num_shown", "max_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


def require_room(num_rows: int, plan: EvolvePlan) -> None:
    """Refuse a search that could not begin, whatever the starts.

    Args:
        num_rows: Training rows there are.
        plan: How far to go.

    Raises:
        DataError: If there are too few rows.
        RecipeError: If the budget ends before the model is asked.
    """
    if num_rows < _MIN_ROWS or plan.max_rows < _MIN_ROWS:
        raise DataError(
            f"--way evolve: needs at least {_MIN_ROWS} training rows, to show some and validate on "
            f"others; found {min(num_rows, plan.max_rows)}. Use another way."
        )
    num_shown, num_validation = _halves(min(num_rows, plan.max_rows))
    needed = _needed_calls(1, num_shown, num_validation, plan)
    if plan.num_calls < needed:
        raise RecipeError(
            f"--evolve-calls: must be at least {needed} for a candidate to start from and "
            f"{num_validation} validation rows; found {plan.num_calls}. Give more."
        )


def split_rows(
    records: Sequence[Record], plan: EvolvePlan
) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
    """Draw the rows to show, and the rows that validate.

    Args:
        records: Training rows.
        plan: How far to go.

    Raises:
        DataError: If there are too few.
        RecipeError: If the budget ends before the model is asked.
    """
    require_room(len(records), plan)
    rows = sample_items(records, plan.max_rows)
    drawn = random.Random(plan.seed).sample(list(rows), len(rows))
    num_shown, _ = _halves(len(drawn))
    return tuple(drawn[:num_shown]), tuple(drawn[num_shown:])


def fit_starts(
    usable: list[Tried], num_shown: int, num_validation: int, plan: EvolvePlan
) -> tuple[list[Tried], str | None]:
    """Take the starts that leave the budget room for a search.

    Args:
        usable: The starts, the most wanted first.
        num_shown: Rows to show.
        num_validation: Rows that validate.
        plan: How far to go.

    Returns:
        The first of them, and one line on the others, or None.
    """

    def needed(num_starts: int) -> int:
        return _needed_calls(num_starts, num_shown, num_validation, plan)

    num = sum(needed(n + 1) <= plan.num_calls for n in range(len(usable)))
    if num == len(usable):
        return usable, None
    named = ", ".join(
        f"{one.origin.removeprefix('seed: ')} {_shorten(one.text)!r}" for one in usable[num:]
    )
    line = (
        f"{len(usable) - num} of {len(usable)} candidates to start from are left out, for which "
        f"--evolve-calls {plan.num_calls} has no room ({needed(len(usable))} has): {named}"
    )
    return usable[:num], line


def _needed_calls(num_starts: int, num_shown: int, num_validation: int, plan: EvolvePlan) -> int:
    """Rows looked at until every start was tried and the model asked once."""
    in_turn = 2 * min(plan.num_shown, num_shown) * num_starts
    return (num_starts + 2) * num_validation + in_turn


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MAX_QUOTED else f"{line[: _MAX_QUOTED - 3]}..."


def _halves(num_rows: int) -> tuple[int, int]:
    """How many rows are shown, and how many validate."""
    return num_rows // 2, num_rows - num_rows // 2
