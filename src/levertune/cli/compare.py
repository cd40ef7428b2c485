"""`levertune compare`: one finished run against another, row by row."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from levertune.cli.arguments import add_output_arguments, make_terminal


def add_parser(subparsers: Any) -> None:
    """Add the verb's parser."""
    parser = subparsers.add_parser(
        "compare",
        description="Compare an arm of one finished run with an arm of another that was tested on "
        "the same rows: differences paired by row and by seed, with 95 % intervals.",
    )
    parser.add_argument("folder", metavar="RUN", help="a run folder")
    parser.add_argument("against", metavar="AGAINST", help="the run folder it is compared with")
    parser.add_argument("--arm", default="tell", help="the arm of RUN")
    parser.add_argument("--against-arm", metavar="ARM", help="the arm of AGAINST, if another one")
    add_output_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Compare and show the differences.

    Raises:
        RunError: If the runs cannot be compared.
    """
    from levertune.results.mapping import to_mapping
    from levertune.results.schema import read_result
    from levertune.runs.closing import difference_table
    from levertune.runs.compare import compare_runs

    terminal = make_terminal(args)
    found = compare_runs(args.folder, args.against, arm=args.arm, against_arm=args.against_arm)
    columns, rows = difference_table(read_result(Path(args.folder)), found.differences)
    names = f"{args.folder} ({args.arm}) minus {args.against} ({args.against_arm or args.arm})"
    terminal.table(columns, rows, title=f"{names}, {len(found.seeds)} seeds")
    for note in found.notes:
        terminal.note(note)
    terminal.result(to_mapping(found))
    return 0
