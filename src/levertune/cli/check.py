"""`levertune check`: look at the data before anything is trained. Never imports torch."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from levertune.cli.arguments import (
    add_output_arguments,
    add_recipe_arguments,
    make_terminal,
    read_recipe,
)
from levertune.errors import DataError

if TYPE_CHECKING:
    from levertune.anchors.anchor import Example
    from levertune.anchors.auto import AnchorChoice
    from levertune.data.records import Record, RecordFile
    from levertune.data.splits import Split
    from levertune.models.rendering import ChatTokenizer
    from levertune.recipes.recipe import Recipe

_BATCH = 2_000


def add_parser(subparsers: Any) -> None:
    """Add the verb's parser."""
    parser = subparsers.add_parser(
        "check",
        description="Look at the data before anything is trained: rows, tokens, duplicates, "
        "overlaps, labels, and whether the base model knows the language.",
    )
    add_recipe_arguments(parser)
    parser.add_argument("--test", metavar="FILE", help="test rows; short for task.test=FILE")
    parser.add_argument(
        "--general", metavar="SRC", nargs="+", help="general sources, in place of the recipe's"
    )
    parser.add_argument("--model", metavar="NAME", help="short for model.model_name_or_path=NAME")
    parser.add_argument(
        "--show", metavar="N", type=_count, default=0, help="print N rows as they are trained on"
    )
    add_output_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Check the data and print what was found.

    Returns:
        0: what is wrong with the data is raised, what deserves a look is warned of.

    Raises:
        UserError: If the recipe, a file, a row or the model cannot be used.
    """
    from levertune.anchors.lift import lift_instruction
    from levertune.cli.check_view import print_report, print_rows
    from levertune.data.checks import check_task
    from levertune.data.splits import warn_of_large_groups
    from levertune.runs.general_draw import describe_shortfalls
    from levertune.runs.inputs import (
        choose_fold_anchor,
        read_general_sources,
        read_task,
        split_task,
    )
    from levertune.runs.self_sources import describe_unwritten
    from levertune.scoring.kinds import recognise_kind
    from levertune.settings import CROSS_VALIDATION_BELOW

    recipe = read_recipe(_with_shorthands(args))
    terminal = make_terminal(args)
    tokenizer = _read_tokenizer(recipe)
    task, test = read_task(recipe)
    general = read_general_sources(recipe, progress=terminal.progress())
    kind = recognise_kind([record.completion for record in task.records])
    choice = choose_fold_anchor(recipe, task.records, kind)
    # Rows may keep the instruction they share beside another anchor; comparisons leave it out.
    instruction = choice.lifted_instruction or lift_instruction(task.records).instruction
    rows, test_setting = recipe.general.rows, recipe.task.test
    is_small = len(task.records) < CROSS_VALIDATION_BELOW
    splits: Sequence[Split] = ()
    refusal: list[str] = []
    if test is None and len(task.records) > 1:  # of one row `check_task` says more
        try:
            splits = split_task(recipe, task, test, instruction)[1]
        except DataError as error:
            refusal = [f"`levertune run` would refuse these rows: {error}"]
    report = check_task(
        task,
        test=test,
        general=general,
        count_tokens=lambda texts: _count_tokens(tokenizer, texts),
        count_row=lambda record: len(tokenizer.tokenize(_as_example(record, choice)).input_ids),
        max_length=recipe.training.max_length,
        instruction=instruction,
        english=_english_texts(general),
        general_rows=rows if isinstance(rows, int) else None,
        allow_overlap=recipe.task.allow_overlap,
        test_leaks=recipe.general.test_leaks,
        train_leaks=recipe.general.train_leaks,
        is_all_tested=test is None
        and ((test_setting == "auto" and is_small) or str(test_setting).startswith("cv:")),
        splits=splits,
    )
    pool = {file.records[0].source: list(file.records) for file in general if file.records}
    said = [note for file in general for note in file.notes]
    said += describe_shortfalls(recipe, pool) + describe_unwritten(recipe)
    said += [*warn_of_large_groups(splits), *refusal]
    report = replace(report, warnings=(*report.warnings, *said))
    shown = [
        (tokenizer.render(example), tokenizer.tokenize(example))
        for example in (_as_example(record, choice) for record in task.records[: args.show])
    ]
    if args.json:
        terminal.result(report.to_json())
        return 0
    print_report(report, terminal)
    print_rows(shown, task, choice.anchor, terminal)
    return 0


def _as_example(record: Record, choice: AnchorChoice) -> Example:
    """A row as it is trained on: anchored if it is a task row."""
    from levertune.anchors.anchor import plain_example
    from levertune.data.records import TASK_SOURCE

    if choice.anchor is None or record.source != TASK_SOURCE:
        return plain_example(record)
    return choice.anchor.apply(choice.lift_from([record]).records[0])


def _read_tokenizer(recipe: Recipe) -> ChatTokenizer:
    from levertune.models.rendering import ChatTokenizer
    from levertune.models.resolve import resolve_tokenizer

    model = recipe.model
    location = resolve_tokenizer(model.model_name_or_path, revision=model.revision)
    return ChatTokenizer.from_folder(location.folder)


def _count_tokens(tokenizer: ChatTokenizer, texts: Sequence[str]) -> list[int]:
    """Tokens of each text, on all cores; in batches, as encodings are large."""
    return [
        len(encoding)
        for start in range(0, len(texts), _BATCH)
        for encoding in tokenizer.tokenizer.encode_batch_fast(
            list(texts[start : start + _BATCH]), add_special_tokens=False
        )
    ]


def _english_texts(general: Sequence[RecordFile]) -> list[str]:
    """Prompts of `embedded-skills`, which are English."""
    from levertune.data.general import read_general

    name = "embedded-skills"
    files = [file for file in general if file.path == name] or read_general(name)
    return [record.user_text for file in files for record in file.records]


def _with_shorthands(args: argparse.Namespace) -> argparse.Namespace:
    """The arguments with `--test`, `--general` and `--model` as overrides."""
    overrides = list(args.inputs)
    if args.test is not None:
        overrides.append(f"task.test={args.test}")
    if args.general is not None:
        # `--general a.jsonl seeds=3`: argparse gives every word up to the next option to --general.
        is_setting = ["=" in word and not Path(word).exists() for word in args.general]
        words = list(zip(args.general, is_setting, strict=True))
        overrides += [word for word, is_set in words if is_set]
        sources = [{"path": word} for word, is_set in words if not is_set]
        overrides.append(f"general.sources={json.dumps(sources, ensure_ascii=False)}")
    if args.model is not None:
        overrides.append(f"model.model_name_or_path={args.model}")
    return argparse.Namespace(**{**vars(args), "inputs": overrides})


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a number of rows; found {text!r}")
    return int(text)
