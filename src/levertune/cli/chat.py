"""`levertune chat`: talk to an adapter in the terminal, its anchor applied."""

from __future__ import annotations

import argparse
from typing import Any

from levertune.cli.arguments import (
    add_adapter_arguments,
    find_base_name,
    positive_number,
)


def add_parser(subparsers: Any) -> None:
    """Add the verb's parser."""
    parser = subparsers.add_parser(
        "chat", description="Talk to an adapter, its anchor applied. An empty line ends the talk."
    )
    add_adapter_arguments(parser)
    parser.add_argument(
        "--max-new-tokens", type=positive_number, metavar="N", help="most tokens of an answer"
    )
    parser.add_argument(
        "--no-anchor", action="store_true", help="leave the anchor out, to see what it does"
    )


def run(args: argparse.Namespace) -> int:
    """Talk.

    Raises:
        UserError: If the adapter cannot be used.
    """
    from levertune.serving.chat import chat

    chat(
        args.folder,
        max_new_tokens=args.max_new_tokens,
        use_anchor=not args.no_anchor,
        base=find_base_name(args),
        trust_remote_code=args.trust_remote_code,
    )
    return 0
