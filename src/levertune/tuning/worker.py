"""A process that runs trials for a tuning: `python -m levertune.tuning.worker`."""

from __future__ import annotations

import sys
from typing import Any

from levertune.progress import Progress
from levertune.recipes.recipe import Recipe
from levertune.runs.worker import Do, serve


def _prepare_trials(first: dict[str, Any], progress: Progress) -> Do:
    from levertune.results.mapping import to_mapping
    from levertune.runs.prepare import Retuned, prepare_run
    from levertune.tuning.candidates import tuned_keys
    from levertune.tuning.contests import make_trials
    from levertune.tuning.trial import Trials

    prepared = prepare_run(
        Recipe.model_validate(first["recipe"]),
        retuned=Retuned(tuned_keys(first["what"]), tuple(first["arms"])),
    )
    trials: dict[tuple[str, int | None], Trials] = {}

    def do(order: dict[str, Any]) -> Any:
        key = order["arm"], order["outer"]
        if key not in trials:
            trials[key] = make_trials(prepared, *key, first["what"], progress)
        return to_mapping(trials[key].run(order["settings"], order["fold"]))

    return do


if __name__ == "__main__":
    sys.exit(serve(_prepare_trials))
