"""The manifest of a cell: what its training is made from."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from levertune.anchors.auto import AnchorChoice
from levertune.anchors.pool.kept import kept_pool
from levertune.anchors.pool.places import SHIPPED
from levertune.data.records import Record
from levertune.mixtures.manifest import Manifest, hash_records
from levertune.mixtures.order import Mixture
from levertune.models.rendering import TokenizedExample
from levertune.recipes.recipe import Recipe
from levertune.runs.arms import Arm
from levertune.runs.refine_rows import RefineRows
from levertune.runs.same_recipe import FREE_TRAINING
from levertune.runs.workspace import Workspace


def describe_cell(
    recipe: Recipe,
    workspace: Workspace,
    arm: Arm,
    seed: int,
    records: Sequence[Record],
    choice: AnchorChoice | None,
    forms: Sequence[Sequence[TokenizedExample]],
    general: Mapping[str, Sequence[TokenizedExample]],
    mixture: Mixture,
    num_positions: int,
    refine_rows: RefineRows | None,
) -> Manifest:
    """Everything that, if changed, would make the cell another one.

    Args:
        recipe: The recipe, every `auto` resolved.
        workspace: The tokenizer and the model's hashes.
        arm: Its arm.
        seed: Its seed.
        records: Task rows in training.
        choice: The anchor that training begins with.
        forms: The task rows, tokenized, in each form of the anchor.
        general: General rows by source, tokenized.
        mixture: The order.
        num_positions: How many positions of it count.
        refine_rows: What challenges the anchor while training; None where nothing does.
    """
    anchor = choice.anchor if choice is not None and arm.is_anchored else None
    facts: dict[str, Any] | None = None
    if anchor is not None and choice is not None:
        facts = {"id": anchor.id, "dropout": anchor.dropout}
        if choice.stages:
            facts["stages"] = [[s.anchor.id if s.anchor else None, s.start] for s in choice.stages]
        if refine_rows is not None:
            facts["refine"] = _describe_refining(recipe, refine_rows)
    training = recipe.training.model_dump(exclude=set(FREE_TRAINING))
    return Manifest(
        task_hash=hash_records(records),
        task_ids_hash=_hash_ids(forms),
        general_hashes={name: _hash_ids([rows]) for name, rows in general.items()},
        anchor=facts,
        model_hash=workspace.model_hash,
        tokenizer_hash=workspace.tokenizer_hash,
        plan=mixture.plan,
        mixture_hash=mixture.content_hash,
        seeds={"seed": seed, "mixture": recipe.mixture.seed},
        training={
            **training,
            "arm": arm.name,
            "positions": num_positions,
            "general_loss_weight": recipe.general.loss_weight,
            "dtype": workspace.hardware.dtype_name,
            # Named only where there is one: cells from before there was any stay the same.
            **({"quantization": workspace.quantization} if workspace.quantization else {}),
        },
    )


def _hash_ids(forms: Sequence[Sequence[TokenizedExample]]) -> str:
    """Hash of rows as the training sees them: a change of the renderer is one of the rows."""
    digest = hashlib.sha256()
    for rows in forms:
        digest.update(array("q", [len(rows)]).tobytes())
        for row in rows:
            numbers = (len(row.input_ids), row.num_end, *row.input_ids, *row.labels)
            digest.update(array("q", numbers).tobytes())
    return digest.hexdigest()


def _describe_refining(recipe: Recipe, rows: RefineRows) -> dict[str, Any]:
    """What decides on the anchor while training; which rows may not be quoted is part of it."""
    section = recipe.anchor
    test = [row for split in rows.inputs.splits for row in split.test]
    # Hashed only where pools are named: the shipped one alone comes with the version.
    entries = kept_pool((SHIPPED, *section.pools)).content_hash if section.pools else None
    return {
        "every": section.refine_every,
        "challengers": section.challengers,
        "pools": list(section.pools),
        **({"pool_entries": entries} if entries is not None else {}),
        "judging": hash_records(rows.judging),
        "written_from": hash_records(rows.written_from),
        "test": hash_records(test),
    }
