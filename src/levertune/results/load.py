"""Results of many runs as one table, a row per arm, seed and fold."""

from __future__ import annotations

import glob
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from levertune.errors import RunError
from levertune.results.cells import CELL_FILE, Cell, read_cell
from levertune.results.schema import RESULT_FILE, RunResult, read_result

if TYPE_CHECKING:
    import pandas as pd


def load_results(pattern: str | Path) -> pd.DataFrame:
    """Read every cell of the run folders that match a pattern.

    A row is one cell: one arm at one seed, fold and subset of one run. Its columns say which run,
    task and model it belongs to; `score` is the primary metric (named in `primary_metric`), and
    each metric has a column `score_NAME`. What was not measured is missing, never zero. A run
    that is not done gives the cells it has, with `done` False and no task, model or score.

    Args:
        pattern: A run folder, a folder of run folders, a `result.json`, or a glob such as
            `runs/**`.

    Returns:
        The table, sorted by run, arm, seed, fold and subset.

    Raises:
        RunError: If nothing matches, or a file there is damaged.
    """
    import pandas as pd  # 0.3 s: only who asks for a table pays for it

    runs = find_runs(pattern)
    rows = [row for run_dir in runs for row in _run_rows(run_dir)]
    if not rows:
        raise RunError(f"{pattern}: none of the {len(runs)} run folders has a finished cell yet.")
    table = pd.DataFrame(rows)
    for name in ("fold", "stopped_early_at", "peak_memory_bytes"):
        table[name] = table[name].astype("Int64")  # whole numbers that may be missing
    return table.sort_values(
        ["run", "arm", "seed", "fold", "subset"], kind="stable", na_position="first"
    ).reset_index(drop=True)


def find_runs(pattern: str | Path) -> list[Path]:
    """Run folders (with a `result.json`, or with `arms/`) that match a pattern.

    Args:
        pattern: As for `load_results`.

    Returns:
        The folders, sorted, each once.

    Raises:
        RunError: If there is none.
    """
    text = str(pattern)
    if glob.has_magic(text) and not Path(text).exists():
        matches = [Path(match) for match in glob.glob(text, recursive=True)]
    elif Path(text).is_dir():
        matches = [Path(text), *(p for p in Path(text).rglob("*") if p.name in _MARKS)]
    else:
        matches = [Path(text)]
    found = set()
    for match in matches:
        if match.name in _MARKS and match.exists():
            found.add(match.parent)
        elif any((match / mark).exists() for mark in _MARKS):
            found.add(match)
    if not found:
        raise RunError(
            f"{text}: no run folder there; looked for {RESULT_FILE!r} or 'arms'. "
            "Give a run folder, or a pattern such as 'runs/**' in quotes."
        )
    return sorted(found)


_MARKS = (RESULT_FILE, "arms")


def _run_rows(run_dir: Path) -> list[dict[str, Any]]:
    if (run_dir / RESULT_FILE).exists():
        result = read_result(run_dir)
        folders = [run_dir / PurePosixPath(cell) for arm in result.arms for cell in arm.cells]
        return [_row(run_dir, read_cell(folder), result) for folder in folders]
    files = sorted(run_dir.glob(f"arms/**/{CELL_FILE}"))
    return [_row(run_dir, read_cell(file.parent), None) for file in files]


def _row(run_dir: Path, cell: Cell, result: RunResult | None) -> dict[str, Any]:
    primary = result.metrics.primary if result else None
    row: dict[str, Any] = {
        "run": result.name if result else run_dir.resolve().name,
        "run_dir": str(run_dir),
        "done": result is not None,
        "created": result.created if result else None,
        "task": result.task.path if result else None,
        "task_kind": result.task.kind if result else None,
        "model": result.model.name if result else None,
        "anchor_id": result.anchor.id if result and result.anchor else None,
        "arm": cell.arm,
        "seed": cell.seed,
        "fold": cell.fold,
        "subset": cell.subset,
        "primary_metric": primary,
        "score": cell.scores.get(primary) if primary else None,
    }
    row |= {f"score_{name}": value for name, value in cell.scores.items()}
    for name in ("task", "general_heldout", "retention"):
        nll = getattr(cell.nll, name)
        row[f"nll_{name}"] = nll.per_token if nll else None
    task_nll = cell.nll.task
    return row | {
        "nll_task_per_row": task_nll.per_row if task_nll else None,
        "nll_task_end_of_turn": task_nll.end_of_turn if task_nll else None,
        "kl_general_heldout": cell.kl_to_base.general_heldout,
        "kl_retention": cell.kl_to_base.retention,
        "num_test_rows": cell.num_test_rows,
        "num_unparseable": cell.num_unparseable,
        "task_rows": cell.task_rows,
        "exposures": cell.exposures,
        "general_rows": cell.general_rows,
        "steps_taken": cell.steps_taken,
        "stopped_early_at": cell.stopped_early_at,
        "task_tokens": cell.tokens.task,
        "general_tokens": cell.tokens.general,
        "supervised_task_tokens": cell.tokens.supervised_task,
        "supervised_general_tokens": cell.tokens.supervised_general,
        "train_seconds": cell.seconds.train,
        "evaluate_seconds": cell.seconds.evaluate,
        "total_seconds": cell.seconds.total,
        "tokens_per_second": cell.tokens_per_second,
        "peak_memory_bytes": cell.peak_memory_bytes,
        "fingerprint": cell.fingerprint,
    }
