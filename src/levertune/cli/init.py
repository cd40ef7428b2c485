"""`levertune init`: an annotated recipe for a file of task rows, and a base model that fits."""

from __future__ import annotations

import argparse
import os
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from levertune.cli.arguments import add_output_arguments, make_terminal
from levertune.errors import RecipeError

if TYPE_CHECKING:
    from levertune.cli.machine import BaseModel, Machine
    from levertune.data.records import RecordFile
    from levertune.recipes.recipe import Recipe

_QUOTED_CHARACTERS = 70


def add_parser(subparsers: Any) -> None:
    """Add the verb's parser."""
    parser = subparsers.add_parser(
        "init",
        description="Write a recipe for a file of task rows, every key with a comment, and propose "
        "a base model for this machine.",
    )
    parser.add_argument("file", metavar="FILE", help="the task rows")
    parser.add_argument(
        "inputs", nargs="*", metavar="key=value", help="settings, as task.prompt='{question}'"
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", default="recipe.yaml", help="the recipe to write"
    )
    parser.add_argument("--force", action="store_true", help="replace the file if it is there")
    parser.add_argument("--dry-run", action="store_true", help="print the recipe, write nothing")
    add_output_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Write the recipe.

    Raises:
        DataError: If the rows cannot be read.
        RecipeError: If a setting is wrong, or the output is there already.
        RunError: If the output cannot be written.
    """
    from levertune.cli.machine import propose_models, read_machine
    from levertune.data.readers import read_records
    from levertune.recipes.dumping import annotate_recipe
    from levertune.recipes.loading import recipe_for_task
    from levertune.results.files import write_text_atomically

    terminal = make_terminal(args)
    output = Path(args.output)
    if output.exists() and not args.force and not args.dry_run:
        raise RecipeError(f"{output}: is there already. Name another with -o, or add --force.")
    recipe = recipe_for_task(args.file, args.inputs)
    task = recipe.task
    rows = read_records(
        task.path, prompt=task.prompt, completion=task.completion, encoding=task.encoding
    )
    machine = read_machine()
    models = propose_models(machine)
    found = describe_rows(recipe, rows)
    notes = {**found, **proposed_settings(recipe, rows, machine)}
    notes["model.model_name_or_path"] = "works offline" + "".join(
        f"; larger, over the network: {model.name} ({model.licence})" for model in models
    )
    text = annotate_recipe(recipe, notes)
    if args.dry_run:
        terminal.say(text)
    else:
        write_text_atomically(output, text)
    for key, note in found.items():
        terminal.note(f"{key}: {note}")
    for line in _model_lines(recipe, machine, models):
        terminal.note(line)
    if not args.dry_run:
        terminal.say(f"wrote {output}")
        terminal.note(f"next: levertune check {output}, then levertune run {output}")
    terminal.result(
        {
            "recipe": None if args.dry_run else str(output),
            "notes": notes,
            "models": [model.name for model in models],
        }
    )
    return 0


def describe_rows(recipe: Recipe, rows: RecordFile) -> dict[str, str]:
    """What was recognised in the rows, by the recipe key it concerns.

    Args:
        recipe: The recipe for these rows.
        rows: The task rows.
    """
    from levertune.anchors.auto import choose_anchor
    from levertune.data.language_names import language_name
    from levertune.scoring.kinds import choose_metrics, recognise_kind

    kind = recognise_kind([record.completion for record in rows.records])
    notes = {"task.path": f"{len(rows.records)} rows of {rows.file_format}, schema {rows.schema}"}
    metrics = choose_metrics(kind, recipe.task.metric)
    notes["task.metric"] = f"auto is {metrics.primary}: kind {kind.kind}, {kind.reason}"
    if recipe.anchor.text == "auto":
        choice = choose_anchor(
            "auto",
            rows.records,
            kind=kind.kind,
            labels=kind.labels,
            prompt_language=language_name(recipe.task.prompt_language),
            answer_language=language_name(recipe.task.answer_language),
        )
        if choice.anchor is not None:
            words = textwrap.shorten(choice.anchor.text, _QUOTED_CHARACTERS, placeholder=" ...")
            notes["anchor.text"] = f'auto is "{words}": {choice.reason}'
    return notes


def proposed_settings(recipe: Recipe, rows: RecordFile, machine: Machine) -> dict[str, str]:
    """What `auto` comes to for these rows, by key, as far as it can be told without the model.

    Args:
        recipe: The recipe.
        rows: The task rows.
        machine: The hardware.
    """
    from levertune.cli.machine import BASE_MODELS
    from levertune.settings import Facts, resolve_settings

    sizes = {model.name: model.parameters for model in BASE_MODELS}
    parameters = sizes.get(recipe.model.model_name_or_path)
    facts = Facts(
        task_rows=len(rows.records),
        general_available=10**9,
        model_parameters=parameters or BASE_MODELS[0].parameters,
        device="cpu" if machine.accelerator is None else "cuda",
        memory_bytes=machine.memory_bytes,
    )
    told = {"task.test", "task.exposures", "general.rows"}
    if parameters is not None:
        told.add("training.learning_rate")
    _, settings = resolve_settings(recipe, facts)
    return {
        setting.key: f"auto is {setting.value}: {setting.reason}"
        for setting in settings
        if setting.key in told
    }


def _model_lines(recipe: Recipe, machine: Machine, models: list[BaseModel]) -> list[str]:
    from levertune.cli.machine import GIB

    where = machine.accelerator or f"{machine.cores} cores, {machine.memory_bytes / GIB:.0f} GiB"
    lines = [f"base model: {recipe.model.model_name_or_path}"]
    if not models:
        return [*lines, f"  for this machine ({where}) none larger is proposed"]
    lines.append(
        f"  for this machine ({where}) a larger one fits too; it comes from the Hub, which needs a "
        "network:"
    )
    lines.extend(
        f"  model.model_name_or_path={model.name} ({model.parameters / 1e9:.2g}B, "
        f"{model.languages}, {model.licence})"
        for model in models
    )
    if _is_offline(os.environ):
        lines.append("  HF_HUB_OFFLINE is set: only models in the cache can be used")
    return lines


def _is_offline(environment: Mapping[str, str]) -> bool:
    return environment.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
