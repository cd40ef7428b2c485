"""`levertune tune`: choose settings by the likelihood of rows left out of training.

Everything happens inside training rows: no test row, and in a cross-validation no row of the fold
tested, is seen by any choice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from levertune.anchors.lift import shared_instruction
from levertune.data.records import Record
from levertune.data.splits import cross_validation_folds, draw_subset, warn_of_large_groups
from levertune.errors import RecipeError
from levertune.progress import Progress, SilentProgress
from levertune.recipes.recipe import Recipe
from levertune.results.provenance import collect_provenance
from levertune.results.tuning import (
    Candidate,
    Trial,
    TunedChoice,
    Tuning,
    Value,
    write_tuning,
)
from levertune.runs.arms import ARMS
from levertune.runs.cells import CellPlan
from levertune.runs.estimate import measure_rate
from levertune.runs.general_amounts import drawable
from levertune.runs.prepare import Prepared, prepare_run
from levertune.runs.tuned import fingerprint_tuning, warn_of_collapse
from levertune.tuning.candidates import KEYS, What, list_candidates
from levertune.tuning.halving import compare, find_collapsed, mean_loss, num_trials, race
from levertune.tuning.trial import Trials

INNER_FOLDS = 3
INNER_SEED = 2
TUNABLE_ARMS = ("tell", "sft")
_FORWARD_SHARE = 1 / 3

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class TuneOutcome:
    """What a tuning says at its end.

    Args:
        tuning: What was found; None after a dry run.
        path: The file it was written to; None after a dry run.
    """

    tuning: Tuning | None
    path: Path | None


@dataclass(frozen=True, slots=True)
class _Job:
    """One choice to make: its training rows, their inner folds and the candidates."""

    arm: str
    fold: int | None
    trials: Trials
    num_folds: int
    notes: tuple[str, ...]
    candidates: list[dict[str, Value]]


def tune_recipe(
    recipe: Recipe,
    *,
    what: Sequence[What],
    arms: Sequence[str] = ("tell",),
    budget_seconds: float | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
    say: Say | None = None,
) -> TuneOutcome:
    """Choose settings, or go on choosing.

    Args:
        recipe: The recipe; `auto` stays for what is not tuned.
        what: What to tune.
        arms: The arms to train: `tell`, `sft` for all plain arms, or both.
        budget_seconds: Most time by estimate; the dearest candidates are left out to meet it.
        dry_run: Say what would be tried and stop.
        progress: Where to show progress.
        say: Where to say what is tried, and how long it will take.

    Returns:
        What was found. It is written into the run folder, where `levertune run` reads it.

    Raises:
        RecipeError: If there is nothing to choose between, the arm cannot be tuned, or the budget
            is too small for two candidates.
        UserError: If something the user named cannot be used.
    """
    progress, say = progress or SilentProgress(), say or (lambda line: None)
    for arm in arms:
        if arm not in TUNABLE_ARMS:
            raise RecipeError(
                f"--arm: can be tuned for {' and '.join(TUNABLE_ARMS)}; found {arm!r}."
            )
        if not ARMS[arm].has_general and "general" in what:
            raise RecipeError(f"--arm {arm}: has no general rows to tune. Use --arm tell.")
    prepared = prepare_run(recipe)
    jobs = [
        _make_job(prepared, arm, fold, what, progress)
        for arm in arms
        for fold in _outer_folds(prepared)
    ]
    rate = _rate_of(prepared, jobs[0])
    jobs = _within_budget(jobs, rate, budget_seconds, say)
    for line in _describe_start(jobs, rate):
        say(line)
    if dry_run:
        return TuneOutcome(None, None)
    keys = tuple(KEYS[name] for name in what)
    choices = []
    for job in jobs:
        found = race(job.candidates, job.num_folds, partial(_run_trial, job, say))
        choices.append(
            TunedChoice(
                arm=job.arm,
                fold=job.fold,
                settings=dict(job.candidates[found.winner]),
                candidates=_summarise(found.trials, found.winner),
            )
        )
    for choice in choices:
        warning = warn_of_collapse(choice)
        if warning is not None:
            say(f"warning: {warning}")
    if prepared.tuning is not None:
        keys = tuple(dict.fromkeys((*prepared.tuning.keys, *keys)))
        choices = _add_to(prepared.tuning, choices)
    tuning = Tuning(
        keys=keys,
        seed=prepared.recipe.seeds[0],
        fingerprint=fingerprint_tuning(
            prepared.recipe, prepared.inputs, prepared.workspace.model_hash, keys
        ),
        choices=tuple(choices),
        provenance=collect_provenance(),
    )
    return TuneOutcome(tuning, write_tuning(prepared.run_dir, tuning))


def _run_trial(job: _Job, say: Say, settings: dict[str, Value], fold: int) -> Trial:
    trial = job.trials.run(settings, fold)
    loss = mean_loss([trial])
    found = trial.failure or f"{loss:.3f} nats a token on {len(trial.rows)} rows"
    named = ", ".join(f"{key}={value:g}" for key, value in settings.items())
    say(f"{named}, fold {fold + 1} of {job.num_folds}: {found}")
    return trial


def _outer_folds(prepared: Prepared) -> list[int | None]:
    """Sets of training rows to choose on: each fold's, and all for the final adapter."""
    if prepared.inputs.test_mode != "cv":
        return [None]
    return [*range(len(prepared.inputs.splits)), None]


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


