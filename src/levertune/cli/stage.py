"""What the single-stage verbs share: `mix`, `train` and `eval` differ in the stage they call."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from levertune.cli.arguments import (
    add_output_arguments,
    add_recipe_arguments,
    make_terminal,
    read_recipe,
    whole_number,
)


def add_stage_parser(subparsers: Any, verb: str, description: str) -> argparse.ArgumentParser:
    """Add the parser of a single-stage verb.

    Args:
        subparsers: Where to add it.
        verb: The verb.
        description: What it does.

    Returns:
        The parser, for options of its own.
    """
    parser: argparse.ArgumentParser = subparsers.add_parser(verb, description=description)
    add_recipe_arguments(parser)
    parser.add_argument("--arm", metavar="ARM", help="this arm only")
    parser.add_argument("--seed", type=whole_number, metavar="N", help="this seed only")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, then stop")
    add_output_arguments(parser)
    return parser


def run_stage(args: argparse.Namespace, stage: Callable[..., Any], **options: Any) -> int:
    """Run one stage of a recipe and say which files it left.

    Args:
        args: Parsed by `add_stage_parser`.
        stage: The stage: takes a recipe and keywords, gives the files it wrote.
        **options: Keywords of this stage alone.
    """
    terminal = make_terminal(args)
    recipe = read_recipe(args)
    paths = stage(
        recipe,
        arm=args.arm,
        seed=args.seed,
        dry_run=args.dry_run,
        progress=terminal.progress(),
        **options,
    )
    for path in paths:
        terminal.say(str(path))
    terminal.result({"files": [str(path) for path in paths]})
    return 0
