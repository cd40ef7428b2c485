"""What is to be chosen: the rows a choice is made on, its candidates, and how long it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from levertune.anchors.lift import shared_instruction
from levertune.data.records import Record
from levertune.data.splits import cross_validation_folds, draw_subset, warn_of_large_groups
from levertune.errors import DataError
from levertune.progress import Progress
from levertune.results.tuning import ProposedAnchor, Value
from levertune.runs.arms import ARMS
from levertune.runs.cells import CellPlan
from levertune.runs.estimate import measure_rate
from levertune.runs.general_amounts import drawable
from levertune.runs.prepare import Prepared
from levertune.tuning.anchor_race import (
    AnchorField,
    anchor_settings,
    expect_anchors,
    propose_anchors,
)
from levertune.tuning.candidates import What, list_candidates
from levertune.tuning.halving import Halving, Rule, Settings
from levertune.tuning.paired_race import PairedRace
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
        candidates: The settings to choose among, the fewest rows to train on first; of as many
            rows the anchor to keep longest.
        rule: Who stays in the race and who wins it.
        anchors: The anchors written for it; empty where anchors are not tuned.
        num_answers: Most answers that models are still to be asked for, to write these.
    """

    arm: str
    fold: int | None
    trials: Trials
    num_folds: int
    notes: tuple[str, ...]
    candidates: list[dict[str, Value]]
    rule: Rule
    anchors: tuple[ProposedAnchor, ...] = ()
    num_answers: int = 0

    @property
    def label(self) -> str:
        """What to call it: `tell, training rows of fold 1`."""
        where = "all training rows"
        if self.fold is not None:
            where = f"training rows of fold {self.fold + 1}"
        return f"{self.arm}, {where}"

    def without_last(self, reason: str) -> Contest:
        """The choice without its last candidate.

        Args:
            reason: Why it is left out: said of its anchor, if no other candidate has that.
        """
        candidates = self.candidates[:-1]
        raced = {settings.get("anchor.text") for settings in candidates}
        anchors = tuple(
            replace(a, left_out=reason) if a.left_out is None and a.setting not in raced else a
            for a in self.anchors
        )
        return replace(self, candidates=candidates, anchors=anchors)

    def anchor_tokens(self, settings: Settings) -> int | None:
        """Tokens of a candidate's anchor; None where anchors are not tuned."""
        text = settings.get("anchor.text")
        return next((a.tokens for a in self.anchors if a.setting == text), None)


def make_trials(
    prepared: Prepared, arm: str, fold: int | None, what: Sequence[What], progress: Progress
) -> Trials:
    """The trials on one set of training rows.

    Args:
        prepared: The run.
        arm: The arm to train.
        fold: The fold whose training rows they are, or None for all.
        what: What to tune.
        progress: Where to show progress.

    Raises:
        DataError: If the rows are too few, or too much alike, for the inner folds.
    """
    rows = _training_rows(prepared, fold)
    instruction = shared_instruction(rows)
    try:
        folds = cross_validation_folds(rows, INNER_FOLDS, seed=INNER_SEED, instruction=instruction)
    except DataError:  # it speaks of `task.test`, which says nothing of these folds
        raise DataError(
            f"tune: needs at least {INNER_FOLDS} training rows with unlike prompts, for as many "
            f"inner folds; found fewer in {len(rows)} rows. Bring more rows, or leave the settings "
            "to `auto`."
        ) from None
    name = "all" if fold is None else f"fold-{fold + 1}"
    return Trials(
        prepared,
        folds,
        rows,
        instruction,
        ARMS[arm],
        prepared.recipe.seeds[0],
        prepared.run_dir / "tune" / "-".join(what) / arm / name,
        progress,
        base=prepared.recipe_for(CellPlan(ARMS[arm], prepared.recipe.seeds[0], fold)),
    )


def make_contest(
    prepared: Prepared,
    arm: str,
    fold: int | None,
    what: Sequence[What],
    progress: Progress,
    field: AnchorField | None = None,
    *,
    dry_run: bool = False,
) -> Contest:
    """Draw up a choice: the rows it is made on, their inner folds and the candidates.

    Args:
        prepared: The run.
        arm: The arm to train.
        fold: The fold whose training rows they are, or None for all.
        what: What to tune.
        progress: Where to show progress.
        field: Which anchors to look at, where they are tuned.
        dry_run: Whether it is for a look only: anchors that are not written yet are not written.
    """
    trials = make_trials(prepared, arm, fold, what, progress)
    recipe = trials.base
    notes = warn_of_large_groups(trials.folds)
    anchors: tuple[ProposedAnchor, ...] = ()
    num_answers = 0
    if "anchor" in what:
        asked = prepared, recipe, trials.records, fold, field or AnchorField(), trials.folder
        if dry_run:
            proposal, num_answers = expect_anchors(*asked)
        else:
            proposal = propose_anchors(*asked, progress)
        anchors = proposal.anchors
        notes += proposal.notes
    raced = [anchor_settings(anchor, recipe) for anchor in anchors if anchor.left_out is None]
    count_tokens = prepared.workspace.count_record
    general = drawable(recipe, prepared.chooser.pool, count_tokens=count_tokens)
    candidates = list_candidates(
        what,
        recipe,
        train_rows=len(trials.records),
        general_available=general.most,
        general_fixed=general.fewest,
        anchors=raced,
    )
    contest = Contest(
        arm,
        fold,
        trials,
        len(trials.folds),
        tuple(notes),
        candidates,
        Halving(),
        anchors,
        num_answers,
    )
    if "anchor" not in what:
        return contest
    tokens = [contest.anchor_tokens(settings) or 0 for settings in candidates]
    return replace(contest, rule=PairedRace(tokens.__getitem__))


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
        for count in contest.rule.most_trials(len(dearest), contest.num_folds):
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
