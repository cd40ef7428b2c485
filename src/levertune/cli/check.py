"""`levertune check`: look at the data before anything is trained. Never imports torch."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from levertune.cli.arguments import (
    add_output_arguments,
    add_recipe_arguments,
    make_terminal,
    read_recipe,
)

if TYPE_CHECKING:
    from levertune.anchors.anchor import Example
    from levertune.anchors.auto import AnchorChoice
    from levertune.data.records import Record, RecordFile
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
    from levertune.data.general import read_general

    recipe = read_recipe(_with_shorthands(args))
    terminal = make_terminal(args)
    tokenizer = _read_tokenizer(recipe)
    task, test = read_task(recipe)
    general = [
        file
        for source in recipe.general.sources
        for file in read_general(
            source.path,
            name=source.name,
            prompt=source.prompt,
            completion=source.completion,
            encoding=source.encoding,
            max_rows=source.max_rows,
            seed=recipe.mixture.seed,
        )
    ]
    choice = _choose_anchor(recipe, task)
    # Rows may keep the instruction they share beside another anchor; comparisons leave it out.
    instruction = choice.lifted_instruction or lift_instruction(task.records).instruction
    rows = recipe.general.rows
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
    )
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


def read_task(recipe: Recipe) -> tuple[RecordFile, RecordFile | None]:
    """The task rows, and the test rows where they are a file of their own.

    Args:
        recipe: The recipe.

    Returns:
        Both files; no test file if test rows will be taken from the task rows.

    Raises:
        DataError: If a file or row cannot be used.
    """
    from levertune.data.embedded.catalog import TASK_PREFIX
    from levertune.data.readers import read_records

    task = recipe.task
    test_path: str | None = None
    if isinstance(task.test, str) and task.test != "auto" and not task.test.startswith("cv:"):
        test_path = task.test
    elif task.test == "auto" and task.path.startswith(TASK_PREFIX) and "@" not in task.path:
        test_path = f"{task.path}@test"
    files = [
        read_records(path, prompt=task.prompt, completion=task.completion, encoding=task.encoding)
        for path in (task.path, *((test_path,) if test_path else ()))
    ]
    return files[0], files[1] if test_path else None


def _choose_anchor(recipe: Recipe, task: RecordFile) -> AnchorChoice:
    from levertune.anchors.auto import choose_anchor
    from levertune.scoring.kinds import recognise_kind

    kind = recognise_kind([record.completion for record in task.records])
    return choose_anchor(
        recipe.anchor.text,
        task.records,
        placement=recipe.anchor.placement,
        lead_in=recipe.anchor.lead_in,
        dropout=recipe.anchor.dropout,
        kind=kind.kind,
        labels=kind.labels,
    )


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
