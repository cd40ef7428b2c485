"""Which general rows were taken, and why: the part of `result.json`, and their texts beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from levertune.errors import RunError
from levertune.results.files import read_jsonl, write_jsonl_atomically

SELECTION_FOLDER = "selection"
TEXTS_FILE = "texts.jsonl"


@dataclass(frozen=True, slots=True)
class ChosenRow:
    """One general row that was chosen.

    Args:
        source: Its source.
        id: Its id in that source.
        score: What the selector gave it; what that means depends on the selector.
        nearest: Id of the task row it was chosen for.
    """

    source: str
    id: str
    score: float | None
    nearest: str | None


@dataclass(frozen=True, slots=True)
class DepthAgreement:
    """How far the nearest rows found with fewer layers are those found with all of them.

    Args:
        share: Mean over task rows of the share of their nearest rows in common.
        top: How many nearest rows were compared.
        rows: Candidates the sample held.
        by_chance: What two blind draws would share.
        layers: Layers that were run.
        all_layers: Layers of the model.
    """

    share: float
    top: int
    rows: int
    by_chance: float
    layers: int
    all_layers: int


@dataclass(frozen=True, slots=True)
class SelectionInfo:
    """How the general rows of the `tell` arm were drawn or chosen, at its first seed and fold.

    Args:
        selector: Name of the selector, as the recipe's `general.select`.
        rows: Rows taken; those too long to train on are left out afterwards.
        by_source: Rows taken of each source.
        top: The first choices; none of a draw.
        notes: Caps that were lifted, and rows that were not to be had, one sentence each.
        seconds: Time it took when it was chosen.
        tokens: Tokens that went through the model for it; 0 without one.
        agreement: For `rds` with fewer layers, how far all layers agree; None if not measured.
        available: Rows there were of each source, leaks and held-out rows taken away.
    """

    selector: str
    rows: int
    by_source: dict[str, int]
    top: tuple[ChosenRow, ...]
    notes: tuple[str, ...]
    seconds: float
    tokens: int
    agreement: DepthAgreement | None = None
    available: dict[str, int] = field(default_factory=dict)

    @property
    def is_draw(self) -> bool:
        """Whether the rows were drawn without a look at the task rows."""
        return self.selector in ("stratified", "random")


def write_selection_texts(run_dir: Path, texts: dict[tuple[str, str], str]) -> None:
    """Write the texts of the rows `SelectionInfo.top` names, for the report.

    Args:
        run_dir: The run folder.
        texts: Text by source and id; the source of a task row is `task`.
    """
    rows: Sequence[dict[str, Any]] = [
        {"source": source, "id": id_, "text": text} for (source, id_), text in texts.items()
    ]
    write_jsonl_atomically(run_dir / SELECTION_FOLDER / TEXTS_FILE, rows)


def read_selection_texts(run_dir: Path) -> dict[tuple[str, str], str]:
    """Read what `write_selection_texts` wrote.

    Args:
        run_dir: The run folder.

    Returns:
        Text by source and id; empty where the file is not there.

    Raises:
        RunError: If the file is damaged.
    """
    path = run_dir / SELECTION_FOLDER / TEXTS_FILE
    if not path.is_file():
        return {}
    texts = {}
    for number, row in enumerate(read_jsonl(path), start=1):
        if set(row) != {"source", "id", "text"} or not all(
            isinstance(v, str) for v in row.values()
        ):
            raise RunError(
                f"{path}, line {number}: must hold source, id and text as strings; found "
                f"{sorted(row)}. The file was edited: delete it."
            )
        texts[row["source"], row["id"]] = row["text"]
    return texts
