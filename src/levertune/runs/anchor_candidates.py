"""Candidates for the anchor, written in several ways, and their scores before any training."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from levertune.anchors.anchor import Anchor
from levertune.anchors.asking import SERVER_MAX_TOKENS, Ask, AskError
from levertune.anchors.candidates import AnchorCandidate, DesignCost, WayResult
from levertune.anchors.guard import FindFault
from levertune.anchors.quotes import spoken
from levertune.data.draws import sample_items
from levertune.data.language_names import language_name
from levertune.errors import RecipeError, UserError
from levertune.progress import Progress, SilentProgress
from levertune.recipes.recipe import Recipe
from levertune.runs.anchor_evolution import NUM_CALLS, evolve_candidates, require_reflection
from levertune.runs.anchor_generator import check_generator, write_by_generator
from levertune.runs.anchor_rules import settle_placement
from levertune.runs.inputs import task_languages
from levertune.runs.task_view import TaskView, make_view_guard

if TYPE_CHECKING:
    from levertune.runs.anchor_scores import ScoredAnchors

Way = Literal["template", "features", "pool", "model", "transfer", "evolve"]

WAYS: tuple[Way, ...] = get_args(Way)
NUM_POOL = 3
"""Entries of the pool that are taken, by default."""

_SEED = 0


@dataclass(frozen=True, slots=True)
class Suggested:
    """Candidates, and what became of others.

    Args:
        candidates: Each text once, in the order of the ways asked for.
        notes: What was refused, and why; one sentence each.
        failed: Ways that wrote nothing, or not all, since their model could not be asked or their
            search not be made; one line each.
    """

    candidates: tuple[AnchorCandidate, ...]
    notes: tuple[str, ...]
    failed: tuple[str, ...] = ()


def suggest_anchors(
    recipe: Recipe,
    view: TaskView,
    *,
    ways: Sequence[Way] = ("template", "pool"),
    num_pool: int = NUM_POOL,
    only_alike: bool = False,
    ask: Ask | None = None,
    asked_model: str = "",
    generator: str | Path | None = None,
    store: Path | None = None,
    evolve_calls: int = NUM_CALLS,
    max_tokens: int | None = None,
    ablate: bool = False,
    progress: Progress | None = None,
) -> Suggested:
    """Write candidates for the anchor.

    A model that cannot be asked costs its own way alone, and so does a search that fails: what the
    others wrote is given all the same.

    Args:
        recipe: The recipe.
        view: Its rows.
        ways: How to write them.
        num_pool: Entries of the pool to take.
        only_alike: Whether to leave out those of tasks unlike the rows, with a note; needless
            where each candidate is measured.
        ask: The model to ask for the ways `model` and `evolve`; if None the base model for the
            first, while the second is refused.
        asked_model: Its name.
        generator: Folder of the generator to ask for the way `transfer`.
        store: Where a model's answers are kept, so that a break loses none.
        evolve_calls: Most rows the way `evolve` looks at. It goes last, and starts from what the
            others wrote, or from `template` if it is asked for alone.
        max_tokens: Most tokens of an answer for the ways `model`, `transfer` and `evolve`; None
            for a few sentences, and `SERVER_MAX_TOKENS` of `ask`.
        ablate: Whether the way `features` adds its candidate without each of its sentences, so that
            a comparison says which of them earned its tokens.
        progress: Where to show progress.

    Returns:
        The candidates.

    Raises:
        RecipeError: If a way is unknown, `transfer` has no generator, or `evolve` lacks a model,
            its package or the room for a search.
        AskError: If a model cannot be asked, and no way has written anything.
        UserError: If the pool cannot be read, or `evolve` fails and no other way has written
            anything.
        ValueError: If `num_pool` is below one.
    """
    if num_pool < 1:
        raise ValueError(f"num_pool must be at least 1, got {num_pool}")
    for way in ways:
        if way not in WAYS:
            raise RecipeError(f"--way: must be among {list(WAYS)}; found {way!r}.")
    if ablate and "features" not in ways:
        raise RecipeError("--ablate: stands without --way features. Add it.")
    require_reflection(ways, ask, len(view.train), evolve_calls)
    check_generator(ways, generator)
    progress = progress or SilentProgress()
    guard = make_view_guard(view)
    found: dict[str, AnchorCandidate] = {}
    notes = list(view.notes)
    errors: dict[Way, UserError] = {}
    stopped: dict[Way, str] = {}

    def write(way: Way) -> WayResult:
        if way == "template":
            return WayResult((_write_template(recipe, view),))
        if way == "features":
            from levertune.runs.anchor_features import write_features

            limit = recipe.training.max_length
            features, note = write_features(
                view, _describe_answers(recipe, view), limit, progress, ablate=ablate
            )
            return WayResult(tuple(features), note)
        if way == "pool":
            return _find_in_pool(recipe, view, num_pool, only_alike=only_alike)
        if way == "evolve" and ask is not None:
            if "model" in errors or "model" in stopped:
                raise AskError("it reflects by the same model.")
            return evolve_candidates(
                recipe, view, tuple(found.values()) or (_write_template(recipe, view),), guard, ask,
                asked_model=asked_model, store=store, num_calls=evolve_calls, max_tokens=max_tokens,
                progress=progress,
            )  # fmt: skip
        if way == "transfer" and generator is not None:
            return write_by_generator(view.train, guard, generator, store, max_tokens)
        return _ask_model(view, guard, ask, asked_model, store, max_tokens)

    for way in sorted(dict.fromkeys(ways), key=lambda way: way == "evolve"):  # evolve goes last
        try:
            result = write(way)
        except UserError as error:
            if not isinstance(error, AskError) and way != "evolve":
                raise
            errors[way] = error
            continue
        notes += [result.note] if result.note is not None else []
        if result.stopped_by is not None:
            stopped[way] = result.stopped_by
        for candidate in result.candidates:
            fault = guard(candidate.text)
            if fault is not None:
                notes.append(f"A candidate of {way} is left out: it {fault}.")
            else:
                found.setdefault(spoken(candidate.text), candidate)
    if errors and not found:
        raise next(iter(errors.values()))
    failed = [
        f"--way {way} has written nothing: {str(error).removeprefix(f'--way {way}: ')}"
        for way, error in errors.items()
    ]
    failed += [f"--way {way} has not written all: {line}" for way, line in stopped.items()]
    return Suggested(tuple(found.values()), tuple(notes), tuple(failed))


def score_candidates(
    recipe: Recipe,
    view: TaskView,
    texts: Sequence[str],
    *,
    max_rows: int,
    progress: Progress | None = None,
) -> ScoredAnchors:
    """Score anchors under the base model, without training.

    Args:
        recipe: The recipe; placement, lead-in and dropout are taken from it.
        view: Its rows.
        texts: The anchors' words.
        max_rows: Most task rows to score on, a sample.
        progress: Where to show progress.

    Returns:
        The scores.

    Raises:
        RecipeError: If there is no text, or one cannot be an anchor of these rows.
        UserError: If a row cannot be scored.
        TypeError: If `texts` is one text, whose letters would be scored.
    """
    from levertune.runs.anchor_scores import score_anchors

    if isinstance(texts, str):
        raise TypeError("texts must be a list of texts, got one text")
    if not texts:
        raise RecipeError("anchor score: has no anchor to score. Give one with --text or --from.")
    guard = make_view_guard(view)
    for text in texts:
        if fault := guard(text):
            shown = text if len(text) <= 60 else text[:57] + "..."
            raise RecipeError(f"anchor {shown!r}: {fault}. Write another.")
    recipe, moved = settle_placement(recipe, view.workspace.tokenizer, always=True)
    section = recipe.anchor
    anchors = {
        anchor.id: anchor
        for text in texts
        for anchor in [Anchor(text.strip(), section.placement, section.lead_in, section.dropout)]
    }
    scored = score_anchors(
        view.workspace.base(),
        view.workspace.tokenizer,
        list(anchors.values()),
        sample_items(view.train, max_rows),
        view.general,
        hardware=view.workspace.hardware,
        max_length=recipe.training.max_length,
        seed=_SEED,
        progress=progress,
    )
    return replace(scored, notes=(*view.notes, *moved, *scored.notes))


def _labels(view: TaskView) -> list[str]:
    """The labels of a label task that training rows have."""
    seen = {record.completion.strip() for record in view.train}
    return [label for label in view.inputs.kind.labels if label in seen]


def _write_template(recipe: Recipe, view: TaskView) -> AnchorCandidate:
    from levertune.anchors.template import write_template

    return write_template(
        view.verbatim,
        view.inputs.kind.kind,
        _labels(view),
        prompt_language=language_name(recipe.task.prompt_language),
        answer_language=language_name(recipe.task.answer_language),
    )


def _describe_answers(recipe: Recipe, view: TaskView) -> str:
    from levertune.anchors.template import describe_rows

    return describe_rows(
        view.train,
        view.inputs.kind.kind,
        _labels(view),
        prompt_language=language_name(recipe.task.prompt_language),
        answer_language=language_name(recipe.task.answer_language),
    )


def _find_in_pool(recipe: Recipe, view: TaskView, num: int, *, only_alike: bool) -> WayResult:
    from levertune.anchors.pool.kept import kept_pool
    from levertune.anchors.pool.places import SHIPPED
    from levertune.anchors.pool.ranking import suggest_anchors as rank
    from levertune.anchors.pool.search import MIN_WORDS

    started = time.perf_counter()
    pool = kept_pool((SHIPPED, *recipe.anchor.pools))
    found = rank(
        pool.entries,
        view.train,
        answer=view.inputs.kind.kind,
        languages=task_languages(recipe),
        num_similar=num,
    )
    kept = [one for one in found if one.match.is_alike or not only_alike]
    note = None
    if len(kept) < len(found):
        note = (
            f"Of the {len(found)} anchors of the pool that are nearest, {len(kept)} are of tasks "
            f"enough like the rows (a likeness of {MIN_WORDS}); the others are left out."
        )
    cost = DesignCost(seconds=(time.perf_counter() - started) / max(1, len(kept)))
    written = (
        AnchorCandidate(
            one.ranked.entry.text, "pool", cost, (f"{one.ranked.entry.id} of the pool.",)
        )
        for one in kept
    )
    return WayResult(tuple(written), note)


def _ask_model(
    view: TaskView,
    guard: FindFault,
    ask: Ask | None,
    name: str,
    store: Path | None,
    max_tokens: int | None,
) -> WayResult:
    from levertune.anchors.written_by_model import WritingPlan, write_by_model

    continue_text = None
    plan = WritingPlan(max_tokens=max_tokens or SERVER_MAX_TOKENS)
    if ask is None:
        plan = WritingPlan(max_tokens=max_tokens or WritingPlan().max_tokens)
        from levertune.selfdata.asking import LocalModel
        from levertune.selfdata.sampling import ModelSampler

        workspace = view.workspace
        sampler = ModelSampler(workspace.base(), workspace.tokenizer, workspace.hardware)
        name = workspace.model_hash
        ask = LocalModel(sampler, workspace.tokenizer)
        continue_text = LocalModel(sampler, workspace.tokenizer, is_chat=False)
    written = write_by_model(
        view.train,
        ask,
        model=name,
        guard=guard,
        store=store,
        plan=plan,
        continue_text=continue_text,
    )
    note = f"Written by the model: {written.summarize()}."
    return WayResult(written.candidates, note, written.stopped_by)
