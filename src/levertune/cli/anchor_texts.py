"""Anchors a user brings along on the command line: `--text` and `--from`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from levertune.errors import RecipeError


def add_anchor_text_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--text TEXT` and `--from FILE`."""
    parser.add_argument(
        "--text", metavar="TEXT", action="append", default=[], help="an anchor; may be given again"
    )
    parser.add_argument(
        "--from", metavar="FILE", dest="source", help="candidates that `anchor suggest` wrote"
    )


def read_anchor_texts(args: argparse.Namespace) -> list[str]:
    """The anchors of both, those of the file first.

    Raises:
        RecipeError: If the file is missing or holds a row without a text.
        UserError: If it cannot be read.
    """
    if args.source is None:
        return list(args.text)
    from levertune.results.files import read_jsonl

    path = Path(args.source)
    if not os.path.isfile(path):  # unlike Path.is_file, no error for a name that is too long
        raise RecipeError(
            f"--from {args.source}: no such file. Write it with: levertune anchor suggest"
        )
    texts = []
    for number, row in enumerate(read_jsonl(path), start=1):
        text = row.get("text")
        if not isinstance(text, str) or not text.strip():
            raise RecipeError(
                f"--from {args.source}, row {number}: has no text; found the fields "
                f"{sorted(row)}. Write the file with: levertune anchor suggest"
            )
        texts.append(text)
    return [*texts, *args.text]
