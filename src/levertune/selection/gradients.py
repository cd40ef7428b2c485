"""`gradient`: the candidates whose gradient points where the task rows' gradients do (LESS-like).

"LESS: selecting influential data for targeted instruction tuning" (2402.04333), simplified: a LoRA
adapter is warmed up for a few steps, each row's gradient in it is projected to a few thousand
numbers by a seeded random projection, and compared by cosine. Left out are Adam's moments, the
several checkpoints, and the averaging over task rows, each of which has its own turn here.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from levertune.anchors.anchor import plain_example
from levertune.data.records import Record
from levertune.models.adapters import attach_lora
from levertune.models.batches import collate
from levertune.models.hardware import Hardware
from levertune.models.head import select_logits
from levertune.models.lora_linear import autocast_for
from levertune.models.micro_batch_limit import no_room_for, unless_out_of_memory
from levertune.models.rendering import ChatTokenizer, TokenizedExample
from levertune.progress import Progress, SilentProgress
from levertune.selection.encoder import CosineSimilarity
from levertune.selection.in_turn import choose_in_turn, selected_rows
from levertune.selection.row_scores import RowScores
from levertune.selection.selection import DIVERSE, Budget, Diversity, Selection, canonical_order
from levertune.selection.shortlist import SHORTLIST_FACTOR, make_shortlist, tokenize_within

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class GradientSettings:
    """How gradients are taken.

    Args:
        lora_r: Rank of the adapter.
        warm_up_steps: Steps of AdamW before gradients are taken; without them the gradient of one
            of LoRA's two matrices is zero.
        warm_up_rows: Rows a step, half of them task rows.
        learning_rate: Of the warm-up.
        width: Numbers a gradient is projected to.
    """

    lora_r: int = 8
    warm_up_steps: int = 12
    warm_up_rows: int = 8
    learning_rate: float = 1e-3
    width: int = 4096


SETTINGS = GradientSettings()

_NO_ROOM = (
    "Lower training.max_length, choose rows without their gradients (as general.select=rds), or "
    "use a device with more memory."
)
_VERSION = "gradient-1"  # raise when the same row gets another gradient


def select_gradient(
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
    settings: GradientSettings = SETTINGS,
    diversity: Diversity = DIVERSE,
    progress: Progress | None = None,
    identity: str = "",
    folder: Path | None = None,
) -> Selection:
    """Give each task row in turn the unused candidate with the nearest gradient.

    Args:
        task: Training rows (of a fold). No test row.
        candidates: The pool.
        budget: How much to choose.
        model: The base model; it is as it was afterwards.
        tokenizer: Its tokenizer.
        hardware: Device and precision.
        max_length: Longest row that can be trained on, in tokens.
        seed: Draws the adapter, the warm-up and the projection, and decides between equal scores.
        factor: How many times the budget is scored, the nearest by BM25.
        settings: How gradients are taken.
        diversity: The caps.
        progress: Where to show progress.
        identity: Hash of weights and tokenizer.
        folder: Where gradients are kept: with the same task rows, pool and seed a row's is taken
            once, whatever the budget; None to keep none.

    Returns:
        The choice; a row's score is the cosine with its task row.

    Raises:
        RunError: If memory runs out at a row: rows are taken one by one.
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
    own = [tokenizer.tokenize(plain_example(record)) for record in task]
    asked = [row for row in own if len(row.input_ids) <= max_length]
    askers = [r for r, row in zip(task, own, strict=True) if len(row.input_ids) <= max_length]
    if not asked or not short.records:
        return Selection("gradient", (), short.notes, time.perf_counter() - started)
    general = _first_rows(ordered, tokenizer, max_length, settings)
    warm_up = _warm_up_rows(asked, general, settings, seed)
    content = [[row.input_ids for row in rows] for rows in warm_up]
    known = RowScores(
        folder,
        (_VERSION, identity, hardware.dtype_name, settings, seed, content),
        np.float16,
    )
    wanted = [*asked, *short.examples]
    missing = known.missing(wanted)
    if missing:
        with _warm_adapter(model, warm_up, hardware, tokenizer.pad_id, settings, seed) as adapted:
            features = _Features(adapted, hardware, tokenizer.pad_id, settings.width, seed)
            known.add(missing, lambda rows: features.of(rows, progress))
    vectors = known.take(wanted)
    found = vectors[len(asked) :]
    similarity = CosineSimilarity(vectors[: len(asked)], len(found), lambda a, b: found[a:b])
    picks, notes = choose_in_turn(similarity, short.records, budget, diversity.as_for(ordered))
    return Selection(
        selector="gradient",
        rows=selected_rows(picks, short.records, askers),
        notes=(*short.notes, *notes),
        seconds=time.perf_counter() - started,
        tokens=sum(len(row.input_ids) for rows in (missing, *warm_up) for row in rows)
        if missing
        else 0,
    )


