"""`levertune train`: train the adapters of a run, from its mixtures."""

from __future__ import annotations

import argparse
from typing import Any

from levertune.cli.processes import add_processes_argument
from levertune.cli.stage import add_stage_parser, run_stage


def add_parser(subparsers: Any) -> None:
    """Add the verb's parser."""
    parser = add_stage_parser(
        subparsers,
        "train",
        "Train the adapter of each arm and seed. What is done is skipped, what was interrupted "
        "goes on.",
    )
    add_processes_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Train.

    Raises:
        UserError: If the recipe, its data, the model or the run folder cannot be used.
    """
    from levertune.runs.stages import train_stage

    return run_stage(args, train_stage, num_processes=args.num_processes)
