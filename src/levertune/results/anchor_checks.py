"""`decisions.jsonl`: the checks that decided, while training, which anchor the next rows carry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from levertune.results.files import read_jsonl, write_jsonl_atomically
from levertune.results.mapping import from_mapping, to_mapping

DECISIONS_FILE = "decisions.jsonl"

Origin = Literal["start", "template", "pool", "edit", "rewrite"]


@dataclass(frozen=True, slots=True)
class Challenger:
    """Another anchor at one check, against the one in use.

    Args:
        id: Content hash of the anchor.
        origin: Where it came from: the anchor training began with, a way to write one, an edit of
            the one in use, or the model's rewrite of it.
        text: Its words.
        tokens: Tokens it costs on each row.
        gain: By how many nats a row's answer is likelier with it, mean over the rows.
        standard_error: Standard error of that mean.
        is_beyond: Whether the gain is larger than one standard error.
    """

    id: str
    origin: Origin
    text: str
    tokens: int
    gain: float
    standard_error: float
    is_beyond: bool


@dataclass(frozen=True, slots=True)
class AnchorCheck:
    """One check of `anchor.schedule: refine`, a line of `decisions.jsonl`.

    Args:
        step: Optimizer steps taken before it.
        position: First position of the training order that the decision holds for.
        anchor_id: Content hash of the anchor in use before it.
        rows: Rows that the anchors were judged on; none of them is trained on.
        nll: Their NLL with that anchor, in nats: mean over the rows of the row's sum, the end of
            the turn included.
        challengers: The anchors it was compared with.
        switched_to: Content hash of the challenger that took its place; None where it was kept.
    """

    step: int
    position: int
    anchor_id: str
    rows: int
    nll: float
    challengers: tuple[Challenger, ...]
    switched_to: str | None = None

    @property
    def winner(self) -> Challenger | None:
        """The challenger that took the place of the anchor, if one did."""
        return next((c for c in self.challengers if c.id == self.switched_to), None)


def write_checks(folder: Path, checks: Sequence[AnchorCheck]) -> Path:
    """Write `decisions.jsonl` into a cell's folder, whole or not at all.

    Args:
        folder: The cell's folder.
        checks: The checks so far, in their order.

    Returns:
        The file.

    Raises:
        RunError: If the disk is full or the place cannot be written to.
    """
    path = folder / DECISIONS_FILE
    write_jsonl_atomically(path, [to_mapping(check) for check in checks])
    return path


def read_checks(folder: Path) -> list[AnchorCheck]:
    """Read and check the `decisions.jsonl` of a cell's folder.

    Args:
        folder: The cell's folder.

    Returns:
        The checks, in their order.

    Raises:
        RunError: If the file is missing, or a line has a missing, unknown or wrong key.
    """
    path = folder / DECISIONS_FILE
    return [
        from_mapping(AnchorCheck, row, where=f"{path}, line {number}")
        for number, row in enumerate(read_jsonl(path), start=1)
    ]
