"""`levertune report`: write the page of a finished run."""

from __future__ import annotations

import argparse
from typing import Any

from levertune.cli.arguments import add_output_arguments, make_terminal


def add_parser(subparsers: Any) -> None:
    """Add the verb's parser."""
    parser = subparsers.add_parser(
        "report", description="Write the page of a finished run from its result files alone."
    )
    parser.add_argument("folder", metavar="FOLDER", help="the run folder")
    parser.add_argument(
        "--no-text",
        action="store_true",
        help="leave out prompts, answers and the anchor's words, so that the page can be shared",
    )
    add_output_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Write the page and say where it is.

    Raises:
        RunError: If the run is not done, or one of its files is damaged.
    """
    from levertune.reports.page import write_report

    terminal = make_terminal(args)
    path = write_report(args.folder, include_text=not args.no_text)
    terminal.say(str(path))
    terminal.result({"report": str(path)})
    return 0
