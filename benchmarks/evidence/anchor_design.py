"""What it cost to design the anchor of a run: numbers alone, for the cells that are kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from levertune.anchors.candidates import DesignCost
from levertune.results.tuning import TUNING_FILE, read_trial, read_tuning


def suggestion_cost(candidates: Path) -> DesignCost:
    """What a file of `levertune anchor suggest` cost, all its candidates together.

    Args:
        candidates: The file.
    """
    lines = candidates.read_text(encoding="utf-8").splitlines()
    return sum((DesignCost(**json.loads(line)["cost"]) for line in lines), DesignCost())


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
    parts = [
        f"{design['seconds']:.1f} s" if design["seconds"] < 60 else _minutes(design["seconds"])
    ]
    if design["requests"]:
        parts.append(f"{design['requests']} requests")
    if design["tokens"]:
        parts.append(f"{design['tokens']:,} tokens")
    elif design["tokens"] is None:
        parts.append("tokens not known")
    if design.get("trials"):
        known = design["trial_seconds"]
        spent = "time not known" if known is None else _minutes(known)
        parts.append(f"{design['trials']} trials ({design['trial_tokens']:,} tokens, {spent})")
    return ", ".join(parts)


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min"
