"""`levertune generate`: answer the prompts of a file with an adapter and its anchor."""

from __future__ import annotations

import argparse
from typing import Any

from levertune.cli.arguments import (
    add_adapter_arguments,
    add_output_arguments,
    find_base_name,
    make_terminal,
    positive_number,
)


def add_parser(subparsers: Any) -> None:
    """Add the verb's parser."""
    parser = subparsers.add_parser(
        "generate",
        description="Answer the prompts of a file: file in, JSON lines out, the anchor applied.",
    )
    add_adapter_arguments(parser)
    parser.add_argument("input", metavar="INPUT", help="the prompts, in any format of task.path")
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="the JSON lines file")
    parser.add_argument("--prompt", metavar="TEMPLATE", help="as task.prompt of the recipe")
    parser.add_argument(
        "--max-new-tokens", type=positive_number, metavar="N", help="most tokens of an answer"
    )
    parser.add_argument(
        "--batch-size", type=positive_number, metavar="N", help="rows generated together"
    )
    parser.add_argument("--force", action="store_true", help="replace the output file")
    add_output_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Generate.

    Raises:
        UserError: If the adapter, the input or the output cannot be used.
    """
    from levertune.serving.generate import generate_file

    terminal = make_terminal(args)
    count = generate_file(
        args.folder,
        args.input,
        args.output,
        prompt=args.prompt,
        max_new_tokens=args.max_new_tokens,
        batch_size=args.batch_size,
        force=args.force,
        base=find_base_name(args),
        trust_remote_code=args.trust_remote_code,
        progress=terminal.progress(),
    )
    terminal.say(f"{args.output}: {count} answers")
    terminal.result({"output": args.output, "answers": count})
    return 0
