"""`levertune anchor learn`: train a generator of anchors."""

from __future__ import annotations

import argparse
from typing import Any

from levertune.cli.arguments import (
    add_output_arguments,
    make_terminal,
    positive_number,
    whole_number,
)

_DEFAULT_FOLDER = "runs/anchor-generator"


def add_parser(subparsers: Any) -> None:
    """Add the action's parser."""
    parser = subparsers.add_parser(
        "learn",
        help="train a generator of anchors",
        description="Fine-tune a model on made-up tasks, each with the instruction that states it, "
        "and on the shared collection, so that it writes an anchor from example rows, for: "
        "levertune anchor suggest --way transfer. The same command goes on where an interrupted "
        "one stopped.",
    )
    parser.add_argument(
        "inputs",
        nargs="*",
        metavar="key=value",
        help="settings of the training, as training.learning_rate=2e-4",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FOLDER",
        default=_DEFAULT_FOLDER,
        help="the folder of pairs, training and generator",
    )
    parser.add_argument(
        "--hold-out",
        metavar="KIND",
        action="extend",
        nargs="+",
        default=[],
        help="kinds of task to keep out of training; tested on are the made-up ones among them, "
        "or else the collection's",
    )
    parser.add_argument(
        "--pairs", metavar="N", type=positive_number, default=600, help="made-up tasks"
    )
    parser.add_argument("--no-pool", action="store_true", help="leave the shared collection out")
    parser.add_argument(
        "--seed", metavar="S", type=whole_number, default=0, help="seed of the tasks"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="write the pairs, say how long it would take, stop"
    )
    add_output_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Train the generator and show what came out.

    Returns:
        0, or 1 if the training failed: its reason is in the result, and the next call tries again.

    Raises:
        UserError: If a kind, a setting, the folder or the model cannot be used.
    """
    terminal = make_terminal(args)
    from levertune.runs.anchor_learning import learn_generator

    # argparse gives --hold-out all words behind it, settings among them.
    settings = [word for word in args.hold_out if "=" in word]
    kinds = [word for word in args.hold_out if "=" not in word]
    outcome = learn_generator(
        args.output,
        num_pairs=args.pairs,
        hold_out=kinds,
        with_pool=not args.no_pool,
        seed=args.seed,
        overrides=[*args.inputs, *settings],
        dry_run=args.dry_run,
        progress=terminal.progress(),
        say=terminal.note,
    )
    for line in outcome.lines:
        terminal.say(line)
    if outcome.rows:
        terminal.table(outcome.columns, outcome.rows)
    if outcome.report_path is not None:
        terminal.say(f"report: {outcome.report_path}")
        terminal.note(
            "next: levertune anchor suggest --task FILE --way transfer --generator "
            f"{outcome.run_dir}"
        )
    terminal.result(outcome.to_mapping())
    return 1 if outcome.result is not None and outcome.result.failures else 0
