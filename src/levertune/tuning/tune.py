"""`levertune tune`: choose settings by the likelihood of rows left out of training.

Everything happens inside training rows: no test row, and in a cross-validation no row of the fold
tested, is seen by any choice.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from levertune.errors import RecipeError, RunError
from levertune.progress import Progress, SilentProgress
from levertune.recipes.recipe import Recipe
from levertune.results.folder_lock import hold_folder
from levertune.results.provenance import collect_provenance
from levertune.results.tuning import (
    Candidate,
    Trial,
    TunedChoice,
    Tuning,
    describe_settings,
    read_tuning,
    write_tuning,
)
from levertune.runs.arms import ARMS
from levertune.runs.jobs import WORTH_SECONDS, Jobs, choose_jobs
from levertune.runs.prepare import Prepared, Retuned, prepare_run
from levertune.runs.tuned import (
    fingerprint_tuning,
    keys_by_hand,
    require_same_tuning,
    warn_of_collapse,
    warn_of_keys_by_hand,
)
from levertune.tuning.anchor_race import AnchorField, parse_ways
from levertune.tuning.candidates import What, parse_what, tuned_keys
from levertune.tuning.contests import (
    Contest,
    estimate_seconds,
    make_contest,
    measure_trials,
    outer_folds,
)
from levertune.tuning.halving import (
    compare,
    find_collapsed,
    mean_loss,
    race,
)
from levertune.tuning.trial_runner import Say, run_trials, trial_runner

TUNABLE_ARMS = ("tell", "sft")


@dataclass(frozen=True, slots=True)
class TuneOutcome:
    """What a tuning says at its end.

    Args:
        tuning: What was found; None after a dry run.
        path: The file it was written to; None after a dry run.
        by_hand: Keys that the recipe sets to something else, so that a run takes none of it.
    """

    tuning: Tuning | None
    path: Path | None
    by_hand: tuple[str, ...] = ()


def tune_recipe(
    recipe: Recipe,
    *,
    what: Sequence[What],
    arms: Sequence[str] = ("tell",),
    budget_seconds: float | None = None,
    dry_run: bool = False,
    jobs: int | str = "auto",
    anchors: AnchorField | None = None,
    progress: Progress | None = None,
    say: Say | None = None,
) -> TuneOutcome:
    """Choose settings, or go on choosing.

    Args:
        recipe: The recipe; `auto` stays for what is not tuned.
        what: What to tune.
        arms: The arms to train: `tell`, `sft` for all plain arms, or both.
        budget_seconds: Most time by estimate; the last candidates, those with the most rows to
            train on and of these the anchor ranked last, are left out to meet it.
        dry_run: Say what would be tried and stop.
        jobs: Trials at once, or `auto` (`runs.jobs.choose_jobs`).
        anchors: Which anchors to look at; all ways of writing one if None.
        progress: Where to show progress.
        say: Where to say what is tried, and how long it will take.

    Returns:
        What was found. It is written into the run folder, where `levertune run` reads it.

    Raises:
        RecipeError: If there is nothing to choose between, the arm cannot be tuned, something to
            tune or a way to write anchors is unknown, the way `transfer` and a generator are not
            together, or the budget is too small for two candidates.
        RunError: If no candidate could be trained to the end.
        UserError: If something the user named cannot be used.
    """
    progress, say = progress or SilentProgress(), say or (lambda line: None)
    what = parse_what(what if isinstance(what, str) else ",".join(what))
    if anchors is not None:
        parse_ways(",".join(anchors.ways), anchors.generator)
    for arm in arms:
        if arm not in TUNABLE_ARMS:
            raise RecipeError(
                f"--arm: can be tuned for {' and '.join(TUNABLE_ARMS)}; found {arm!r}."
            )
        if not ARMS[arm].has_general and "general" in what:
            raise RecipeError(f"--arm {arm}: has no general rows to tune. Use --arm tell.")
        if not ARMS[arm].is_anchored and "anchor" in what:
            raise RecipeError(f"--arm {arm}: has no anchor to tune. Use --arm tell.")
    if "general" in what and recipe.general.tokens is not None:
        raise RecipeError(
            "--what general: chooses general.rows, which general.tokens stands in the place of; "
            f"found {recipe.general.tokens}. Set general.tokens=null general.rows=auto."
        )
    keys = tuned_keys(what)
    retuned = Retuned(keys, tuple(arms))
    earlier = read_tuning(Path(recipe.output_dir))
    prepared = prepare_run(recipe, retuned=retuned)
    for told in (*warn_of_keys_by_hand(recipe, keys), *prepared.warnings):
        say(f"warning: {told}")
    with contextlib.ExitStack() as held:
        if not dry_run:  # writing anchors takes long and keeps them in the folder
            held.enter_context(
                hold_folder(
                    prepared.run_dir, what="a run or a tuning", warn=lambda t: progress.warn(t)
                )
            )
            require_same_tuning(prepared.run_dir, earlier)
        contests = [
            make_contest(prepared, arm, fold, what, progress, anchors, dry_run=dry_run)
            for arm in arms
            for fold in outer_folds(prepared)
        ]
        shared = choose_jobs(
            jobs,
            device=prepared.workspace.hardware.device,
            num_trainings=max(len(contest.candidates) for contest in contests),
            weight_bytes=prepared.workspace.weight_bytes,
            memory_bytes=prepared.workspace.memory_bytes,
        )
        held.enter_context(shared.limit_threads())
        rate = measure_trials(prepared, contests[0])
        if not shared.is_asked_for and estimate_seconds(contests, rate, 1) <= WORTH_SECONDS:
            shared = replace(shared, count=1)
        contests = _within_budget(contests, rate, shared.count, budget_seconds, say)
        for line in _describe_start(contests, rate, shared):
            say(line)
        if dry_run:
            return TuneOutcome(None, None)
        choices = _choose(recipe, what, arms, prepared, contests, shared, progress, say)
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
    path = write_tuning(prepared.run_dir, tuning)
    return TuneOutcome(tuning, path, tuple(keys_by_hand(recipe, tuning)))


def _choose(
    recipe: Recipe,
    what: Sequence[What],
    arms: Sequence[str],
    prepared: Prepared,
    contests: Sequence[Contest],
    shared: Jobs,
    progress: Progress,
    say: Say,
) -> list[TunedChoice]:
    """Run the races.

    Raises:
        RunError: If none of the candidates left at the end of one could be trained.
    """
    choices = []
    with trial_runner(recipe, what, arms, prepared, shared, progress) as run:
        for contest in contests:
            found = race(
                contest.candidates,
                contest.num_folds,
                partial(run_trials, contest, run, say),
                contest.rule,
            )
            _require_trained(contest, found.trials[found.winner])
            choices.append(
                TunedChoice(
                    arm=contest.arm,
                    fold=contest.fold,
                    settings=dict(contest.candidates[found.winner]),
                    candidates=_summarise(contest, found.trials, found.winner),
                    anchors=contest.anchors,
                )
            )
    return choices


def _require_trained(contest: Contest, trials: Sequence[Trial]) -> None:
    """Refuse a winner without a figure: then none of the candidates left has one."""
    if math.isfinite(mean_loss(trials)):
        return
    failure = next((t.failure for t in trials if t.failure), "a likelihood that is no number")
    raise RunError(
        f"{contest.label}: no candidate left was trained to the end; found {failure!r}. Set a "
        "lower training.learning_rate, and tune again."
    )


def _within_budget(
    contests: list[Contest], rate: float, at_once: int, budget: float | None, say: Say
) -> list[Contest]:
    if budget is None:
        return contests
    while (needed := estimate_seconds(contests, rate, at_once)) > budget:
        longest = max(len(contest.candidates) for contest in contests)
        if longest <= 2:
            raise RecipeError(
                f"--budget: is too small for two candidates; found {_time(budget)}, they take "
                f"about {_time(needed)}. Give more, or fewer exposures."
            )
        # The last go first: the dearest, and of as dear ones the anchor ranked last.
        reason = f"left out to meet the budget of {_time(budget)}"
        for i, contest in enumerate(contests):
            if len(contest.candidates) == longest:
                say(f"{contest.label}: {reason}: {describe_settings(contest.candidates[-1])}")
                contests[i] = contest.without_last(reason)
    return contests


def _time(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"


def _describe_start(contests: list[Contest], rate: float, shared: Jobs) -> list[str]:
    lines = []
    for contest in contests:
        num = len(contest.candidates)
        counts = " + ".join(map(str, contest.rule.most_trials(num, contest.num_folds)))
        most = "at most " if contest.anchors else ""
        lines.append(f"{contest.label}: {num} candidates, {most}{counts} trials")
        if contest.num_answers:
            lines.append(
                f"{contest.label}: anchors are still to be written, by at most "
                f"{contest.num_answers} answers of a model; the estimate leaves that out"
            )
        lines += [f"warning: {contest.label}: {note}" for note in contest.notes]
    if shared.count > 1:
        lines.append(f"jobs: {shared.count} trials at once ({shared.reason})")
    seconds = estimate_seconds(contests, rate, shared.count)
    lines.append(
        f"estimate: at most about {math.ceil(seconds / 60)} minutes ({rate:.0f} tokens a second, "
        "timed on this machine); it goes on where it was stopped"
    )
    return lines


def _summarise(
    contest: Contest, trials: Sequence[Sequence[Trial]], winner: int
) -> tuple[Candidate, ...]:
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
                anchor_tokens=contest.anchor_tokens(own[0].settings),
            )
        )
    # Figures of as many folds can be ranked; a first fold may be easier than the others.
    order = sorted(
        range(len(found)),
        key=lambda i: (i != winner, found[i].nll is None, -found[i].folds, found[i].nll or 0.0),
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
