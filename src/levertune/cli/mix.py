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
        "--to",
        metavar="FORMAT",
        help="also write the rows out, in training order and with a configuration, for another "
        "trainer: trl, llama-factory, axolotl, ms-swift; or as plain jsonl or parquet",
    )
    parser.add_argument(
        "--all-rows",
        action="store_true",
        help="every task row, as for the final adapter, instead of each cell's training rows",
    )
    parser.add_argument("--force", action="store_true", help="replace an export that is there")


def run(args: argparse.Namespace) -> int:
    """Plan and write.

    Raises:
        UserError: If the recipe, its data or the run folder cannot be used.
    """
    from levertune.runs.stages import mix_stage

    return run_stage(args, mix_stage, to=args.to, all_rows=args.all_rows, force=args.force)
