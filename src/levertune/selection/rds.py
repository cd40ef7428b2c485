"""`rds`: the candidates whose states in the base model are nearest to the task rows' (RDS+).

"Large-scale data selection for instruction tuning" (2503.01807): position-weighted mean states,
cosine, each task row's best unused candidate in turn. There all layers and the whole row are used;
here, to be affordable without a GPU, the first 64 tokens and the lower two thirds of the layers.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from levertune.data.records import Record
from levertune.progress import Progress
from levertune.selection.encoder import Encoder, encode_similarity
from levertune.selection.in_turn import choose_in_turn, selected_rows
from levertune.selection.selection import (
    DIVERSE,
    Agreement,
    Budget,
    Diversity,
    Selection,
    canonical_order,
)

AGREEMENT_ROWS = 200
AGREEMENT_TOP = 10


def select_rds(
    task: Sequence[Record],
    candidates: Sequence[Record],
    budget: Budget,
    *,
    encoder: Encoder,
    seed: int,
    diversity: Diversity = DIVERSE,
    progress: Progress | None = None,
    block_rows: int | None = None,
) -> Selection:
    """Give each task row in turn the unused candidate with the nearest states.

    Args:
        task: Training rows (of a fold); the shared instruction is better lifted out. No test row.
        candidates: The pool.
        budget: How much to choose.
        encoder: Gives rows their vectors.
        seed: Decides between equal scores, and draws the sample for the agreement.
        diversity: The caps.
        progress: Where to show progress.
        block_rows: Candidates to score at a time; changes nothing.

    Returns:
        The choice, with the agreement with all layers.
    """
    started, before = time.perf_counter(), encoder.tokens_run
    ordered = canonical_order(candidates, seed)
    similarity = encode_similarity(encoder, task, ordered, progress=progress)
    picks, notes = choose_in_turn(similarity, ordered, budget, diversity, block_rows=block_rows)
    agreement, more = measure_agreement(encoder, task, ordered, progress=progress)
    return Selection(
        selector="rds",
        rows=selected_rows(picks, ordered, task),
        notes=(*encoder.notes, *notes),
        seconds=time.perf_counter() - started,
        tokens=encoder.tokens_run - before + more,
        agreement=agreement,
    )


def measure_agreement(
    encoder: Encoder,
    task: Sequence[Record],
    ordered: Sequence[Record],
    *,
    num_rows: int = AGREEMENT_ROWS,
    top: int = AGREEMENT_TOP,
    progress: Progress | None = None,
) -> tuple[Agreement | None, int]:
    """How many of each task row's nearest candidates all layers find too, on a sample.

    Args:
        encoder: The encoder, with fewer layers.
        task: The task rows; the first so many of them.
        ordered: The pool in a random order; its first rows are the sample.
        num_rows: Candidates to sample, and most task rows to ask for.
        top: How many nearest rows to compare.
        progress: Where to show progress.

    Returns:
        The agreement, None where all layers are run or the pool is too small to tell; and the
        tokens that went through the model for it.
    """
    sample, asked = ordered[:num_rows], task[:num_rows]
    if not asked or len(sample) < 2 * top or encoder.num_layers == encoder.all_layers:
        return None, 0
    deep = encoder.at_full_depth()
    nearest = []
    for one in (encoder, deep):
        scores = encode_similarity(one, asked, sample, progress=progress).block(0, len(sample))
        nearest.append(np.argsort(-scores, axis=1, kind="stable")[:, :top])
    shares = [len(set(a) & set(b)) / top for a, b in zip(*nearest, strict=True)]
    return Agreement(
        share=sum(shares) / len(shares),
        top=top,
        rows=len(sample),
        by_chance=top / len(sample),
        layers=encoder.num_layers,
        all_layers=encoder.all_layers,
    ), deep.tokens_run
