"""`best/` of a run: the best arm's adapter, ready to be served, as its training left it."""

from __future__ import annotations

import shutil
from pathlib import Path

from levertune.models.adapters import CARD_FILE, AdapterCard, read_card, write_card
from levertune.progress import Progress
from levertune.results.folders import write_folder_atomically
from levertune.runs.cells import CellPlan
from levertune.runs.prepare import Prepared
from levertune.runs.summary import ArmRows, best_arm
from levertune.runs.train_cell import check_undamaged, train_cell
from levertune.training.seal import DamagedError, compare_files
from levertune.training.train import ADAPTER_FOLDER, TrainSummary, read_summary

BEST_FOLDER = "best"


def trains_on_all(prepared: Prepared) -> bool:
    """Whether the best arm is trained afresh on all rows at the end of this run."""
    return prepared.inputs.test_mode == "cv" and not prepared.is_quick


def keep_best(prepared: Prepared, arms: dict[str, ArmRows], progress: Progress) -> Path | None:
    """Put the best arm's adapter into `best/`.

    After cross-validation it is trained afresh on all rows; otherwise it is the first seed's. In
    a quick look nothing was cross-validated, so nothing is kept.

    Args:
        prepared: The run.
        arms: The rows' numbers of its arms.
        progress: Where to show a training and say warnings.

    Returns:
        The folder; None where nothing is kept.

    Raises:
        RunError: If the adapter to be copied is not as its training left it.
    """
    name = best_arm(arms, prepared.inputs)
    if name is None:
        return None
    plan = next(plan for plan in prepared.plans if plan.arm.name == name)
    if prepared.inputs.test_mode == "cv":
        if not trains_on_all(prepared):
            return None
        final = CellPlan(plan.arm, plan.seed)
        source = prepared.run_dir / final.final_folder
        data = prepared.build(final, all_rows=True)
        train_cell(prepared.recipe_for(final), prepared.workspace, data, source, progress)
    else:
        source = prepared.run_dir / plan.folder
    best = prepared.run_dir / BEST_FOLDER
    summary = read_summary(source)
    card = read_card(source / ADAPTER_FOLDER)
    if _is_copied(best, card, summary, progress):
        return best
    check_undamaged(source, summary)
    with write_folder_atomically(best) as partial:
        shutil.copytree(source / ADAPTER_FOLDER, partial)
        prepared.workspace.write_tokenizer(partial)
        write_card(partial, card)
    return best


def _is_copied(best: Path, card: AdapterCard, summary: TrainSummary, progress: Progress) -> bool:
    """Whether that adapter is in `best/` already, and whole."""
    if not (best / CARD_FILE).is_file() or read_card(best).fingerprint != card.fingerprint:
        return False
    try:
        compare_files(best, summary.adapter_files)
    except DamagedError as error:
        progress.warn(f"{best}: is damaged; {error}. It is copied again.")
        return False
    return True
