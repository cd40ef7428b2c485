"""Runs the trials of a contest: in this process, or several at once in workers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

from levertune.progress import Progress
from levertune.recipes.recipe import Recipe
from levertune.results.mapping import from_mapping
from levertune.results.tuning import Trial, describe_settings
from levertune.runs.jobs import Jobs
from levertune.runs.pool import WorkerPool
from levertune.runs.prepare import Prepared
from levertune.tuning.candidates import What
from levertune.tuning.contests import Contest
from levertune.tuning.halving import Settings, mean_loss

TRIAL_WORKER = "levertune.tuning.worker"

Runner = Callable[[Contest, Sequence[Settings], int], Iterator[tuple[int, Trial]]]
Say = Callable[[str], None]


@contextlib.contextmanager
def trial_runner(
    recipe: Recipe,
    what: Sequence[What],
    arms: Sequence[str],
    prepared: Prepared,
    shared: Jobs,
    progress: Progress,
) -> Iterator[Runner]:
    """Give what runs trials of a contest, here or in workers, and yields each as it is done.

    Args:
        recipe: The recipe.
        what: What is tuned.
        arms: The arms it is tuned for.
        prepared: The run; its base model is given up where workers have their own.
        shared: Trials to run at once.
        progress: Where to show the progress of workers.
    """
    if shared.count == 1:

        def run_here(
            contest: Contest, candidates: Sequence[Settings], fold: int
        ) -> Iterator[tuple[int, Trial]]:
            for index, settings in enumerate(candidates):
                yield index, contest.trials.run(dict(settings), fold)

        yield run_here
        return
    prepared.workspace.forget_base()  # it was loaded to time a step; the workers have their own
    first = {"recipe": recipe.model_dump(mode="json"), "what": list(what), "arms": list(arms)}
    with WorkerPool(TRIAL_WORKER, first, shared, progress) as pool:

        def run_in_workers(
            contest: Contest, candidates: Sequence[Settings], fold: int
        ) -> Iterator[tuple[int, Trial]]:
            orders = [
                {
                    "name": f"{describe_settings(settings)}, fold {fold + 1}",
                    "arm": contest.arm,
                    "outer": contest.fold,
                    "settings": dict(settings),
                    "fold": fold,
                }
                for settings in candidates
            ]
            for index, answer in pool.work(orders):
                yield index, from_mapping(Trial, answer, where=str(orders[index]["name"]))

        yield run_in_workers


def run_trials(
    contest: Contest, run: Runner, say: Say, candidates: Sequence[Settings], fold: int
) -> list[Trial]:
    """Run candidates of a contest on one inner fold, and say what each came to.

    Args:
        contest: The contest.
        run: What runs them, of `trial_runner`.
        say: Where to say it.
        candidates: The candidates.
        fold: The inner fold.

    Returns:
        A trial for each candidate, in their order.
    """
    trials: dict[int, Trial] = {}
    for index, trial in run(contest, candidates, fold):
        trials[index] = trial
        loss = mean_loss([trial])
        found = trial.failure or f"{loss:.3f} nats a token on {len(trial.rows)} rows"
        say(f"{describe_settings(trial.settings)}, fold {fold + 1} of {contest.num_folds}: {found}")
    return [trials[index] for index in range(len(candidates))]
