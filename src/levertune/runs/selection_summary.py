"""Which general rows were drawn or chosen, and why: as sentences, for the result and the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from levertune.data.records import TASK_SOURCE, Record
from levertune.results.selection import ChosenRow, DepthAgreement, SelectionInfo
from levertune.runs.cells import CellData
from levertune.selection.selection import Selection, row_text

if TYPE_CHECKING:
    from levertune.runs.prepare import Prepared

_TOP_ROWS = 12
_TEXT_CHARACTERS = 400


def describe_selection(prepared: Prepared, cells: Sequence[CellData]) -> list[str]:
    """What was chosen, in a sentence each; of a draw only what is not as asked for.

    Args:
        prepared: The run.
        cells: Its cells.
    """
    name = prepared.recipe.general.select
    if prepared.chooser.is_standing_in:
        return [
            f"general.select: {name} needs the model, so this look counts with a stratified draw; "
            "the time to choose is not in the estimate"
        ]
    info = summarize_selection(cells, prepared.chooser.pool)
    if info is None:
        return []
    if info.is_draw:
        return [f"general rows: {note}" for note in info.notes]
    sources = ", ".join(f"{rows:,} of {source}" for source, rows in info.by_source.items())
    lines = [f"general rows: {info.rows:,} chosen by {name} ({sources})"]
    if info.agreement is not None:
        found = info.agreement
        lines.append(
            f"{name} ran {found.layers} of {found.all_layers} layers: of the nearest {found.top} "
            f"rows among {found.rows} sampled, {100 * found.share:.0f} % are those all layers find "
            f"({100 * found.by_chance:.0f} % by chance)"
        )
    return lines + [f"general rows: {note}" for note in info.notes]


def summarize_selection(
    cells: Sequence[CellData], pool: Mapping[str, Sequence[Record]]
) -> SelectionInfo | None:
    """How the rows of the first cell with general rows were drawn or chosen; None without such.

    Args:
        cells: The run's cells.
        pool: The rows there are, by source.
    """
    cell = _first_chosen(cells)
    if cell is None:
        return None
    parts = cell.selections
    counts: Counter[str] = Counter()
    for part in parts:
        counts.update(part.by_source())
    agreement = next((part.agreement for part in parts if part.agreement is not None), None)
    return SelectionInfo(
        selector=parts[0].selector,
        rows=sum(len(part.rows) for part in parts),
        by_source=dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))),
        top=_top_rows(parts),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
        seconds=sum(part.seconds for part in parts),
        tokens=sum(part.tokens for part in parts),
        agreement=None
        if agreement is None
        else DepthAgreement(
            share=agreement.share,
            top=agreement.top,
            rows=agreement.rows,
            by_chance=agreement.by_chance,
            layers=agreement.layers,
            all_layers=agreement.all_layers,
        ),
        available={source: len(rows) for source, rows in pool.items()},
    )


def collect_selection_texts(
    prepared: Prepared, cells: Sequence[CellData]
) -> dict[tuple[str, str], str]:
    """Beginnings of the texts of the rows a report names, by source and id.

    Args:
        prepared: The run.
        cells: Its cells.
    """
    cell = _first_chosen(cells)
    if cell is None:
        return {}
    general = {(r.source, r.id): r for rows in prepared.chooser.pool.values() for r in rows}
    task = {record.id: record for record in cell.records}
    texts = {}
    for row in _top_rows(cell.selections):
        texts[row.source, row.id] = row_text(general[row.source, row.id])[:_TEXT_CHARACTERS]
        if row.nearest in task:
            texts[TASK_SOURCE, row.nearest] = row_text(task[row.nearest])[:_TEXT_CHARACTERS]
    return texts


def _first_chosen(cells: Sequence[CellData]) -> CellData | None:
    return next((cell for cell in cells if cell.selections), None)


def _top_rows(parts: Sequence[Selection]) -> tuple[ChosenRow, ...]:
    rows = [row for part in parts for row in part.rows[: _TOP_ROWS // len(parts) + 1]]
    return tuple(
        ChosenRow(row.source, row.id, row.score, row.nearest)
        for row in rows[:_TOP_ROWS]
        if row.nearest is not None  # as those of a draw
    )
