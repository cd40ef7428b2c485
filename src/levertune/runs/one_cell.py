"""One cell from its rows to its scores; a fault that is not the user's to mend is kept."""

from __future__ import annotations

import traceback

from levertune.errors import DivergedError, UserError
from levertune.models.memory import release_unused_memory
from levertune.progress import Progress
from levertune.results.files import write_json_atomically
from levertune.results.full_disk import find_full_disk
from levertune.results.schema import Failure
from levertune.runs.cells import CellData
from levertune.runs.evaluate_cell import evaluate_cell
from levertune.runs.prepare import Prepared
from levertune.runs.train_cell import claim_folder, train_cell

FAILURE_FILE = "failure.json"


def do_cell(prepared: Prepared, cell: CellData, progress: Progress) -> Failure | None:
    """Train and evaluate a cell; one cell's fault must not cost the others of a long grid.

    Args:
        prepared: The run.
        cell: The cell's rows.
        progress: Where to show progress.

    Returns:
        None, or why the cell failed; the traceback is in its folder.

    Raises:
        UserError: If something the user named cannot be used: the other cells would fare no better.
        Exception: If it means a full disk (`results.full_disk`): no other cell would fit either.
    """
    folder = prepared.run_dir / cell.plan.folder
    recipe = prepared.recipe_for(cell.plan)
    try:
        if cell.plan.arm.is_trained:
            train_cell(recipe, prepared.workspace, cell, folder, progress)
        else:
            claim_folder(folder, cell)
        evaluate_cell(
            recipe,
            prepared.inputs,
            prepared.workspace,
            cell,
            prepared.probes,
            folder,
            progress,
        )
    except Exception as error:
        if isinstance(error, UserError) and not isinstance(error, DivergedError):
            raise
        if find_full_disk(error) is not None:
            raise
        text = " ".join(str(error).split())
        # One of ours is a line already, which names rows and checkpoint at its end.
        reason = f"{type(error).__name__}: {text if isinstance(error, UserError) else text[:300]}"
        write_json_atomically(
            folder / FAILURE_FILE, {"reason": reason, "traceback": traceback.format_exc()}
        )
        prepared.workspace.forget_base()
        return Failure(cell.plan.folder, reason)
    finally:
        release_unused_memory()
    (folder / FAILURE_FILE).unlink(missing_ok=True)
    return None
