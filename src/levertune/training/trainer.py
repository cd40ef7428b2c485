"""The engine: TRL's `SFTTrainer`, handed finished rows, with the loss on supervised positions only.

Everything TRL, transformers and accelerate do well stays theirs (optimizer, schedule, checkpoints,
loggers, devices). Ours are the rows of a step, their split into micro-batches, and the loss.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from peft import PeftModel
from trl import SFTTrainer

from levertune.models.adapters import save_adapter
from levertune.models.batches import Batching
from levertune.models.head import select_logits
from levertune.models.rendering import TokenizedExample


class StepTrainer(SFTTrainer):
    """`SFTTrainer` whose batch is one whole optimizer step.

    The loss of a step is the weighted mean over its supervised tokens, however the rows are split
    into micro-batches; the split is an execution detail.

    Args:
        rows: Row at each position of the mixture, by position.
        source_weights: Loss weight by source; sources not named weigh 1.
        task_source: The source that counts as task in the loss log.
        batching: How the rows of a step are put into micro-batches.
        **kwargs: As for `SFTTrainer`.
    """

    loss_is_scaled_for_ga = True  # type: ignore[assignment]  # declared as None

    def __init__(
        self,
        *,
        rows: Sequence[TokenizedExample],
        source_weights: Mapping[str, float],
        task_source: str,
        batching: Batching,
        **kwargs: Any,
    ) -> None:
        self._rows = rows
        self._source_weights = dict(source_weights)
        self._task_source = task_source
        self._batching = batching
        self._loss_sums: dict[str, float] = defaultdict(float)
        self._loss_counts: dict[str, int] = defaultdict(int)
        super().__init__(data_collator=_positions, **kwargs)

    def _send_telemetry(self) -> None:
        """Nothing is sent: levertune uses the network for names the user gave only."""

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """No card: TRL's would carry paths of this machine."""

    def _save(
        self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None
    ) -> None:
        """Put the adapter alone into a checkpoint: no tokenizer, no pickled arguments."""
        if self.args.should_save:
            folder = Path(output_dir or self.args.output_dir or ".")
            save_adapter(cast(PeftModel, self.model), folder, state_dict=state_dict)

    def training_step(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """Forward and backward passes over the micro-batches of one step.

        Returns:
            The step's loss, detached.
        """
        model.train()
        examples = [self._rows[position] for position in inputs["positions"]]
        weights = [self._source_weights.get(e.source, 1.0) for e in examples]
        total = sum(w * _num_predicted(e) for e, w in zip(examples, weights, strict=True))
        micro_batches = self._batching.split(examples)
        step_loss = torch.zeros((), device=self.args.device)
        for number, indices in enumerate(micro_batches, start=1):
            is_last = number == len(micro_batches)
            with contextlib.nullcontext() if is_last else self.accelerator.no_sync(model):
                loss = self._micro_batch_loss(
                    model, [examples[i] for i in indices], [weights[i] for i in indices], total
                )
                self.accelerator.backward(loss)
            step_loss += loss.detach()
        return step_loss

    def _micro_batch_loss(
        self,
        model: torch.nn.Module,
        examples: Sequence[TokenizedExample],
        weights: Sequence[float],
        total: float,
    ) -> torch.Tensor:
        batch = self._batching.collate(examples).to(self.args.device)
        with self.accelerator.autocast():
            logits = select_logits(model, batch.inputs, batch.index)
        losses = torch.nn.functional.cross_entropy(logits.float(), batch.targets, reduction="none")
        per_row = torch.zeros(len(examples), device=losses.device)
        per_row = per_row.index_add(0, batch.rows, losses)
        self._note_losses(examples, per_row.detach().tolist())
        return (per_row * torch.tensor(weights, device=losses.device)).sum() / total

    def _note_losses(self, examples: Sequence[TokenizedExample], sums: Sequence[float]) -> None:
        for example, value in zip(examples, sums, strict=True):
            key = "task" if example.source == self._task_source else "general"
            self._loss_sums[key] += value
            self._loss_counts[key] += _num_predicted(example)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the mean loss per supervised token of each source since the last log."""
        if "loss" in logs:
            for key, count in self._loss_counts.items():
                if count:
                    logs[f"{key}_loss"] = self._loss_sums[key] / count
            self._loss_sums.clear()
            self._loss_counts.clear()
        super().log(logs, start_time)


def _positions(features: Sequence[Mapping[str, int]]) -> dict[str, Any]:
    """Collator: the rows themselves are looked up by position in `training_step`."""
    return {"positions": [feature["position"] for feature in features]}


def _num_predicted(example: TokenizedExample) -> int:
    """Supervised tokens that have a token before them."""
    return example.num_supervised - (len(example.input_ids) == example.num_supervised)


def placeholder_tokenizer() -> Any:
    """TRL insists on a tokenizer; none is used, since rows come finished."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(WordLevel({"<pad>": 0}, unk_token="<pad>"))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<pad>", unk_token="<pad>"
    )