def _first_rows(
    ordered: Sequence[Record], tokenizer: ChatTokenizer, max_length: int, settings: GradientSettings
) -> list[TokenizedExample]:
    """General rows to warm up on: the first of a random order, so that no budget changes them."""
    wanted = settings.warm_up_steps * settings.warm_up_rows
    found: list[TokenizedExample] = []
    for record in ordered:
        example = tokenize_within(record, tokenizer, max_length)
        if example is not None:
            found.append(example)
        if len(found) == wanted:
            break
    return found


def _warm_up_rows(
    task: Sequence[TokenizedExample],
    general: Sequence[TokenizedExample],
    settings: GradientSettings,
    seed: int,
) -> list[list[TokenizedExample]]:
    """The rows of each warm-up step, half of the task."""
    generator = np.random.default_rng(seed)
    half = settings.warm_up_rows // 2
    steps = []
    for _ in range(settings.warm_up_steps):
        rows = [task[i] for i in generator.integers(len(task), size=half)]
        rows += [general[i] for i in generator.integers(len(general), size=half)]
        steps.append(rows)
    return steps


@contextlib.contextmanager
def _warm_adapter(
    model: PreTrainedModel,
    steps: Sequence[Sequence[TokenizedExample]],
    hardware: Hardware,
    pad_id: int,
    settings: GradientSettings,
    seed: int,
) -> Iterator[PeftModel]:
    """The model with a LoRA adapter a few steps old, taken off again at the end."""
    with torch.random.fork_rng():  # PEFT draws its start from the global generator
        adapted = attach_lora(
            model,
            r=settings.lora_r,
            alpha=2 * settings.lora_r,
            dropout=0.0,
            target_modules="all-linear",
        )
    try:
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in adapted.named_parameters():
            if "lora_A" in name:
                start = torch.empty(parameter.shape)
                torch.nn.init.kaiming_uniform_(start, a=math.sqrt(5), generator=generator)
                parameter.data.copy_(start)
        adapted.train()
        optimizer = torch.optim.AdamW(_trained(adapted), lr=settings.learning_rate)
        for rows in steps:
            optimizer.zero_grad()
            for row in rows:
                _add_gradient(adapted, row, hardware, pad_id, step_rows=len(rows))
            optimizer.step()
        adapted.eval()
        yield adapted
    finally:
        adapted.unload()  # leaves the base model as it was
        model.eval()


class _Features:
    """Gradients of single rows, projected.

    The projection adds each entry of the gradient, with a random sign, to one of `width` sums drawn
    at random (count sketch: Charikar et al., "Finding frequent items in data streams", 2002). It
    keeps inner products in expectation, as a dense random matrix does, at the cost of one pass.
    """

    def __init__(
        self, model: PeftModel, hardware: Hardware, pad_id: int, width: int, seed: int
    ) -> None:
        self._model = model
        self._hardware = hardware
        self._pad_id = pad_id
        self._width = width
        self._parameters = _trained(model)
        count = sum(parameter.numel() for parameter in self._parameters)
        generator = np.random.default_rng(seed)
        device = hardware.device
        bins = generator.integers(width, size=count, dtype=np.int64)
        signs = generator.integers(2, size=count, dtype=np.int8) * 2 - 1
        self._bins = torch.from_numpy(bins).to(device)
        self._signs = torch.from_numpy(signs).to(device)

    def of(self, rows: Sequence[TokenizedExample], progress: Progress | None) -> Array:
        """Projected gradients of the mean NLL of each row's answer, as unit vectors."""
        vectors = np.empty((len(rows), self._width), dtype=np.float32)
        with (progress or SilentProgress()).stage("gradients", len(rows), "row") as stage:
            for i, row in enumerate(rows):
                self._model.zero_grad()
                _add_gradient(self._model, row, self._hardware, self._pad_id)
                flat = torch.cat([_gradient(p).float().flatten() for p in self._parameters])
                sums = torch.zeros(self._width, device=flat.device)
                sums.index_add_(0, self._bins, flat * self._signs)
                vectors[i] = torch.nn.functional.normalize(sums, dim=0).cpu().numpy()
                stage.advance()
        self._model.zero_grad()
        return vectors


def _trained(model: torch.nn.Module) -> list[torch.nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def _gradient(parameter: torch.nn.Parameter) -> torch.Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def _add_gradient(
    model: torch.nn.Module,
    row: TokenizedExample,
    hardware: Hardware,
    pad_id: int,
    *,
    step_rows: int = 1,
) -> None:
    """Add the gradient of a row's mean NLL, of several rows of a step its share.

    Raises:
        RunError: If it does not fit into memory.
    """

    def add() -> bool:
        (_mean_nll(model, row, hardware, pad_id) / step_rows).backward()
        return True

    if not unless_out_of_memory(add, hardware.device):
        raise no_room_for(row, where="gradients", advice=_NO_ROOM)


def _mean_nll(
    model: torch.nn.Module, row: TokenizedExample, hardware: Hardware, pad_id: int
) -> torch.Tensor:
    batch = collate([row], pad_id).to(hardware.device)
    with autocast_for(model, hardware):
        logits = select_logits(model, batch.inputs, batch.index)
    return torch.nn.functional.cross_entropy(logits.float(), batch.targets)