def _make_job(
    prepared: Prepared, arm: str, fold: int | None, what: Sequence[What], progress: Progress
) -> _Job:
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
    return _Job(arm, fold, trials, len(folds), tuple(warn_of_large_groups(folds)), candidates)


def _rate_of(prepared: Prepared, job: _Job) -> float:
    recipe, cell = job.trials.build(job.candidates[-1], 0)
    return measure_rate(recipe, prepared.workspace, cell)


def _trial_seconds(job: _Job, rate: float) -> list[float]:
    """Estimated time of a trial of each candidate."""
    seconds = []
    for settings in job.candidates:
        _, cell = job.trials.build(settings, 0)
        tokens = cell.tokens.task + cell.tokens.general
        validated = sum(len(row.input_ids) for row in cell.task) / max(1, job.num_folds - 1)
        seconds.append((tokens + _FORWARD_SHARE * validated) / rate)
    return seconds


def _job_seconds(job: _Job, rate: float) -> float:
    """Estimated time of a race in which the dearest candidates get furthest."""
    dearest = sorted(_trial_seconds(job, rate), reverse=True)
    return sum(sum(dearest[:n]) for n in num_trials(len(dearest), job.num_folds))


def _within_budget(jobs: list[_Job], rate: float, budget: float | None, say: Say) -> list[_Job]:
    if budget is None:
        return jobs
    while (needed := sum(_job_seconds(job, rate) for job in jobs)) > budget:
        longest = max(len(job.candidates) for job in jobs)
        if longest <= 2:
            raise RecipeError(
                f"--budget: is too small for two candidates; found {_time(budget)}, they take "
                f"about {_time(needed)}. Give more, or fewer exposures."
            )
        # The last are the dearest: they go first, in every fold alike.
        left_out = next(job.candidates[-1] for job in jobs if len(job.candidates) == longest)
        named = ", ".join(f"{key}={value:g}" for key, value in left_out.items())
        say(f"left out to meet the budget: {named}")
        jobs = [replace(job, candidates=job.candidates[: longest - 1]) for job in jobs]
    return jobs


def _time(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"


def _describe_start(jobs: list[_Job], rate: float) -> list[str]:
    lines = []
    for job in jobs:
        where = "all training rows" if job.fold is None else f"training rows of fold {job.fold + 1}"
        counts = " + ".join(map(str, num_trials(len(job.candidates), job.num_folds)))
        lines.append(f"{job.arm}, {where}: {len(job.candidates)} candidates, {counts} trials")
        lines += [f"warning: {job.arm}, {where}: {note}" for note in job.notes]
    seconds = sum(_job_seconds(job, rate) for job in jobs)
    lines.append(
        f"estimate: at most about {math.ceil(seconds / 60)} minutes ({rate:.0f} tokens a second, "
        "timed on this machine); it goes on where it was stopped"
    )
    return lines


def _summarise(trials: Sequence[Sequence[Trial]], winner: int) -> tuple[Candidate, ...]:
    collapsed = find_collapsed(trials)
    found = []
    for index, own in enumerate(trials):
        loss = mean_loss(own)
        difference, error, rows = compare(own, trials[winner])
        has_figure = index != winner and math.isfinite(loss) and rows > 0
        shares = [t.task_loss_share for t in own if t.task_loss_share is not None]
        found.append(
            Candidate(
                settings=own[0].settings,
                general_per_task_row=own[0].general_rows / own[0].train_rows,
                folds=len(own),
                nll=loss if math.isfinite(loss) else None,
                difference=difference if has_figure else None,
                difference_se=error if has_figure else None,
                num_rows=rows,
                task_loss_share=sum(shares) / len(shares) if shares else None,
                train_tokens=sum(t.train_tokens for t in own) / len(own),
                has_collapsed=index in collapsed,
                failure=next((t.failure for t in own if t.failure), None),
            )
        )
    order = sorted(
        range(len(found)),
        key=lambda i: (i != winner, found[i].nll if found[i].nll is not None else math.inf),
    )
    return tuple(found[i] for i in order)


def _add_to(earlier: Tuning, choices: Sequence[TunedChoice]) -> list[TunedChoice]:
    """The new choices beside what was tuned before, which the trials were trained with."""
    new = {(choice.arm, choice.fold): choice for choice in choices}
    merged = []
    for before in earlier.choices:
        choice = new.pop((before.arm, before.fold), None)
        merged.append(
            before
            if choice is None
            else replace(choice, settings={**before.settings, **choice.settings})
        )
    return [*merged, *new.values()]
