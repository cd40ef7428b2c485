"""`levertune anchor suggest`: write candidates for the anchor."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from levertune.cli.arguments import (
    add_output_arguments,
    add_recipe_arguments,
    make_terminal,
    positive_number,
    read_recipe,
    refuse_folder,
)
from levertune.errors import RecipeError

if TYPE_CHECKING:
    from levertune.anchors.asking import Ask

_WAYS = ("template", "pool", "features", "model", "transfer", "evolve")
_ASKING = {"model", "evolve"}
_ANSWERED = {"transfer", *_ASKING}
# As the plans of the ways in anchors/, which are not read for --help.
_EVOLVE_CALLS = 400
_BASE_MAX_TOKENS = 160
_GENERATOR_MAX_TOKENS = 200
_SERVER_MAX_TOKENS = 2048


def add_parser(subparsers: Any) -> None:
    """Add the action's parser."""
    parser = subparsers.add_parser(
        "suggest",
        help="write candidates for the anchor",
        description="Write candidates for the anchor from the training rows, and say what each "
        "costs. template: from what the rows say about themselves. pool: from the shared "
        "collection. features: from what sets the rows apart from general rows. model: asked of "
        "the base model, or of an endpoint. transfer: asked of a generator that `levertune anchor "
        "learn` trained. evolve: a search from the others' candidates by the likelihood of right "
        "answers; a model behind an endpoint reflects and rewrites.",
    )
    add_recipe_arguments(parser)
    parser.add_argument(
        "--way",
        metavar="WAY",
        action="append",
        choices=_WAYS,
        help=f"one of {', '.join(_WAYS)}; may be given again (default: template and pool)",
    )
    parser.add_argument(
        "--num", metavar="N", type=positive_number, default=3, help="entries of the pool"
    )
    parser.add_argument(
        "--endpoint", metavar="URL", help="ask an OpenAI-compatible server, as https://host/v1"
    )
    parser.add_argument("--endpoint-model", metavar="NAME", help="the model's name there")
    parser.add_argument(
        "--key-variable", metavar="VAR", help="environment variable that holds its key"
    )
    parser.add_argument(
        "--max-tokens",
        metavar="N",
        type=positive_number,
        help="most tokens that a model may answer with, thoughts among them (default: "
        f"{_BASE_MAX_TOKENS} of the base model, {_GENERATOR_MAX_TOKENS} of a generator, "
        f"{_SERVER_MAX_TOKENS} of a server)",
    )
    parser.add_argument(
        "--generator",
        metavar="FOLDER",
        help="the generator of --way transfer: a folder that `levertune anchor learn` wrote",
    )
    parser.add_argument(
        "--evolve-calls",
        metavar="N",
        type=positive_number,
        help=f"most rows that evolve looks at, counted once a candidate (default: {_EVOLVE_CALLS})",
    )
    parser.add_argument(
        "--ablate",
        action="store_true",
        help="for each sentence of the candidate of features, add that candidate without it",
    )
    parser.add_argument(
        "--to",
        metavar="FILE",
        help="write the candidates there as JSON Lines, for: levertune anchor score --from FILE",
    )
    parser.add_argument("--force", action="store_true", help="replace that file if it is there")
    add_output_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Write candidates and show them.

    Returns:
        0, or 1 if a way could not ask its model to the end; what there is is shown and written, and
        the same command goes on.

    Raises:
        UserError: If the recipe, its data, the model or the endpoint cannot be used, or the file is
            there already and was not left unfinished.
    """
    terminal = make_terminal(args)
    refuse_folder("--to", args.to)
    _refuse_kept(args)
    recipe = read_recipe(args)
    from levertune.results.candidate_file import write_candidates
    from levertune.runs.anchor_candidates import suggest_anchors
    from levertune.runs.task_view import view_task

    ways = args.way or ["template", "pool"]
    ask = _endpoint(args)
    if args.max_tokens is not None and not _ANSWERED & set(ways):
        raise RecipeError("--max-tokens: is for --way model, transfer and evolve. Add one of them.")
    calls = _evolve_calls(args)
    progress = terminal.progress()
    view = view_task(recipe, progress=progress)
    suggested = suggest_anchors(
        recipe,
        view,
        ways=ways,
        num_pool=args.num,
        only_alike=True,
        ask=ask,
        asked_model=args.endpoint_model or "",
        generator=args.generator,
        store=_store(args.to) if _ANSWERED & set(ways) else None,
        evolve_calls=calls,
        max_tokens=args.max_tokens,
        ablate=args.ablate,
        progress=progress,
    )
    count = view.workspace.tokenizer.count
    for note in suggested.notes:
        terminal.note(f"note: {note}")
    for line in suggested.failed:
        terminal.warn(line)
    columns = ("", "way", "tokens", "design cost", "anchor")
    rows = [
        (number, one.way, count(one.text), one.cost.describe(), " ".join(one.text.split()))
        for number, one in enumerate(suggested.candidates, start=1)
    ]
    terminal.table(columns, rows)
    for number, one in enumerate(suggested.candidates, start=1):
        for note in one.notes:
            terminal.note(f"{number}: {note}")
    found = [{**one.to_json(), "tokens": count(one.text)} for one in suggested.candidates]
    if args.to is not None:
        is_unfinished = bool(suggested.failed)
        write_candidates(Path(args.to), found, is_unfinished=is_unfinished)
        left = ", unfinished: the same command goes on" if is_unfinished else ""
        terminal.note(f"written: {args.to}{left}")
        terminal.note(f"next: levertune anchor score --from {args.to}, with the same recipe")
    terminal.result(
        {
            "candidates": found,
            "notes": list(suggested.notes),
            "failed": list(suggested.failed),
        }
    )
    return 1 if suggested.failed else 0


def _refuse_kept(args: argparse.Namespace) -> None:
    """Refuse to replace a file of candidates, but for one that was left unfinished."""
    if args.to is None or args.force or not os.path.exists(args.to):
        return
    from levertune.results.candidate_file import is_left_unfinished

    if not is_left_unfinished(Path(args.to)):
        raise RecipeError(f"--to {args.to}: is there already. Name another file, or add --force.")


def _endpoint(args: argparse.Namespace) -> Ask | None:
    if args.endpoint is None:
        for option in ("endpoint_model", "key_variable"):
            if getattr(args, option) is not None:
                name = option.replace("_", "-")
                raise RecipeError(f"--{name}: stands without --endpoint. Name the server's URL.")
        return None
    if not _ASKING & set(args.way or ()):
        raise RecipeError("--endpoint: is asked by --way model and evolve alone. Add one of them.")
    if args.endpoint_model is None:
        raise RecipeError("--endpoint: needs the model's name. Add --endpoint-model NAME.")
    from levertune.anchors.endpoint import ChatEndpoint

    return ChatEndpoint(args.endpoint, args.endpoint_model, key_variable=args.key_variable)


def _evolve_calls(args: argparse.Namespace) -> int:
    if args.evolve_calls is None:
        return _EVOLVE_CALLS
    if "evolve" not in (args.way or ()):
        raise RecipeError("--evolve-calls: stands without --way evolve. Add it.")
    if args.evolve_calls < 1:
        raise RecipeError(f"--evolve-calls: must be at least 1; found {args.evolve_calls}.")
    return int(args.evolve_calls)


def _store(target: str | None) -> Path | None:
    """Where a model's answers are kept beside the candidates."""
    if target is None:
        return None
    root, _ = os.path.splitext(target)
    return Path(f"{root}.answers.jsonl")
