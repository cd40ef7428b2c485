"""`loss`: of the rows BM25 finds near, those whose prompt helps least with the answer.

The ratio is the instruction-following difficulty of "From quantity to quality" (2308.12032): NLL of
the answer with its prompt, divided by that without. It knows no task; here BM25 brings the task in.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from levertune.anchors.anchor import Example
from levertune.data.records import Message, Record
from levertune.evaluation.likelihood import score_likelihood
from levertune.models.hardware import Hardware
from levertune.models.rendering import ChatTokenizer, TokenizedExample
from levertune.progress import Progress
from levertune.selection.in_turn import choose_in_turn
from levertune.selection.ranking import ScoreTable
from levertune.selection.row_scores import RowScores
from levertune.selection.selection import (
    DIVERSE,
    Budget,
    Diversity,
    SelectedRow,
    Selection,
    canonical_order,
)
from levertune.selection.shortlist import SHORTLIST_FACTOR, make_shortlist

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Array = np.ndarray[Any, np.dtype[Any]]

_VERSION = "loss-1"  # raise when the same row gets another score


def select_loss(
    task: Sequence[Record],
    candidates: Sequence[Record],
    budget: Budget,
    *,
    model: PreTrainedModel,
    tokenizer: ChatTokenizer,
    hardware: Hardware,
    max_length: int,
    seed: int,
    factor: int = SHORTLIST_FACTOR,
    diversity: Diversity = DIVERSE,
    progress: Progress | None = None,
    identity: str = "",
    folder: Path | None = None,
) -> Selection:
    """Give each task row in turn, of the rows BM25 found for it, the one with the highest ratio.

    A ratio of 1 or more means that the prompt does not help at all, mostly because answer and
    prompt do not belong together; such rows come last, the lowest of them first.

    Args:
        task: Training rows (of a fold). No test row.
        candidates: The pool.
        budget: How much to choose.
        model: The base model.
        tokenizer: Its tokenizer.
        hardware: Device and precision.
        max_length: Longest row that can be trained on, in tokens.
        seed: Decides between equal scores.
        factor: How many times the budget is scored. So large that the whole pool is: the ratio of
            the paper, in turn over the task rows each candidate is nearest to.
        diversity: The caps.
        progress: Where to show progress.
        identity: Hash of weights and tokenizer.
        folder: Where NLLs are kept, so that a row is scored once whatever the task and budget;
            None to keep none.

    Returns:
        The choice; a row's score is its ratio.
    """
    started = time.perf_counter()
    ordered = canonical_order(candidates, seed)
    short = make_shortlist(
        task,
        ordered,
        budget,
        tokenizer=tokenizer,
        max_length=max_length,
        factor=factor,
        diversity=diversity,
    )
    bare = [
        tokenizer.tokenize(Example(r.id, r.source, (Message("user", ""),), r.completion))
        for r in short.records
    ]

    known = RowScores(folder, (_VERSION, identity, hardware.dtype_name), np.float64)
    num_tokens = 0

    def score(rows: Sequence[TokenizedExample], label: str) -> list[float]:
        nonlocal num_tokens
        missing = known.missing(rows)
        num_tokens += sum(len(row.input_ids) for row in missing)
        known.add(missing, lambda some: _nlls(model, some, hardware, tokenizer, progress, label))
        return [float(nll) for (nll,) in known.take(rows)]

    pairs = zip(score(short.examples, "answers with prompts"), score(bare, "without"), strict=True)
    ratios = [_ratio(*pair) for pair in pairs]
    table = np.full((len(task), len(short.records)), -np.inf)
    for place, (task_row, ratio) in enumerate(zip(short.task_rows, ratios, strict=True)):
        table[task_row, place] = ratio if ratio < 1 else -ratio
    picks, notes = choose_in_turn(
        ScoreTable(table), short.records, budget, diversity.as_for(ordered)
    )
    return Selection(
        selector="loss",
        rows=tuple(
            SelectedRow(
                short.records[pick.candidate].source,
                short.records[pick.candidate].id,
                round(ratios[pick.candidate], 6),
                task[pick.task_row].id,
            )
            for pick in picks
        ),
        notes=(*short.notes, *notes),
        seconds=time.perf_counter() - started,
        tokens=num_tokens,
    )


def _nlls(
    model: PreTrainedModel,
    rows: Sequence[TokenizedExample],
    hardware: Hardware,
    tokenizer: ChatTokenizer,
    progress: Progress | None,
    label: str,
) -> Array:
    """NLL of each answer with its end, a column."""
    scored = score_likelihood(
        model, rows, hardware=hardware, pad_id=tokenizer.pad_id, progress=progress, label=label
    )
    return np.array([[row.nll + row.end_nll] for row in scored])


def _ratio(with_prompt: float, without: float) -> float:
    """Both are of the same tokens, so the ratio of sums is that of means."""
    return with_prompt / without if without > 0 else 1.0
