"""What is to be chosen: the rows a choice is made on, its candidates, and how long it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from levertune.anchors.lift import shared_instruction
from levertune.data.records import Record
from levertune.data.splits import cross_validation_folds, draw_subset, warn_of_large_groups
from levertune.progress import Progress
from levertune.results.tuning import Value
from levertune.runs.arms import ARMS
from levertune.runs.cells import CellPlan
from levertune.runs.estimate import measure_rate
from levertune.runs.general_amounts import drawable
from levertune.runs.prepare import Prepared
from levertune.tuning.candidates import What, list_candidates
from levertune.tuning.halving import num_trials
from levertune.tuning.trial import Trials

INNER_FOLDS = 3
INNER_SEED = 2

_FORWARD_SHARE = 1 / 3


@dataclass(frozen=True, slots=True)
class Contest:
    """One choice to make: its training rows, their inner folds and the candidates.

    Args:
        arm: The arm that is trained.
        fold: The fold whose training rows they are, or None for all.
        trials: Runs its trials.
        num_folds: Inner folds.
        notes: What a reader should know of the inner folds.
        candidates: The settings to choose among, the cheapest first.
    """

    arm: str
    fold: int | None
    trials: Trials
    num_folds: int
    notes: tuple[str, ...]
    candidates: list[dict[str, Value]]


def make_contest(
    prepared: Prepared, arm: str, fold: int | None, what: Sequence[What], progress: Progress
) -> Contest:
    """Draw up a choice: the rows it is made on, their inner folds and the candidates.

    Args:
        prepared: The run.
        arm: The arm to train.
        fold: The fold whose training rows they are, or None for all.
        what: What to tune.
        progress: Where to show progress.
    """
    rows = _training_rows(prepared, fold)
    instruction = shared_instruction(rows)
    folds = cross_validation_folds(rows, INNER_FOLDS, seed=INNER_SEED, instruction=instruction)
    recipe = prepared.recipe_for(CellPlan(ARMS[arm], prepared.recipe.seeds[0], fold))
    count_tokens = prepared.workspace.count_record
    general = drawable(recipe, prepared.chooser.pool, count_tokens=count_tokens)
    candidates = list_candidates(
        what,
        recipe,
        train_rows=len(rows),
        general_available=general.most,
        general_fixed=general.fewest,
    )
    name = "all" if fold is None else f"fold-{fold + 1}"
    trials = Trials(
        prepared,
        folds,
        rows,
        instruction,
        ARMS[arm],
        prepared.recipe.seeds[0],
        prepared.run_dir / "tune" / "-".join(what) / arm / name,
        progress,
        base=recipe,
    )
    return Contest(arm, fold, trials, len(folds), tuple(warn_of_large_groups(folds)), candidates)


def outer_folds(prepared: Prepared) -> list[int | None]:
    """Sets of training rows to choose on: each fold's, and all for the final adapter."""
    if prepared.inputs.test_mode != "cv":
        return [None]
    return [*range(len(prepared.inputs.splits)), None]


def measure_trials(prepared: Prepared, contest: Contest) -> float:
    """Tokens a second of its dearest candidate's training."""
    recipe, cell = contest.trials.build(contest.candidates[-1], 0)
    return measure_rate(recipe, prepared.workspace, cell)


def estimate_seconds(contests: Sequence[Contest], rate: float, at_once: int) -> float:
    """Estimated time of races in which the dearest candidates get furthest."""
    total = 0.0
    for contest in contests:
        dearest = sorted(_trial_seconds(contest, rate), reverse=True)
        for count in num_trials(len(dearest), contest.num_folds):
            free_at = [0.0] * at_once
            for seconds in dearest[:count]:
                first = free_at.index(min(free_at))
                free_at[first] += seconds
            total += max(free_at)
    return total


def _trial_seconds(contest: Contest, rate: float) -> list[float]:
    """Estimated time of a trial of each candidate."""
    seconds = []
    for settings in contest.candidates:
        _, cell = contest.trials.build(settings, 0)
        tokens = cell.tokens.task + cell.tokens.general
        validated = sum(len(row.input_ids) for row in cell.task) / max(1, contest.num_folds - 1)
        seconds.append((tokens + _FORWARD_SHARE * validated) / rate)
    return seconds


def _training_rows(prepared: Prepared, fold: int | None) -> Sequence[Record]:
    inputs = prepared.inputs
    if fold is not None:
        rows = inputs.splits[fold].train
    elif inputs.test_mode == "cv":
        rows = inputs.task.records
    else:
        rows = inputs.splits[0].train
    task = prepared.recipe.task
    if task.subset is None or (fold is None and inputs.test_mode == "cv"):
        return rows
    seed = prepared.recipe.seeds[0] if task.subset_seed == "seed" else task.subset_seed
    return draw_subset(rows, task.subset, seed=int(seed))
