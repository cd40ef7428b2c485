"""`levertune tune`: choose settings by measurement inside the training rows."""

from __future__ import annotations

import argparse
import math
import re
from typing import TYPE_CHECKING, Any

from levertune.cli.anchor_texts import add_anchor_text_arguments, read_anchor_texts
from levertune.cli.arguments import (
    add_jobs_argument,
    add_output_arguments,
    add_recipe_arguments,
    make_terminal,
    read_recipe,
)
from levertune.errors import RecipeError

if TYPE_CHECKING:
    from levertune.cli.terminal import Terminal
    from levertune.results.tuning import Candidate, TunedChoice

_SECONDS = {"s": 1, "m": 60, "h": 3600}


def add_parser(subparsers: Any) -> None:
    """Add the verb's parser."""
    parser = subparsers.add_parser(
        "tune",
        description="Choose settings by the likelihood of training rows left out of training. "
        "`levertune run` in the same folder takes the choice in the place of `auto`. No test row "
        "is seen; with cross-validation each fold makes a choice of its own.",
    )
    add_recipe_arguments(parser)
    parser.add_argument(
        "--what",
        default="general",
        metavar="LIST",
        help="general (rows for each task row), learning_rate, exposures, anchor, or several: a,b",
    )
    parser.add_argument(
        "--arm",
        default="tell",
        metavar="LIST",
        help="arms to choose for: tell, sft (for all plain arms), or tell,sft",
    )
    parser.add_argument(
        "--budget",
        type=_duration,
        metavar="TIME",
        help="most time of the trials by estimate, as 30m or 2h; the dearest candidates, and of "
        "anchors those ranked last, are left out to meet it",
    )
    parser.add_argument(
        "--ways",
        metavar="LIST",
        help="with --what anchor: how to write anchors, of template, features, pool, model (the "
        "base model) and, with --generator, transfer; all of them if not given",
    )
    parser.add_argument(
        "--generator",
        metavar="FOLDER",
        help="the generator of the way transfer: a folder that `levertune anchor learn` wrote",
    )
    add_anchor_text_arguments(parser)
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be tried and how long, then stop"
    )
    add_jobs_argument(parser, "trials")
    add_output_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Tune and show what was found.

    Raises:
        UserError: If the recipe, its data, the model or the run folder cannot be used.
    """
    terminal = make_terminal(args)
    recipe = read_recipe(args)
    from levertune.results.mapping import to_mapping
    from levertune.tuning.anchor_race import AnchorField, parse_ways
    from levertune.tuning.candidates import parse_what
    from levertune.tuning.tune import tune_recipe

    what = parse_what(args.what)
    texts = read_anchor_texts(args)
    has_anchor_option = texts or args.ways is not None or args.generator is not None
    if "anchor" not in what and has_anchor_option:
        raise RecipeError(
            "--text, --from, --ways and --generator: are for --what anchor; found --what "
            f"{args.what}."
        )
    outcome = tune_recipe(
        recipe,
        what=what,
        anchors=AnchorField(
            ways=parse_ways(args.ways, args.generator),
            texts=tuple(texts),
            generator=args.generator,
        ),
        arms=[name.strip() for name in args.arm.split(",")],
        budget_seconds=args.budget,
        dry_run=args.dry_run,
        jobs=args.jobs,
        progress=terminal.progress(),
        say=terminal.note,
    )
    if outcome.tuning is None:
        return 0
    for choice in outcome.tuning.choices:
        _show(choice, terminal)
    if outcome.by_hand:
        terminal.note(
            f"levertune run will take none of this: {', '.join(outcome.by_hand)} is set by hand. "
            "Write what was chosen into the recipe."
        )
    else:
        terminal.note(
            "next: levertune run, with the same recipe: it takes these in place of `auto`"
        )
    terminal.result(to_mapping(outcome.tuning))
    return 0


def _show(choice: TunedChoice, terminal: Terminal) -> None:
    where = (
        "all training rows" if choice.fold is None else f"training rows of fold {choice.fold + 1}"
    )
    columns: tuple[str, ...] = (
        "candidate", "general a task row", "task share of loss", "folds", "NLL",
        "against the chosen", "tokens", ""
    )  # fmt: skip
    rows = [_row(candidate, number == 0) for number, candidate in enumerate(choice.candidates)]
    if choice.anchors:
        columns = (*columns[:-2], "tokens a trial", "anchor tokens", "")
        rows = [
            (*row[:-1], str(candidate.anchor_tokens), row[-1])
            for row, candidate in zip(rows, choice.candidates, strict=True)
        ]
    terminal.table(columns, rows, title=f"{choice.arm}, {where}")
    for anchor in choice.anchors:
        if anchor.left_out is not None:
            terminal.note(f"not raced, of {anchor.way}: {_cut(anchor.text)} ({anchor.left_out})")


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 70 else line[:67] + "..."


def _row(candidate: Candidate, is_chosen: bool) -> tuple[str, ...]:
    from levertune.results.tuning import describe_settings

    share = candidate.task_loss_share
    difference = ""
    if candidate.difference is not None:
        error = candidate.difference_se
        difference = f"{candidate.difference:+.3f}" + (f" (se {error:.3f})" if error else "")
    notes = ["chosen"] if is_chosen else []
    if candidate.has_collapsed:
        notes.append("warning: hardly learns the task rows")
    if candidate.failure is not None:
        notes.append(candidate.failure)
    return (
        describe_settings(candidate.settings),
        f"{candidate.general_per_task_row:.1f}",
        f"{share:.0%}" if share is not None else "not known",
        str(candidate.folds),
        f"{candidate.nll:.3f}" if candidate.nll is not None else "none",
        difference,
        f"{candidate.train_tokens:,.0f}",
        "; ".join(notes),
    )


def _duration(text: str) -> float:
    """Seconds of a time such as `90s`, `30m` or `1.5h`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip())
    seconds = float(match[1]) * _SECONDS[match[2]] if match else math.nan
    if not seconds > 0:
        raise argparse.ArgumentTypeError(f"must be a time such as 30m or 2h; found {text!r}")
    return seconds
