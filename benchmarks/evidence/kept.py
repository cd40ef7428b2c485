"""Finished cells of a grid as small files of ids and numbers: a grid outlives its machine.

A cell trained elsewhere, or last week, is not trained again, and is compared row by row all the
same: what is kept of a row are the statistics its metric sums and its likelihood, never a text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from levertune.results.cells import CELL_FILE, cell_dir, read_cell
from levertune.results.files import read_json, write_text_atomically
from levertune.results.inputs import AnchorInfo
from levertune.results.mapping import to_mapping
from levertune.results.schema import read_result
from levertune.runs.arms import ARMS
from levertune.runs.cells import CellPlan
from levertune.runs.summary import gather_arm
from levertune.scoring.metrics import find_metric
from levertune.scoring.scored import Scored, scored_ratio


@dataclass(frozen=True)
class KeptCell:
    """What is kept of one cell.

    Args:
        seed: Its seed.
        score: The primary metric over its test rows.
        nll: NLL per token, by set of rows.
        ids: Ids of the rows of each set, in the order of the rows.
        numbers: Steps, tokens, seconds and what else was counted.
    """

    seed: int
    score: Scored
    nll: Mapping[str, Scored]
    ids: Mapping[str, tuple[str, ...]]
    numbers: Mapping[str, Any]


def keep_cell(
    run_dir: Path,
    arm: str,
    seed: int,
    *,
    made_by: str,
    settings: Mapping[str, Any],
    to: Path,
    design: Mapping[str, Any] | None = None,
) -> bool:
    """Keep a finished cell.

    Args:
        run_dir: The run folder.
        arm: The arm.
        seed: The seed.
        made_by: Hash of everything the grid says of the run; a cell of another is another cell.
        settings: What the run changed, by recipe key, for those who read the file.
        to: The file.
        design: What designing its anchor cost; None if nothing wrote it.

    Returns:
        Whether there was a finished cell.
    """
    folder = run_dir / cell_dir(arm, seed)
    if not (folder / CELL_FILE).is_file() or not (run_dir / "result.json").is_file():
        return False
    result = read_result(run_dir)
    primary, labels = result.metrics.primary, result.task.labels
    rows = gather_arm(run_dir, [CellPlan(ARMS[arm], seed)], metrics=[primary], labels=labels)
    [score] = rows.scores[primary]
    cell = read_cell(folder)
    kept = {
        "made_by": made_by,
        "settings": dict(settings),
        "task_sha256": result.task.sha256,
        "model_sha256": result.model.sha256,
        "seed": seed,
        "numbers": {
            "steps": cell.steps_taken,
            "general_rows": cell.general_rows,
            "unparseable": cell.num_unparseable,
            "tokens": to_mapping(cell.tokens),
            "seconds": to_mapping(cell.seconds),
            "peak_memory_bytes": cell.peak_memory_bytes,
            "anchor": _anchor_numbers(result.anchor),
            "design": dict(design) if design is not None else None,
        },
        "provenance": to_mapping(cell.provenance),
        "score": pack_score(score),
        "ids": {
            name: [row_id for _, row_id in ids] for name, ids in rows.ids.items() if rows.nll[name]
        },
        "nll": {
            name: [[_short(value) for value in line] for line in by_seed[0].statistics]
            for name, by_seed in rows.nll.items()
            if by_seed
        },
    }
    write_text_atomically(to, json.dumps(kept, separators=(",", ":"), allow_nan=False) + "\n")
    return True


def read_kept(path: Path, made_by: str) -> KeptCell | None:
    """A cell that was kept.

    Args:
        path: Its file.
        made_by: Hash of what the grid says of its run now.

    Returns:
        The cell; None if there is none, or one of another hash.
    """
    if not path.is_file():
        return None
    kept = read_json(path)
    if kept["made_by"] != made_by:
        return None
    return KeptCell(
        seed=kept["seed"],
        score=unpack_score(kept["score"]),
        nll={
            name: scored_ratio(f"nll.{name}", *np.array(lines, dtype=np.float64).T)
            for name, lines in kept["nll"].items()
        },
        ids={name: tuple(ids) for name, ids in kept["ids"].items()},
        numbers=kept["numbers"],
    )


def _anchor_numbers(anchor: AnchorInfo | None) -> dict[str, Any] | None:
    """An anchor without its words."""
    if anchor is None:
        return None
    return {"id": anchor.id, "tokens": anchor.tokens, "served_tokens": anchor.served_tokens}


def pack_score(score: Scored) -> dict[str, Any]:
    """A metric's rows as numbers.

    Args:
        score: The rows scored.

    Returns:
        The metric, its value, and by row its own score and what the metric sums of it:
        `[column, value, column, value, ...]`, zeros left out.
    """
    return {
        "metric": score.name,
        "value": score.aggregate(),
        "columns": score.statistics.shape[1],
        "per_row": [None if np.isnan(value) else _short(value) for value in score.per_row],
        "statistics": [_sparse(line) for line in score.statistics],
    }


def unpack_score(packed: Mapping[str, Any]) -> Scored:
    """The rows as they were scored; the way the metric sums them is taken from the metric.

    Args:
        packed: What `pack_score` gave.

    Returns:
        The scored rows, without which of them could not be read.
    """
    metric, columns = find_metric(packed["metric"]), packed["columns"]
    # A label metric sums, for each label, right answers, true labels and answers; and the unknown.
    labels = [str(n) for n in range((columns - 1) // 3)] if metric.kind == "label" else None
    like = metric.score(["0"], [["0"]], labels=labels)
    statistics = np.zeros((len(packed["statistics"]), columns))
    for row, line in enumerate(packed["statistics"]):
        statistics[row, np.array(line[::2], dtype=int)] = line[1::2]
    per_row = np.array([np.nan if value is None else value for value in packed["per_row"]])
    unparseable = np.zeros(len(per_row), dtype=bool)
    return replace(like, per_row=per_row, statistics=statistics, unparseable=unparseable)


def _sparse(line: np.ndarray) -> list[float]:
    found: list[float] = []
    for column in np.flatnonzero(line):
        found += [int(column), _short(line[column])]
    return found


def _short(value: float) -> float:
    """A number as short as it can be said; NLLs to a millionth of a nat."""
    return int(value) if value == int(value) else round(float(value), 6)
