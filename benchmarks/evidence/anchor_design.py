"""What it cost to design the anchor of a run: numbers alone, for the cells that are kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from levertune.anchors.answer_store import cost_of
from levertune.anchors.candidates import DesignCost
from levertune.results.files import read_jsonl
from levertune.results.tuning import TUNING_FILE, read_trial, read_tuning


def suggestion_cost(candidates: Path) -> DesignCost:
    """What one way of `levertune anchor suggest` cost, all that it wrote.

    Where a model was asked, its answers are kept beside the candidates, unusable ones as well, and
    they are counted. What training a generator of anchors took is not.

    Args:
        candidates: The file of candidates.
    """
    answers = candidates.with_suffix(".answers.jsonl")
    if answers.is_file():
        return sum(map(cost_of, read_jsonl(answers)), DesignCost())
    costs = (DesignCost(**row["cost"]) for row in read_jsonl(candidates))
    return sum(costs, DesignCost())


def tuning_cost(run_dir: Path) -> dict[str, Any] | None:
    """What tuning the anchor of a run cost.

    Args:
        run_dir: The run folder.

    Returns:
        Tokens, seconds and requests of writing the candidates; and of racing them, the trials,
        the tokens trained on and the seconds, None where a trial was resumed and its time is not
        known. None if nothing was tuned.
    """
    tuning = read_tuning(run_dir)
    if tuning is None:
        return None
    proposed = [anchor for choice in tuning.choices for anchor in choice.anchors]
    written = sum(
        (DesignCost(a.design_tokens, a.design_seconds, a.design_requests) for a in proposed),
        DesignCost(),
    )
    folder = (run_dir / TUNING_FILE).parent
    trials = [read_trial(path) for path in sorted(folder.rglob("trial.json"))]
    seconds = [trial.seconds for trial in trials]
    return {
        **cost_numbers(written),
        "trials": len(trials),
        "trial_tokens": sum(trial.train_tokens for trial in trials),
        "trial_seconds": None if None in seconds else sum(map(float, filter(None, seconds))),
    }


def cost_numbers(cost: DesignCost) -> dict[str, Any]:
    """A cost as numbers of a kept cell.

    Args:
        cost: The cost.
    """
    return {
        "tokens": cost.tokens,
        "seconds": round(cost.seconds, 3),
        "requests": cost.requests,
    }


def describe_design(design: Mapping[str, Any] | None) -> str:
    """The cost in a few words, for a table.

    Args:
        design: What was kept of it; None for an anchor that nothing wrote.
    """
    if design is None:
        return "-"
    written = DesignCost(design["tokens"], design["seconds"], design["requests"]).describe()
    if not design.get("trials"):
        return written
    known = design["trial_seconds"]
    spent = "time not known" if known is None else f"{known / 60:.1f} min"
    return f"{written}, {design['trials']} trials ({design['trial_tokens']:,} tokens, {spent})"
