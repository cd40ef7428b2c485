"""`levertune eval`: predictions and scores of a run's adapters."""

from __future__ import annotations

import argparse
from typing import Any

from levertune.cli.stage import add_stage_parser, run_stage


def add_parser(subparsers: Any) -> None:
    """Add the verb's parser."""
    add_stage_parser(
        subparsers, "eval", "Evaluate the adapter of each arm and seed on the test rows."
    )


def run(args: argparse.Namespace) -> int:
    """Evaluate.

    Raises:
        UserError: If the recipe, its data, an adapter or the run folder cannot be used.
    """
    from levertune.runs.stages import eval_stage

    return run_stage(args, eval_stage)
