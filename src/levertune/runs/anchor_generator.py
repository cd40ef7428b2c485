"""The way `transfer`: a trained generator writes candidates for the anchor from example rows."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from levertune.anchors.asking import Ask
from levertune.anchors.candidates import WayResult
from levertune.anchors.guard import FindFault
from levertune.anchors.transfer.asking import PLAN, WAY, greedy_first
from levertune.anchors.written_by_model import write_by_model
from levertune.data.records import Record
from levertune.errors import ModelError, RecipeError
from levertune.models.adapters import read_card
from levertune.recipes.loading import load_recipe
from levertune.runs.same_recipe import RECIPE_FILE
from levertune.serving.adapter import Assistant, find_adapter


def check_generator(ways: Collection[str], generator: str | Path | None) -> None:
    """Refuse the way `transfer` without a generator, and a generator that is not asked.

    Args:
        ways: The ways to write an anchor.
        generator: The generator's folder, or None.

    Raises:
        RecipeError: If one stands without the other.
    """
    if WAY in ways and generator is None:
        raise RecipeError(
            "--way transfer: needs a generator; found none. Train one with `levertune anchor "
            "learn -o FOLDER`, then add --generator FOLDER."
        )
    if WAY not in ways and generator is not None:
        raise RecipeError("--generator: is asked by --way transfer alone. Add it.")


def open_generator(folder: str | Path) -> tuple[Ask, str]:
    """Load a generator's base model and adapter.

    Args:
        folder: The folder of `anchor learn`, or its adapter's.

    Returns:
        What to ask, and a name that no other generator has.

    Raises:
        ModelError: If the folder holds no adapter, one that is no generator, or one whose base
            model cannot be found.
    """
    from levertune.selfdata.asking import LocalModel
    from levertune.selfdata.sampling import ModelSampler

    adapter = find_adapter(folder)
    card = read_card(adapter)
    if card.anchor is not None:
        raise ModelError(
            f"--generator {folder}: is no generator; found an adapter that was trained with an "
            "anchor. Train a generator with: levertune anchor learn"
        )
    assistant = Assistant.load(adapter, base=_base_name(Path(folder)))
    sampler = ModelSampler(
        assistant.model,  # type: ignore[arg-type]  # an adapted model generates like its base
        assistant.tokenizer,
        assistant.hardware,
    )
    sampled = LocalModel(sampler, assistant.tokenizer)
    greedy = LocalModel(sampler, assistant.tokenizer, temperature=0.0)
    return greedy_first(greedy, sampled), name_generator(folder)


def name_generator(folder: str | Path) -> str:
    """A name that no other generator has: what its base model and its adapter are.

    Args:
        folder: The folder of `anchor learn`, or its adapter's.

    Raises:
        ModelError: If the folder holds no adapter, or its weights cannot be read.
    """
    adapter = find_adapter(folder)
    path = adapter / "adapter_model.safetensors"
    try:
        weights = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelError(
            f"--generator {folder}: its weights cannot be read; found, of {path}: "
            f"{error.strerror}. Train a generator with: levertune anchor learn"
        ) from None
    return f"{WAY} {read_card(adapter).base_sha256} {weights}"


def write_by_generator(
    records: Sequence[Record],
    guard: FindFault,
    folder: str | Path,
    store: Path | None,
    max_tokens: int | None = None,
) -> WayResult:
    """Let a generator write candidates for the anchor.

    Args:
        records: The task rows in training.
        guard: Says what makes a text unusable.
        folder: The generator.
        store: Where answers are kept, so that a break loses none.
        max_tokens: Most tokens of an answer, or None for those of `PLAN`.

    Returns:
        The candidates, the likeliest of the first rows in front, and a note on the others.

    Raises:
        ModelError: If the generator cannot be used.
        AskError: If its first answers are no texts.
    """
    ask, name = open_generator(folder)
    plan = PLAN if max_tokens is None else replace(PLAN, max_tokens=max_tokens)
    written = write_by_model(records, ask, model=name, guard=guard, store=store, plan=plan)
    candidates = tuple(replace(candidate, way=WAY) for candidate in written.candidates)
    note = f"Written by the generator: {written.summarize()}."
    return WayResult(candidates, note, written.stopped_by)


def _base_name(folder: Path) -> str | None:
    """The base model by the recipe of the learning; an adapter has a local one's last part only."""
    for place in (folder, folder.parent):
        if (place / RECIPE_FILE).is_file():
            return load_recipe(place / RECIPE_FILE).model.model_name_or_path
    return None
