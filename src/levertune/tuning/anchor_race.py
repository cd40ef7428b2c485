"""The anchors that race in `tune --what anchor`: written in several ways, the likeliest kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from levertune.anchors.anchor import Anchor
from levertune.anchors.auto import AnchorChoice
from levertune.anchors.candidates import AnchorCandidate
from levertune.anchors.pool.kept import kept_pool
from levertune.anchors.pool.places import SHIPPED
from levertune.anchors.quotes import spoken
from levertune.anchors.transfer.asking import PLAN as TRANSFER_PLAN
from levertune.anchors.written_by_model import WritingPlan
from levertune.data.draws import sample_items
from levertune.data.records import Record
from levertune.errors import RecipeError
from levertune.mixtures.manifest import hash_records
from levertune.models.rendering import TokenizedExample
from levertune.progress import Progress
from levertune.recipes.recipe import Recipe
from levertune.results.tuning import (
    Proposal,
    ProposedAnchor,
    Value,
    read_proposal,
    write_proposal,
)
from levertune.runs.anchor_candidates import NUM_POOL, Way, suggest_anchors
from levertune.runs.anchor_generator import check_generator, name_generator
from levertune.runs.arm_rows import choose_arm_anchor, form_example
from levertune.runs.arms import ARMS
from levertune.runs.prepare import Prepared
from levertune.runs.task_view import TaskView, make_view_guard, view_rows
from levertune.runs.tuned import with_settings

ANCHORS_FILE = "anchors.json"
RACED_WAYS: tuple[Way, ...] = ("template", "features", "pool", "model")
"""Those that need no server and no generator; `transfer` races too where a generator is named."""

MOST_RACED = 6

_MAX_ROWS = 64
_NUM_WRITTEN: dict[Way, int] = {"template": 1, "features": 1, "pool": NUM_POOL}
_PLANS: dict[Way, WritingPlan] = {"model": WritingPlan(), "transfer": TRANSFER_PLAN}


@dataclass(frozen=True, slots=True)
class AnchorField:
    """Which anchors a tuning looks at.

    Args:
        ways: How to write them.
        texts: More of them, written by hand or by `levertune anchor suggest`.
        most: Most of them that race, the recipe's own and those of `texts` included; these race
            even if they are more.
        generator: Folder of the generator to ask for the way `transfer`.
    """

    ways: tuple[Way, ...] = RACED_WAYS
    texts: tuple[str, ...] = ()
    most: int = MOST_RACED
    generator: str | None = None

    @property
    def most_answers(self) -> int:
        """Most answers that models are asked for, for the anchors of one choice."""
        return sum(plan.most_answers for way, plan in _PLANS.items() if way in self.ways)

    @property
    def most_written(self) -> int:
        """Most anchors that the ways write for one choice."""
        own = sum(plan.most_candidates for way, plan in _PLANS.items() if way in self.ways)
        return own + sum(_NUM_WRITTEN.get(way, 0) for way in self.ways)


def parse_ways(text: str | None, generator: str | None = None) -> tuple[Way, ...]:
    """Ways of writing anchors, as `template,pool`; all that can race if None.

    Args:
        text: The ways.
        generator: Folder of the generator of `transfer`, if there is one.

    Raises:
        RecipeError: If one is unknown, or a generator and the way that asks it are not together.
    """
    known: tuple[Way, ...] = (*RACED_WAYS, "transfer")
    if text is None:
        return known if generator is not None else RACED_WAYS
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise RecipeError(f"--ways: must be among {list(known)}; found {name!r}.")
    check_generator(names, generator)
    return tuple(way for way in known if way in names)


def propose_anchors(
    prepared: Prepared,
    recipe: Recipe,
    rows: Sequence[Record],
    fold: int | None,
    field: AnchorField,
    folder: Path,
    progress: Progress,
) -> Proposal:
    """Write the anchors of a choice, or find them written.

    The recipe's own and those given always race, unless a budget leaves them out. Of the others
    those race under which the base model finds the training rows' answers likeliest: a guess, since
    that foretells little of the likelihood after training (`benchmarks/anchor_prediction.py`).

    Args:
        prepared: The run.
        recipe: Its recipe for the arm and fold.
        rows: The training rows.
        fold: The fold whose training rows they are, or None for all.
        field: Which to look at.
        folder: Where they are kept.
        progress: Where to show progress.

    Returns:
        All of them, those that race first: the recipe's own, those given, the others.

    Raises:
        RecipeError: If the recipe asks for no anchor, or a text given cannot be one of these rows.
        UserError: If the pool cannot be read.
    """
    view = _look(prepared, recipe, rows, fold)
    own = AnchorCandidate(_anchored(recipe, view)[1].text, "recipe")
    fingerprint = _fingerprint(prepared, recipe, rows, field, own.text)
    kept = read_proposal(folder / ANCHORS_FILE)
    if kept is not None and kept.fingerprint == fingerprint:
        return kept
    given = _take_given(field, view)
    suggested = suggest_anchors(
        recipe,
        view,
        ways=field.ways,
        num_pool=NUM_POOL,
        generator=field.generator,
        store=folder / "asked.jsonl",
        progress=progress,
    )
    known: dict[str, AnchorCandidate] = {}
    for candidate in (own, *given, *suggested.candidates):
        known.setdefault(spoken(candidate.text), candidate)
    measured = [_measure(candidate, recipe, view, progress) for candidate in known.values()]
    proposal = Proposal(
        fingerprint, _rank(measured, field.most), (*suggested.notes, *suggested.failed)
    )
    write_proposal(folder / ANCHORS_FILE, proposal)
    return proposal


def expect_anchors(
    prepared: Prepared,
    recipe: Recipe,
    rows: Sequence[Record],
    fold: int | None,
    field: AnchorField,
    folder: Path,
) -> tuple[Proposal, int]:
    """What `propose_anchors` would give, for a look: nothing is written and no model asked.

    Args:
        prepared: The run.
        recipe: Its recipe for the arm and fold.
        rows: The training rows.
        fold: The fold whose training rows they are, or None for all.
        field: Which to look at.
        folder: Where they are kept.

    Returns:
        The anchors, those that are not written yet by a stand-in each; and the most answers that
        models would be asked for, or 0 if all are written.

    Raises:
        RecipeError: If the recipe asks for no anchor, or a text given cannot be one of these rows.
        UserError: If the pool cannot be read.
    """
    view = _look(prepared, recipe, rows, fold)
    own = _anchored(recipe, view)[1].text
    fingerprint = _fingerprint(prepared, recipe, rows, field, own)
    kept = read_proposal(folder / ANCHORS_FILE)
    if kept is not None and kept.fingerprint == fingerprint:
        return kept, 0
    known: dict[str, AnchorCandidate] = {}
    for candidate in (AnchorCandidate(own, "recipe"), *_take_given(field, view)):
        known.setdefault(spoken(candidate.text), candidate)
    there = [_fit(candidate, recipe, view)[0] for candidate in known.values()]
    room = min(field.most_written, field.most - sum(one.left_out is None for one in there))
    texts = [f"an anchor that is still to be written ({i + 1})" for i in range(room)]
    stand_ins = [_unmeasured(AnchorCandidate(text, "unwritten"), text) for text in texts]
    return Proposal(fingerprint, (*there, *stand_ins), ()), field.most_answers


def anchor_settings(anchor: ProposedAnchor, recipe: Recipe) -> dict[str, Value]:
    """What a recipe has for an anchor: another one takes the place of what the rows share.

    Args:
        anchor: The anchor.
        recipe: The recipe.
    """
    shared = recipe.anchor.shared if anchor.way == "recipe" else "replace"
    return {"anchor.text": anchor.setting, "anchor.shared": shared}


def _look(prepared: Prepared, recipe: Recipe, rows: Sequence[Record], fold: int | None) -> TaskView:
    """The rows of a choice, for those who write anchors.

    Raises:
        RecipeError: If the recipe asks for no anchor.
    """
    if recipe.anchor.text is None:
        raise RecipeError(
            "--what anchor: the recipe asks for no anchor; found anchor.text=null. Set it to auto."
        )
    inputs = prepared.inputs
    test = inputs.splits[fold or 0].test if fold is not None or inputs.test_mode != "cv" else ()
    return view_rows(recipe, inputs, prepared.workspace, rows, test)


def _take_given(field: AnchorField, view: TaskView) -> list[AnchorCandidate]:
    """The anchors a user brings along.

    Raises:
        RecipeError: If one cannot be an anchor of these rows.
    """
    guard = make_view_guard(view)
    given = [AnchorCandidate(text.strip(), "hand") for text in field.texts]
    for candidate in given:
        if fault := guard(candidate.text):
            raise RecipeError(f"anchor {_cut(candidate.text)!r}: {fault}. Write another.")
    return given


def _fingerprint(
    prepared: Prepared, recipe: Recipe, rows: Sequence[Record], field: AnchorField, own: str
) -> str:
    """Hash of what anchors are written from: also of what stands in the files that are named."""
    pool: list[str] = []
    if "pool" in field.ways:
        pool = [repr(one) for one in kept_pool((SHIPPED, *recipe.anchor.pools)).entries]
    content = [
        own,
        pool,
        name_generator(field.generator) if field.generator is not None else None,
        hash_records(rows),
        [file.sha256 for file in prepared.inputs.general],
        recipe.anchor.model_dump(mode="json"),
        [recipe.task.prompt_language, recipe.task.answer_language],
        recipe.training.max_length,
        prepared.workspace.model_hash,
        [list(field.ways), list(field.texts), field.most],
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("utf-8")).hexdigest()


def _anchored(recipe: Recipe, view: TaskView) -> tuple[AnchorChoice, Anchor]:
    """The recipe's anchor on the rows in view."""
    count = view.workspace.tokenizer.count
    choice = choose_arm_anchor(recipe, view.inputs, view.verbatim, ARMS["tell"], count_tokens=count)
    assert choice is not None
    assert choice.anchor is not None  # only `null` gives none
    return choice, choice.anchor


