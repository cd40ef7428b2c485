"""`levertune anchor`: write, score and share anchors; one module for each of its actions."""

from __future__ import annotations

import argparse
import importlib
from typing import Any

ACTIONS = {
    "suggest": "levertune.cli.anchor_suggest",
    "score": "levertune.cli.anchor_score",
    "learn": "levertune.cli.anchor_learn",
    "pool": "levertune.cli.anchor_pool",
}


def add_parser(subparsers: Any) -> None:
    """Add the verb's parser, and those of its actions."""
    parser = subparsers.add_parser(
        "anchor", description="Write, score and share the text that stands on every task prompt."
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    for module in ACTIONS.values():
        importlib.import_module(module).add_parser(actions)


def run(args: argparse.Namespace) -> int:
    """Do one action.

    Raises:
        UserError: If what it was given cannot be used.
    """
    return int(importlib.import_module(ACTIONS[args.action]).run(args))
