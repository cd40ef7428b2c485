"""The plan of a mixture: how many rows of what, how often, in which order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from levertune.data.records import TASK_SOURCE
from levertune.errors import RecipeError

Order = Literal["shuffle", "even", "general-then-task", "task-then-general"]


@dataclass(frozen=True, slots=True)
class MixturePlan:
    """Everything the training order depends on, and nothing else.

    Args:
        task_rows: Task rows in training; 0 for a mixture of general rows alone.
        exposures: How many times each task row is trained on.
        general: Name and number of rows of each general source; each row is used once.
        order: `shuffle` (one uniform permutation), `even` (task rows evenly spaced), or one
            source of rows after the other.
        seed: Seed of the order.

    Raises:
        RecipeError: If a number is out of range, a name is blank or used twice, the order is
            unknown, or no row is left to train on.
    """

    task_rows: int
    exposures: int
    general: tuple[tuple[str, int], ...] = ()
    order: Order = "shuffle"
    seed: int = 0

    def __post_init__(self) -> None:
        _check_count("task rows", self.task_rows, at_least=0)
        _check_count("task.exposures", self.exposures, at_least=1)
        _check_count("mixture.seed", self.seed, at_least=0)
        if self.order not in get_args(Order):
            raise RecipeError(
                f"mixture.order: must be one of {list(get_args(Order))}; found {self.order!r}."
            )
        names: set[str] = set()
        for name, rows in self.general:
            if not name.strip() or name == TASK_SOURCE:
                raise RecipeError(
                    f"general.sources: {name!r} cannot name a general source. Use another name."
                )
            if name in names:
                raise RecipeError(
                    f"general.sources: {name!r} is named twice. Name each source once; its rows "
                    "are used at most once."
                )
            names.add(name)
            _check_count(f"general.sources: rows of {name!r}", rows, at_least=0)
        if self.num_positions == 0:
            raise RecipeError(
                "mixture: holds no rows; found 0 task rows and 0 general rows. "
                "Give at least one of them."
            )

    @property
    def num_task(self) -> int:
        """Positions that hold a task row."""
        return self.task_rows * self.exposures

    @property
    def num_general(self) -> int:
        """Positions that hold a general row."""
        return sum(rows for _, rows in self.general)

    @property
    def num_positions(self) -> int:
        """Length of the mixture."""
        return self.num_task + self.num_general

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources; their indices here are the ones a mixture holds."""
        return (TASK_SOURCE, *(name for name, _ in self.general))

    def to_json(self) -> dict[str, Any]:
        """The plan as a JSON object."""
        return {
            "task_rows": self.task_rows,
            "exposures": self.exposures,
            "general": [{"source": name, "rows": rows} for name, rows in self.general],
            "order": self.order,
            "seed": self.seed,
        }

    @classmethod
    def from_json(cls, obj: dict[str, Any]) -> MixturePlan:
        """The plan that `to_json` wrote.

        Args:
            obj: The JSON object.

        Returns:
            The plan.

        Raises:
            KeyError: If a field is missing.
            RecipeError: If a value is out of range.
        """
        return cls(
            task_rows=obj["task_rows"],
            exposures=obj["exposures"],
            general=tuple((entry["source"], entry["rows"]) for entry in obj["general"]),
            order=obj["order"],
            seed=obj["seed"],
        )


def _check_count(name: str, value: object, *, at_least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
        raise RecipeError(
            f"{name}: must be a whole number of at least {at_least}; found {value!r}."
        )
