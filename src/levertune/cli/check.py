"""`levertune check`: look at the data before anything is trained. Never imports torch."""

from __future__ import annotations

import argparse
import json
from typing import Any

from levertune.cli.arguments import (
    add_output_arguments,
    add_recipe_arguments,
    is_override,
    make_terminal,
    read_recipe,
)


def add_parser(subparsers: Any) -> None:
    """Add the verb's parser."""
    parser = subparsers.add_parser(
        "check",
        description="Look at the data before anything is trained: rows, tokens, duplicates, "
        "overlaps, labels, and whether the model's tokenizer suits the language.",
    )
    add_recipe_arguments(parser)
    parser.add_argument("--test", metavar="FILE", help="test rows; short for task.test=FILE")
    parser.add_argument(
        "--general", metavar="SRC", nargs="+", help="general sources, in place of the recipe's"
    )
    parser.add_argument("--model", metavar="NAME", help="short for model.model_name_or_path=NAME")
    parser.add_argument(
        "--show",
        metavar="N",
        type=_count,
        default=0,
        help="print N training rows of the first seed and split as they are trained on",
    )
    add_output_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Check the data and print what was found.

    Returns:
        0: what would stop a run is raised, what deserves a look is warned of.

    Raises:
        UserError: If a run of this recipe would be refused.
    """
    from levertune.cli.check_view import print_report, print_rows
    from levertune.runs.check import check_recipe

    recipe = read_recipe(_with_shorthands(args))
    terminal = make_terminal(args)
    checked = check_recipe(recipe, progress=terminal.progress())
    if args.json:
        terminal.result(checked.report.to_json())
        return 0
    tokenizer, records = checked.tokenizer, checked.train[: args.show]
    examples = [checked.show(record) for record in records]
    rows = [(tokenizer.render(example), tokenizer.tokenize(example)) for example in examples]
    print_report(checked.report, terminal)
    print_rows(rows, records, checked.inputs.task.path, checked.anchor, terminal)
    return 0


def _with_shorthands(args: argparse.Namespace) -> argparse.Namespace:
    """The arguments with `--test`, `--general` and `--model` as overrides."""
    overrides: list[str] = []
    if args.test is not None:
        overrides.append(f"task.test={args.test}")
    if args.general is not None:
        # `--general a.jsonl seeds=3`: argparse gives every word up to the next option to --general.
        is_setting = [is_override(word) for word in args.general]
        words = list(zip(args.general, is_setting, strict=True))
        sources = [{"path": word} for word, is_set in words if not is_set]
        overrides.append(f"general.sources={json.dumps(sources, ensure_ascii=False)}")
        overrides += [word for word, is_set in words if is_set]
    if args.model is not None:
        overrides.append(f"model.model_name_or_path={args.model}")
    # What is typed as key=value counts in the end, and may change what a shorthand set.
    return argparse.Namespace(**{**vars(args), "inputs": [*overrides, *args.inputs]})


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a number of rows; found {text!r}")
    return int(text)
