"""`levertune schema`: the recipe's JSON schema, or its reference page."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the verb's parser."""
    parser = subparsers.add_parser(
        "schema",
        description="Print the recipe's JSON schema, for editors that complete and check YAML.",
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write to a file instead")
    parser.add_argument(
        "--markdown", action="store_true", help="the reference page instead of the schema"
    )


def run(args: argparse.Namespace) -> int:
    """Print or write the schema.

    Raises:
        RunError: If the file cannot be written.
    """
    from levertune.recipes.reference import recipe_reference, recipe_schema

    text = recipe_reference() if args.markdown else json.dumps(recipe_schema(), indent=2) + "\n"
    if args.output is None:
        print(text, end="")
        return 0
    from levertune.results.files import write_text_atomically

    write_text_atomically(Path(args.output), text)
    return 0
