"""What the verbs have in common on the command line: a recipe, a run folder or a task file."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from levertune.cli.terminal import Terminal
from levertune.errors import RecipeError, RunError

if TYPE_CHECKING:
    from levertune.recipes.recipe import Recipe

RECIPE_FILE = "recipe.yaml"

_DATA_ENDINGS = {".jsonl", ".ndjson", ".csv", ".tsv", ".xlsx", ".parquet", ".arrow"}

_MOST_DIGITS = 18  # of a 64-bit number


def add_recipe_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the recipe, run folder or task file, and the overrides behind it."""
    parser.add_argument(
        "inputs",
        nargs="*",
        metavar="RECIPE|FOLDER|key=value",
        help="a recipe or a run folder, then settings as training.learning_rate=2e-4",
    )
    parser.add_argument("--task", metavar="FILE", help="task rows, everything else defaulted")


def add_jobs_argument(parser: argparse.ArgumentParser, what: str) -> None:
    """Add `--jobs`: how many of `what` to work on at once."""
    parser.add_argument(
        "--jobs",
        default="auto",
        metavar="N",
        type=_number_or_auto,
        help=f"{what} to work on at once; auto: as cores and memory allow",
    )


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--quiet` and `--json`."""
    parser.add_argument("--quiet", action="store_true", help="print the result and errors only")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def positive_number(word: str) -> int:
    """The number from 1 that a word is; argparse says what it found instead."""
    return _number_from(1, word)


def whole_number(word: str) -> int:
    """The number from 0 that a word is; argparse says what it found instead."""
    return _number_from(0, word)


def refuse_folder(option: str, path: str | None) -> None:
    """Refuse a folder where a file is to be written, before any work is done.

    Args:
        option: The option that names it.
        path: What it names, or None.

    Raises:
        RecipeError: If that is a folder.
    """
    if path is not None and (os.path.isdir(path) or path.endswith("/")):
        raise RecipeError(f"{option} {path}: is a folder. Name a file.")


def make_terminal(args: argparse.Namespace) -> Terminal:
    """The terminal that `--quiet` and `--json` ask for."""
    return Terminal(quiet=args.quiet, json=args.json)


def read_recipe(args: argparse.Namespace) -> Recipe:
    """The recipe a command was given, overrides applied.

    Args:
        args: Parsed by a parser with `add_recipe_arguments`.

    Raises:
        RecipeError: If none was given, or more than one, or it is wrong.
        RunError: If the folder given is no run folder.
    """
    from levertune.recipes.loading import load_recipe, recipe_for_task

    named = [word for word in args.inputs if not is_override(word)]
    overrides = [word for word in args.inputs if is_override(word)]
    if args.task is not None:
        if named:
            raise RecipeError(f"--task {args.task}: stands beside {named[0]!r}. Name one of them.")
        return recipe_for_task(args.task, overrides)
    if len(named) != 1:
        found = f"found {', '.join(map(repr, named))}" if named else "found nothing"
        raise RecipeError(
            f"one recipe is needed; {found}. Name a recipe, a run folder, or --task FILE."
        )
    target = Path(named[0])
    if os.path.isdir(target):  # unlike Path.is_dir, no error for a name that is too long
        return _read_run_folder(target, overrides)
    if target.suffix.lower() in _DATA_ENDINGS:
        raise RecipeError(
            f"{target}: is a data file, not a recipe. Write --task {target}, or make a recipe "
            f"with: levertune init {target}"
        )
    return load_recipe(target, overrides)


def is_override(word: str) -> bool:
    """Whether a word is `key=value`, and no file with such a name, as `lr=1.yaml`.

    Args:
        word: A word of the command line.
    """
    from levertune.recipes.recipe import Recipe

    name, equals, _ = word.partition("=")
    section, dot, _ = name.strip().partition(".")
    if equals and dot and section in Recipe.model_fields:
        return True
    return bool(equals) and not os.path.exists(word)


def add_adapter_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the adapter's folder, `--base` and `--trust-remote-code`."""
    parser.add_argument("folder", metavar="FOLDER", help="an adapter, or a run folder for its best")
    parser.add_argument(
        "--base",
        metavar="MODEL",
        help="folder or Hub name of the base model; needed only for an adapter away from its run "
        "whose base model was a local folder",
    )
    parser.add_argument(
        "--trust-remote-code",
        action="store_true",
        help="let code that came with the base model run; look at it first",
    )


def find_base_name(args: argparse.Namespace) -> str | None:
    """The base model named, or the one of the run that the folder belongs to; None if neither.

    An adapter knows a local base model by its folder's name alone, the run's recipe by its path.

    Raises:
        RecipeError: If that recipe cannot be read.
    """
    from levertune.recipes.loading import load_recipe

    if args.base is not None:
        return str(args.base)
    folder = Path(args.folder)
    for place in (folder, folder.parent):
        if (place / RECIPE_FILE).is_file():
            return load_recipe(place / RECIPE_FILE).model.model_name_or_path
    return None


def _read_run_folder(folder: Path, overrides: list[str]) -> Recipe:
    """The recipe of a run, pointing to where its folder is now."""
    from levertune.recipes.loading import load_recipe
    from levertune.recipes.yaml_text import format_value

    path = folder / RECIPE_FILE
    if not path.is_file():
        raise RunError(
            f"{folder}: has no {RECIPE_FILE}, so it is no run folder. Name a folder made by: "
            "levertune run"
        )
    return load_recipe(path, [f"output_dir={format_value(str(folder))}", *overrides])


def _number_or_auto(word: str) -> int | str:
    """`auto`, or a number from 1; argparse says what it found instead."""
    return word if word == "auto" else _number_from(1, word, or_else="auto or ")


def _number_from(least: int, word: str, or_else: str = "") -> int:
    if not word.isdecimal() or len(word) > _MOST_DIGITS or int(word) < least:
        raise argparse.ArgumentTypeError(f"must be {or_else}a number from {least}; found {word!r}")
    return int(word)
