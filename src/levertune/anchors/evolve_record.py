"""Every candidate of a search on record: where it came from, what it lost on which row, or why not.

Losses are kept by text and row, so that a search that was broken off is gone through again without
measuring anything twice.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from levertune.anchors.candidates import DesignCost
from levertune.anchors.guard import FindFault
from levertune.data.records import Record
from levertune.errors import RunError
from levertune.results.files import read_jsonl, write_jsonl_atomically

_FIELDS = {
    "key": str, "text": str, "origin": str, "parent": (str, type(None)),
    "fault": (str, type(None)), "validation_nll": (float, int, type(None)), "losses": dict,
    "seconds": (float, int), "read": (int, type(None)),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class RowLoss:
    """How surprised the base model is by a row's right answer.

    Args:
        nll: Nats, summed over the answer's tokens.
        num_tokens: Number of these tokens.
        num_read: Tokens of the whole row, which the model read.
    """

    nll: float
    num_tokens: int
    num_read: int = 0


Measure = Callable[[str, Sequence[Record]], Sequence[RowLoss]]
"""Gives the losses of rows with a text as their anchor."""


@dataclass(slots=True)
class Tried:
    """A candidate on record.

    Args:
        key: Hash of the text and of what it was measured under.
        text: Its words.
        origin: `seed` with the way it was written, or `reflection`.
        parent: The text it was to improve on, or None.
        fault: Why it was refused, or None.
        validation_nll: Nats per token on all validation rows; None if it did not get so far.
        losses: Sum of nats and number of tokens by row id.
        seconds: Time its measuring took.
        read: Tokens that the model read for it; None in a record that does not say.
    """

    key: str
    text: str
    origin: str
    parent: str | None
    fault: str | None
    validation_nll: float | None = None
    losses: dict[str, tuple[float, int]] = field(default_factory=dict)
    seconds: float = 0.0
    read: int | None = 0


class Ledger:
    """The candidates of a search in the order they came, and their losses.

    Args:
        path: A JSON Lines file, or None to keep no record.
        identity: What else the losses depend on: the model and how it is asked.
        shown: Rows that are shown to the model that reflects.
        validation: Rows that candidates are chosen by.
        measure: Measures rows; asked for no row twice, and for no text that is refused.
        guard: Says why a text is refused.
        clock: Gives the time in seconds.

    Raises:
        RunError: If the file holds something else.
    """

    def __init__(
        self,
        path: Path | None,
        identity: str,
        shown: Sequence[Record],
        validation: Sequence[Record],
        measure: Measure,
        guard: FindFault,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._path = path
        self._measure = measure
        self._guard = guard
        self._clock = clock
        content = [
            [r.id, [(m.role, m.content) for m in r.prompt], r.completion]
            for r in (*shown, *validation)
        ]
        self._identity = [identity, content]
        self._validation = tuple(row.id for row in validation)
        self._kept = _read(path)
        self._tried: dict[str, Tried] = {}
        self.num_measured = 0

    @property
    def tried(self) -> tuple[Tried, ...]:
        """The candidates of this search so far."""
        return tuple(self._tried.values())

    @property
    def cost(self) -> DesignCost:
        """Time and tokens that measuring them took, in earlier sessions too."""
        costs = (DesignCost(one.read, one.seconds) for one in self._tried.values())
        return sum(costs, DesignCost())

    def add(self, text: str, origin: str, parent: str | None = None) -> Tried:
        """Put a candidate on record, once.

        Args:
            text: Its words.
            origin: Where it came from.
            parent: The text it is to improve on.

        Returns:
            Its entry; that of an earlier session has its losses.

        Raises:
            RunError: If the record cannot be written.
        """
        key = hashlib.sha256(json.dumps([self._identity, text]).encode("ascii")).hexdigest()[:32]
        if key not in self._tried:
            found = self._kept.pop(key, None) or Tried(key, text, origin, parent, None)
            # What this session has not come to yet is not known to it: the model is told which
            # texts got so far, and must be told the same again.
            found.fault, found.validation_nll = self._guard(text), None
            self._tried[key] = found
            self._save()
        return self._tried[key]

    def losses(self, one: Tried, rows: Sequence[Record]) -> list[RowLoss]:
        """The losses of rows, measured if they are not on record.

        Asked for all validation rows, their nats per token are put on record too.

        Args:
            one: A candidate that is not refused.
            rows: The rows.

        Raises:
            RunError: If the record cannot be written.
        """
        left = list({row.id: row for row in rows if row.id not in one.losses}.values())
        if left:
            started = self._clock()
            found = self._measure(one.text, left)
            one.seconds = round(one.seconds + self._clock() - started, 3)
            self.num_measured += len(left)
            if one.read is not None:
                one.read += sum(loss.num_read for loss in found)
            for row, loss in zip(left, found, strict=True):
                one.losses[row.id] = (loss.nll, loss.num_tokens)
        if one.validation_nll is None and {row.id for row in rows}.issuperset(self._validation):
            nats, tokens = zip(*(one.losses[name] for name in self._validation), strict=True)
            one.validation_nll = sum(nats) / max(1, sum(tokens))
            self._save()
        elif left:
            self._save()
        return [RowLoss(*one.losses[row.id]) for row in rows]

    def _save(self) -> None:
        if self._path is None:
            return
        rows = [*self._tried.values(), *self._kept.values()]
        write_jsonl_atomically(
            self._path, [{name: getattr(row, name) for name in _FIELDS} for row in rows]
        )


def _read(path: Path | None) -> dict[str, Tried]:
    """The entries of earlier sessions by key.

    Raises:
        RunError: If the file holds something else.
    """
    if path is None or not path.exists():
        return {}
    kept = {}
    for number, row in enumerate(read_jsonl(path), start=1):
        whole = {"read": None, **row}  # an earlier version kept no count
        if not _is_tried(whole):
            raise RunError(
                f"{path}, row {number}: no candidate of a search; found the fields {sorted(row)}. "
                "Remove the file, or name another."
            )
        losses = {name: (float(nll), tokens) for name, (nll, tokens) in row["losses"].items()}
        kept[row["key"]] = Tried(**{**whole, "losses": losses})
    return kept


def _is_tried(row: dict[str, Any]) -> bool:
    return (
        set(row) == set(_FIELDS)
        and all(isinstance(row[name], kind) for name, kind in _FIELDS.items())  # type: ignore[arg-type]
        and all(
            isinstance(loss, list)
            and len(loss) == 2
            and type(loss[0]) in (int, float)
            and type(loss[1]) is int
            for loss in row["losses"].values()
        )
    )
