"""`levertune run`: train and compare the arms of a recipe."""

from __future__ import annotations

import argparse
from typing import Any

from levertune.cli.arguments import (
    add_jobs_argument,
    add_output_arguments,
    add_recipe_arguments,
    make_terminal,
    read_recipe,
)
from levertune.cli.processes import add_processes_argument


def add_parser(subparsers: Any) -> None:
    """Add the verb's parser."""
    parser = subparsers.add_parser(
        "run",
        description="Train the arms of a recipe, compare them, and keep the best adapter. The same "
        "command goes on where an interrupted run stopped.",
    )
    add_recipe_arguments(parser)
    parser.add_argument(
        "--quick", action="store_true", help="one fold and one seed: a first look, no verdict"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be done and how long, then stop"
    )
    add_jobs_argument(parser, "cells")
    add_processes_argument(parser)
    add_output_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the recipe and show what came out.

    Returns:
        0, or 1 if a cell failed: its reason is in the result, and the next call tries it again.

    Raises:
        UserError: If the recipe, its data, the model or the run folder cannot be used.
    """
    terminal = make_terminal(args)
    recipe = read_recipe(args)
    from levertune.runs.run import run_recipe

    outcome = run_recipe(
        recipe,
        quick=args.quick,
        dry_run=args.dry_run,
        jobs=args.jobs,
        num_processes=args.num_processes,
        progress=terminal.progress(),
        say=terminal.note,
    )
    for line in outcome.lines:
        terminal.say(line)
    if outcome.rows:
        terminal.table(outcome.columns, outcome.rows)
    if outcome.verdict is not None:
        terminal.say(outcome.verdict)
    if outcome.report_path is not None:
        terminal.say(f"report: {outcome.report_path}")
    if outcome.next_command is not None:
        terminal.note(f"next: {outcome.next_command}")
    terminal.result(outcome.to_mapping())
    return 1 if outcome.result is not None and outcome.result.failures else 0
