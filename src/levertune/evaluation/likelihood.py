"""Mean token likelihood of references, and how far an adapter has moved from its base model."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from levertune.models.batches import Batching, MicroBatch
from levertune.models.hardware import Hardware
from levertune.models.head import select_logits, unwrap_model
from levertune.models.lora_linear import autocast_for, grouped_lora
from levertune.models.micro_batch_limit import MicroBatchLimit, unless_out_of_memory
from levertune.models.rendering import TokenizedExample
from levertune.models.shared_rows import choose_batching
from levertune.progress import Progress, SilentProgress

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_KL_SHARE = 0.5
_BLOCK_ROWS = 32  # rows sorted and split together; bounds memory, changes no figure
_MOST_LOGITS = 1 << 28
"""Supervised positions times vocabulary of a pass; a GiB in float32, in which they are summed."""


@dataclass(frozen=True, slots=True)
class RowLikelihood:
    """Negative log-likelihood of one row's reference, in nats.

    Args:
        id: Id of the row.
        source: Source of the row.
        nll: Sum over the completion's tokens, the end of the turn apart.
        num_tokens: Number of those tokens.
        end_nll: Sum over the end-of-turn tokens.
        kl_to_base: Sum over all supervised positions of KL(adapted || base), or None if not asked.
        num_kl_tokens: Number of those positions.
        num_end: Number of end-of-turn tokens.
        num_right: Supervised tokens, the end of the turn included, that the model ranks first after
            the reference's own tokens before them.
    """

    id: str
    source: str
    nll: float
    num_tokens: int
    end_nll: float
    kl_to_base: float | None = None
    num_kl_tokens: int = 0
    num_end: int = 1
    num_right: int = 0

    @property
    def token_error(self) -> float:
        """Share of the supervised tokens that the model does not rank first.

        At 0 greedy generation answers the row word for word.
        """
        return 1 - self.num_right / (self.num_tokens + self.num_end)


def score_likelihood(
    model: PreTrainedModel,
    rows: Sequence[TokenizedExample],
    *,
    hardware: Hardware,
    pad_id: int,
    with_kl: bool = False,
    progress: Progress | None = None,
    label: str = "likelihood",
) -> list[RowLikelihood]:
    """Score each row's reference under the model, with that row's own prompt.

    Args:
        model: Base model, or one with an adapter (needed for `with_kl`).
        rows: Tokenized rows.
        hardware: Device and precision.
        pad_id: Id used for padding.
        with_kl: Whether to compute the divergence from the base model, adapter switched off.
        progress: Where to show progress.
        label: Name of the stage.

    Returns:
        One result a row, in the order given.

    Raises:
        RunError: If memory runs out at a single row.
    """
    # A divergence holds log-probabilities over the vocabulary several times.
    share = _KL_SHARE if with_kl else 1.0
    batching = choose_batching(model, hardware, pad_id=pad_id, share=share)
    vocab_size = int(unwrap_model(model).config.get_text_config().vocab_size)
    most_positions = int(_MOST_LOGITS * share) // vocab_size
    limit = MicroBatchLimit()
    results: dict[int, RowLikelihood] = {}
    order = sorted(range(len(rows)), key=lambda i: (-len(rows[i].input_ids), i))
    with (
        (progress or SilentProgress()).stage(label, len(rows), "row") as stage,
        torch.inference_mode(),
        batching.engage(model),
        grouped_lora(model, is_settled=True),
    ):
        for start in range(0, len(order), _BLOCK_ROWS):
            indices = order[start : start + _BLOCK_ROWS]
            block = [rows[i] for i in indices]
            parts = (_halved(block, part, most_positions) for part in batching.split(block))
            waiting = deque(limit.split(block, [piece for pieces in parts for piece in pieces]))
            while waiting:
                part = waiting.popleft()
                chosen = [block[i] for i in part]
                scored = unless_out_of_memory(
                    partial(_score_batch, model, chosen, batching, hardware, with_kl=with_kl),
                    hardware.device,
                )
                if scored is None:
                    limit.lower(block, part, where=label)
                    waiting = deque(limit.split(block, [part, *waiting]))
                    continue
                results.update(zip((indices[i] for i in part), scored, strict=True))
                stage.advance(len(part))
    return [results[i] for i in range(len(rows))]


def _halved(
    rows: Sequence[TokenizedExample], part: Sequence[int], most_positions: int
) -> list[list[int]]:
    """A part in pieces of so many supervised positions at most; one row is never divided."""
    half = len(part) // 2
    if not half or sum(rows[i].num_supervised for i in part) <= most_positions:
        return [list(part)]
    pieces = (_halved(rows, piece, most_positions) for piece in (part[:half], part[half:]))
    return [piece for halves in pieces for piece in halves]


def _score_batch(
    model: PreTrainedModel,
    rows: Sequence[TokenizedExample],
    batching: Batching,
    hardware: Hardware,
    *,
    with_kl: bool,
) -> list[RowLikelihood]:
    batch = batching.collate(rows).to(hardware.device)
    log_probs = _log_probs(model, batch, hardware)
    right = log_probs.argmax(dim=1) == batch.targets
    losses = -log_probs.gather(1, batch.targets[:, None])[:, 0]
    divergence = None
    if with_kl:
        with model.disable_adapter():  # type: ignore[operator]  # PEFT models have it
            base = _log_probs(model, batch, hardware)
        divergence = (log_probs.exp() * (log_probs - base)).sum(dim=1)
    scored = []
    for i, row in enumerate(rows):
        mine = batch.rows == i
        values = losses[mine].double()
        tokens = len(values) - row.num_end
        scored.append(
            RowLikelihood(
                id=row.id,
                source=row.source,
                nll=float(values[:tokens].sum()),
                num_tokens=tokens,
                end_nll=float(values[tokens:].sum()),
                kl_to_base=None if divergence is None else float(divergence[mine].double().sum()),
                num_kl_tokens=0 if divergence is None else len(values),
                num_end=row.num_end,
                num_right=int(right[mine].sum()),
            )
        )
    return scored


def _log_probs(model: PreTrainedModel, batch: MicroBatch, hardware: Hardware) -> torch.Tensor:
    """Log-probabilities `[supervised positions, vocabulary]` in float32."""
    with autocast_for(model, hardware):
        logits = select_logits(model, batch.inputs, batch.index)
    return torch.log_softmax(logits.float(), dim=-1)


def mean_nll(rows: Sequence[RowLikelihood]) -> float | None:
    """Nats per completion token over all rows, the end of the turn apart; None without tokens."""
    tokens = sum(row.num_tokens for row in rows)
    return sum(row.nll for row in rows) / tokens if tokens else None


def mean_nll_with_end(rows: Sequence[RowLikelihood]) -> float | None:
    """Nats per supervised token, the end of the turn included: what training minimises."""
    tokens = sum(row.num_tokens + row.num_end for row in rows)
    return sum(row.nll + row.end_nll for row in rows) / tokens if tokens else None


def mean_kl(rows: Sequence[RowLikelihood]) -> float | None:
    """Nats per supervised position of divergence from the base model; None if not measured."""
    tokens = sum(row.num_kl_tokens for row in rows)
    if not tokens:
        return None
    return sum(row.kl_to_base or 0.0 for row in rows) / tokens
