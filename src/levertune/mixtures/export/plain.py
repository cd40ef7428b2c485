"""The mixture as plain rows for any program: JSON Lines or Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from levertune.mixtures.export.files import COLUMN_TYPES, turn_type, write_parquet
from levertune.mixtures.export.readme import Readme
from levertune.mixtures.export.rows import Export
from levertune.results.files import write_jsonl_atomically

_COLUMNS = """\
One row a position, in training order. Each has `position`, `source` (`task`, or a general source),
`id` (of the row in its source), `exposure` (how often the row came before), `anchored` (whether it
carries the anchor), `prompt` (the turns, anchor applied; empty for a plain text), `lead_in` (text
the answer is made to start with: given, no part of the loss) and `completion` (what is learnt)."""


def write_jsonl(export: Export, folder: Path) -> Readme:
    """Write `mixture.jsonl`.

    Args:
        export: The mixture.
        folder: An empty folder.

    Returns:
        What its README says.
    """
    write_jsonl_atomically(folder / "mixture.jsonl", _rows(export))
    return _readme("mixture.jsonl", "json")


def write_parquet_file(export: Export, folder: Path) -> Readme:
    """Write `mixture.parquet`.

    Args:
        export: The mixture.
        folder: An empty folder.

    Returns:
        What its README says.

    Raises:
        DataError: If a text cannot be stored.
    """
    columns = {**COLUMN_TYPES, "prompt": turn_type(), "completion": "string"}
    write_parquet(folder / "mixture.parquet", _rows(export), columns)
    return _readme("mixture.parquet", "parquet")


def _rows(export: Export) -> Iterator[dict[str, Any]]:
    for row in export:
        yield {
            **row.origin,
            "prompt": row.turns,
            "lead_in": row.example.lead_in,
            "completion": row.example.completion,
        }


def _readme(name: str, reader: str) -> Readme:
    command = f'datasets.load_dataset("{reader}", data_files="{name}", split="train")'
    differences = [
        "No configuration is beside it: take the rows one after the other, unshuffled, with the "
        "loss on the completion and its end of turn."
    ]
    if reader == "json":
        differences.append(
            "`datasets` reads a column of nothing but dates as timestamps: then use `--to parquet`."
        )
    return Readme(
        trainer="any program",
        command=command,
        status="It is read back in levertune's tests.",
        rows=_COLUMNS,
        differences=tuple(differences),
    )
