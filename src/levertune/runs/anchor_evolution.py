"""The way `evolve` on the rows of a recipe: its base model gives losses, a capable one reflects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from levertune.anchors.anchor import Anchor
from levertune.anchors.asking import SERVER_MAX_TOKENS, Ask
from levertune.anchors.candidates import AnchorCandidate, WayResult
from levertune.anchors.evolve import WAY, evolve, require_gepa
from levertune.anchors.evolve_plan import EvolvePlan, require_room
from levertune.anchors.evolve_record import RowLoss
from levertune.anchors.guard import FindFault
from levertune.data.draws import sample_items
from levertune.data.records import Record
from levertune.errors import RecipeError
from levertune.models.rendering import TokenizedExample
from levertune.progress import Progress
from levertune.recipes.recipe import Recipe
from levertune.runs.anchor_rules import settle_placement

if TYPE_CHECKING:
    from levertune.runs.task_view import TaskView

NUM_CALLS = EvolvePlan().num_calls
"""Rows that a search looks at, by default."""


def require_reflection(ways: Sequence[str], ask: Ask | None, num_rows: int, num_calls: int) -> None:
    """Refuse to evolve where it could not begin, before other ways have done their work.

    Args:
        ways: How candidates are to be written.
        ask: The model to ask.
        num_rows: Training rows there are.
        num_calls: Most rows looked at.

    Raises:
        RecipeError: If the package that searches or a model that can reflect is missing, or the
            budget too small for one start.
        DataError: If there are too few rows.
    """
    if WAY not in ways:
        return
    if ask is None:
        raise RecipeError(
            "--way evolve: needs a capable model to reflect on how rows went, which a small base "
            "model is not; found none. Name one with --endpoint URL --endpoint-model NAME."
        )
    require_gepa()
    require_room(num_rows, EvolvePlan(num_calls=num_calls))


def evolve_candidates(
    recipe: Recipe,
    view: TaskView,
    starts: Sequence[AnchorCandidate],
    guard: FindFault,
    ask: Ask,
    *,
    asked_model: str,
    store: Path | None,
    num_calls: int,
    max_tokens: int | None,
    progress: Progress,
) -> WayResult:
    """Search for an anchor from the candidates that other ways wrote.

    Args:
        recipe: The recipe; placement and lead-in are taken from it.
        view: Its rows.
        starts: The candidates.
        guard: Says what makes a text unusable.
        ask: The model that reflects.
        asked_model: Its name.
        store: Where its answers are kept; the candidates tried stand beside them.
        num_calls: Most rows looked at.
        max_tokens: Most tokens of an answer, or None for `SERVER_MAX_TOKENS`.
        progress: Where to show progress.

    Returns:
        The best candidate, if it beats the best start, and one line on the search.

    Raises:
        UserError: If no start can be used, the budget is too small, there are too few rows, or the
            model cannot be asked.
    """
    from levertune.evaluation.likelihood import score_likelihood

    plan = EvolvePlan(num_calls=num_calls, max_tokens=max_tokens or SERVER_MAX_TOKENS)
    rows = sample_items(view.train, plan.max_rows)
    workspace, max_length = view.workspace, recipe.training.max_length
    section = settle_placement(recipe, workspace.tokenizer, always=True)[0].anchor

    def tokenized(text: str, records: Sequence[Record]) -> list[TokenizedExample]:
        anchor = Anchor(text, section.placement, section.lead_in)
        return [workspace.tokenizer.tokenize(anchor.apply(record)) for record in records]

    def find_fault(text: str) -> str | None:
        if fault := guard(text):
            return fault
        num_over = sum(len(row.input_ids) > max_length for row in tokenized(text, rows))
        if num_over:
            return f"leaves {num_over} of {len(rows)} rows longer than {max_length} tokens"
        return None

    def measure(text: str, records: Sequence[Record]) -> list[RowLoss]:
        given = tokenized(text, records)
        found = score_likelihood(
            workspace.base(),
            given,
            hardware=workspace.hardware,
            pad_id=workspace.tokenizer.pad_id,
        )
        return [
            RowLoss(loss.nll, loss.num_tokens, len(row.input_ids))
            for loss, row in zip(found, given, strict=True)
        ]

    asked_with = f"{workspace.tokenizer_hash} {section.placement} {section.lead_in!r}"
    found = evolve(
        rows,
        starts,
        measure,
        ask,
        model=asked_model,
        identity=f"{workspace.model_hash} {asked_with}",
        guard=find_fault,
        answers=store,
        record=record_path(store) if store is not None else None,
        plan=plan,
        progress=progress,
    )
    written = (found.candidate,) if found.candidate is not None else ()
    return WayResult(written, f"Evolved: {found.summarize()}.", found.stopped_by)


def record_path(store: Path) -> Path:
    """Where the candidates tried are on record: beside the answers of the model.

    Args:
        store: File of the answers, as `candidates.answers.jsonl`.
    """
    return store.with_name(
        f"{store.name.removesuffix('.jsonl').removesuffix('.answers')}.evolved.jsonl"
    )