def _fit(
    candidate: AnchorCandidate, recipe: Recipe, view: TaskView
) -> tuple[ProposedAnchor, list[TokenizedExample]]:
    """Its tokens, and rows with it; left out, and no rows, if they get too long."""
    setting = recipe.anchor.text if candidate.way == "recipe" else candidate.text
    assert setting is not None
    workspace = view.workspace
    proposed = _unmeasured(candidate, setting)
    choice, anchor = _anchored(with_settings(recipe, anchor_settings(proposed, recipe)), view)
    served = anchor if choice.is_open else choice.served
    tokens = served.token_cost(workspace.tokenizer.count) if served is not None else 0
    proposed = replace(proposed, tokens=tokens)
    arm, limit = ARMS["tell"], recipe.training.max_length
    records = sample_items(view.verbatim, _MAX_ROWS)
    bare = [form_example(record, arm, choice, None) for record in records]
    rows, _ = workspace.tokenize_within(bare, limit)
    fitting = [record for record, row in zip(records, rows, strict=True) if row is not None]
    anchored, _ = workspace.tokenize_within(
        [form_example(record, arm, choice, anchor) for record in fitting], limit
    )
    fit = [row for row in anchored if row is not None]
    if len(fit) < len(anchored) or not fit:
        over = f"{len(anchored) - len(fit)} of {len(records)} rows are over {limit} tokens with it"
        return replace(proposed, left_out=over), []
    return proposed, fit


