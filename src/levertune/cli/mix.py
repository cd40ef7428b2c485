"""`levertune mix`: plan the mixture and write its manifest."""

from __future__ import annotations

import argparse
from typing import Any

from levertune.cli.stage import add_stage_parser, run_stage


def add_parser(subparsers: Any) -> None:
    """Add the verb's parser."""
    parser = add_stage_parser(
        subparsers, "mix", "Plan the mixture of each arm and seed, and write the manifest."
    )
    parser.add_argument(
        "--to", metavar="FORMAT", help="also write the rows out for another trainer, as jsonl"
    )


def run(args: argparse.Namespace) -> int:
    """Plan and write.

    Raises:
        UserError: If the recipe, its data or the run folder cannot be used.
    """
    from levertune.runs.stages import mix_stage

    return run_stage(args, mix_stage, to=args.to)
