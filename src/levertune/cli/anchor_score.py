"""`levertune anchor score`: what anchors do to the base model, before any training."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from levertune.cli.anchor_texts import add_anchor_text_arguments, read_anchor_texts
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
    from levertune.recipes.recipe import Recipe
    from levertune.results.anchor_scores import AnchorScores

_MAX_ROWS = 64
_SHOWN_CHARACTERS = 70


def add_parser(subparsers: Any) -> None:
    """Add the action's parser."""
    parser = subparsers.add_parser(
        "score",
        help="score anchors under the base model, without training",
        description="Score anchors under the base model, without training: the likelihood of the "
        "right answers, how far anchored task prompts lie from general ones, and tokens. On two "
        "tasks a higher silhouette went with a lower loss after training; nothing told the score.",
    )
    add_recipe_arguments(parser)
    add_anchor_text_arguments(parser)
    parser.add_argument(
        "--rows",
        metavar="N",
        type=positive_number,
        default=_MAX_ROWS,
        help="most task rows to score on",
    )
    parser.add_argument(
        "--html", metavar="FILE", help="write a page with tables, plots and pictures there"
    )
    parser.add_argument(
        "--no-text",
        action="store_true",
        help="leave the anchors' words out of the page, so that it can be shared",
    )
    add_output_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Score anchors and show the figures.

    Raises:
        UserError: If the recipe, its data, the model or an anchor cannot be used, or the page not
            be written.
    """
    terminal = make_terminal(args)
    refuse_folder("--html", args.html)
    recipe = read_recipe(args)
    if args.rows < 2:
        raise RecipeError(f"--rows: must be at least 2; found {args.rows}.")
    if args.no_text and args.html is None:
        raise RecipeError("--no-text: stands without --html. Name the page's file.")
    texts = read_anchor_texts(args)
    from levertune.results.anchor_scores import pareto_front
    from levertune.runs.anchor_candidates import score_candidates
    from levertune.runs.task_view import own_anchor_text, view_task

    if args.html is not None:
        from levertune.reports.anchor_page import require_room

        require_room(len(texts) + (recipe.anchor.text not in (None, "auto")))
    progress = terminal.progress()
    view = view_task(recipe, progress=progress)
    own = own_anchor_text(recipe, view)
    texts += [own] if own is not None else []
    scored = score_candidates(recipe, view, texts, max_rows=args.rows, progress=progress)
    front = {score.anchor_id for score in pareto_front(scored.scores)}
    for note in scored.notes:
        terminal.note(f"note: {note}")
    for score in (scored.baseline, *scored.scores):
        if (
            score.nll is None or score.silhouette is None
        ):  # else the notes say how intervals were made
            terminal.warn(f"{_short(score.text) or 'without an anchor'}: {'; '.join(score.notes)}")
    columns = ("", "NLL", "against none", "AUC", "silhouette", "tokens a request", "anchor")
    ordered = sorted(
        scored.scores, key=lambda score: (score.nll is None, score.nll, score.tokens_per_request)
    )
    rows = [
        (
            "front" if score.anchor_id in front else "",
            _figure(score.nll, score.nll_interval),
            _change(score.nll_change, score.nll_change_interval),
            _figure(score.auc, score.auc_interval),
            _figure(score.silhouette, score.silhouette_interval),
            f"{score.tokens_per_request:.1f}",
            _short(score.text) or "(no anchor)",
        )
        for score in (*ordered, scored.baseline)
    ]
    title = f"{scored.baseline.num_rows} task rows, {scored.baseline.num_general} general prompts"
    terminal.table(columns, rows, title=title)
    terminal.note(
        "front: no other anchor is as good in NLL, silhouette and tokens and better in one; 95 % "
        "intervals"
    )
    if args.html is not None:
        _write_page(args, recipe, scored)
        terminal.note(f"written: {args.html}")
    terminal.result(
        {
            "baseline": asdict(scored.baseline),
            "scores": [{**asdict(s), "is_in_front": s.anchor_id in front} for s in scored.scores],
            "picture": asdict(scored.picture) if scored.picture is not None else None,
            "notes": list(scored.notes),
            "page": args.html,
        }
    )
    return 0


def _write_page(args: argparse.Namespace, recipe: Recipe, scored: AnchorScores) -> None:
    from levertune.reports.anchor_page import write_anchor_page
    from levertune.results.privacy import without_folders
    from levertune.results.url_secrets import without_url_secrets

    task, model = (
        without_folders(without_url_secrets(name))
        for name in (recipe.task.path, recipe.model.model_name_or_path)
    )
    write_anchor_page(args.html, scored, task=task, model=model, include_text=not args.no_text)


def _figure(value: float | None, ends: tuple[float, float] | None) -> str:
    if value is None:
        return "not measured"
    return f"{value:.3f}" if ends is None else f"{value:.3f} [{ends[0]:.2f}, {ends[1]:.2f}]"


def _change(value: float | None, ends: tuple[float, float] | None) -> str:
    """A difference; with fewer decimals an end of its interval beside zero would read as zero."""
    if value is None:
        return "not measured"
    return f"{value:+.3f}" if ends is None else f"{value:+.3f} [{ends[0]:+.3f}, {ends[1]:+.3f}]"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARACTERS else line[: _SHOWN_CHARACTERS - 3] + "..."