def _measure(
    candidate: AnchorCandidate, recipe: Recipe, view: TaskView, progress: Progress
) -> ProposedAnchor:
    """Its tokens, and the likelihood of the answers under the base model with it."""
    from levertune.evaluation.likelihood import score_likelihood

    proposed, rows = _fit(candidate, recipe, view)
    if not rows:
        return proposed
    workspace = view.workspace
    scored = score_likelihood(
        workspace.base(),
        rows,
        hardware=workspace.hardware,
        pad_id=workspace.tokenizer.pad_id,
        progress=progress,
        label=f"likelihood, anchor of {candidate.way}",
    )
    tokens = sum(row.num_tokens + row.num_end for row in scored)
    return replace(proposed, nll=sum(row.nll + row.end_nll for row in scored) / tokens)


def _unmeasured(candidate: AnchorCandidate, setting: str) -> ProposedAnchor:
    cost = candidate.cost
    return ProposedAnchor(
        setting=setting,
        text=candidate.text,
        way=candidate.way,
        tokens=0,
        nll=None,
        design_tokens=cost.tokens,
        design_seconds=cost.seconds,
        design_requests=cost.requests,
    )


def _rank(anchors: Sequence[ProposedAnchor], most: int) -> tuple[ProposedAnchor, ...]:
    """In the order in which they race: the recipe's own, those given, the likeliest of the rest."""
    always = [a for a in anchors if a.left_out is None and a.way in ("recipe", "hand")]
    others = [a for a in anchors if a.left_out is None and a not in always]
    others.sort(key=lambda a: a.nll if a.nll is not None else 0.0)
    ranked = [*always, *others]
    room = max(most, len(always))
    dropped = [
        replace(a, left_out=f"ranked {place} of {len(ranked)}; at most the first {room} race")
        for place, a in enumerate(ranked[room:], start=room + 1)
    ]
    unfit = [a for a in anchors if a.left_out is not None]
    return (*ranked[:room], *dropped, *unfit)


def _cut(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
