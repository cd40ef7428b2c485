"""The engine: TRL's `SFTTrainer`, handed finished rows, with the loss on supervised positions only.

Everything TRL, transformers and accelerate do well stays theirs (optimizer, schedule, checkpoints,
loggers, devices). Ours are the rows of a step, their split into micro-batches, and the loss.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, cast

import torch
from peft import PeftModel
from transformers import set_seed

from levertune.models.adapters import save_adapter
from levertune.models.batches import Batching
from levertune.models.head import select_logits
from levertune.models.memory import release_unused_memory
from levertune.models.micro_batch_limit import (
    NO_ROOM_FOR_A_ROW,
    MicroBatchLimit,
    is_out_of_memory,
)
from levertune.models.rendering import TokenizedExample
from levertune.training.callbacks import AtBegin
from levertune.training.checkpoints import Checkpoints
from levertune.training.divergence import LossWatch, diverged
from levertune.training.processes import Team, share_rows
from levertune.training.random_state import random_state, set_random_state
from levertune.training.team_trainer import TeamTrainer

_Pass = tuple[list[int], bool]
"""Which rows of a step go together, and whether they count."""


class StepTrainer(TeamTrainer):
    """`SFTTrainer` whose batch is one whole optimizer step.

    The loss of a step is the weighted mean over its supervised tokens, however the rows are split
    into micro-batches; the split is an execution detail.

    Args:
        rows: Row at each position of the mixture, by position.
        source_weights: Loss weight by source; sources not named weigh 1.
        task_source: The source that counts as task in the loss log.
        batching: How the rows of a step are put into micro-batches.
        checkpoints: Where the training is saved.
        warn: Told where memory ran out and what was done about it.
        team: The processes that train together; the rows of a step are shared among them.
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
        checkpoints: Checkpoints,
        warn: Callable[[str], None],
        team: Team,
        **kwargs: Any,
    ) -> None:
        self._rows = rows
        self._source_weights = dict(source_weights)
        self._task_source = task_source
        self._batching = batching
        self._checkpoints = checkpoints
        self._warn = warn
        self._loss_sums: dict[str, float] = defaultdict(float)
        self._loss_counts: dict[str, int] = defaultdict(int)
        self._limit = MicroBatchLimit()
        self._watch: LossWatch | None = None
        self._examples_of_step: list[TokenizedExample] = []
        self._losses_of_step: list[tuple[int, float]] = []
        super().__init__(team=team, data_collator=_positions, **kwargs)

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

    def _get_output_dir(self, trial: Any) -> str:
        """Where a checkpoint is written; it gets its name once it is whole."""
        return str(self._checkpoints.staging)

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        """Save everything a resumed training needs, whole or not at all."""
        try:
            super()._save_checkpoint(model, trial)
            # Each process adds up its own part; the mean of them is the steps'.
            parts = self._team.gather(float(self._tr_loss))
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                state = self._loop_state(sum(parts) / len(parts))
                self._checkpoints.publish(self.state.global_step, state)
            self.accelerator.wait_for_everyone()
        except BaseException:
            if self.args.should_save:
                self._checkpoints.discard()
            raise

    def _loop_state(self, loss_sum: float) -> dict[str, Any]:
        """What the loop knows beside weights, optimizer, schedule and random numbers."""
        return {
            "loss_sum": loss_sum,
            "last_logged": self._globalstep_last_logged,
            "loss_sums": self._loss_sums,
            "loss_counts": self._loss_counts,
            "losses": None if self._watch is None else [self._watch.first, *self._watch.recent],
            "micro_batch_tokens": self._limit.tokens,
        }

    def resume(self, checkpoint: Path | None, state: Mapping[str, Any]) -> None:
        """Train from the start, or go on.

        Args:
            checkpoint: Where to go on from.
            state: What the loop kept at it (`_loop_state`); empty for a fresh training.
        """
        self.add_callback(AtBegin(lambda: self._set_loop_state(state)))
        self.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)

    def _set_loop_state(self, state: Mapping[str, Any]) -> None:
        """Go on as the training that `_loop_state` was taken from.

        So a log line over steps before and after a break is the one that an unbroken training
        writes, wherever between two lines it was saved.
        """
        self.state.logging_steps = int(self.args.logging_steps)  # the checkpoint's may be another
        if state:
            self._tr_loss += state["loss_sum"]
            self._globalstep_last_logged = state["last_logged"]
            self._loss_sums.update(state["loss_sums"])
            self._loss_counts.update(state["loss_counts"])
            if state["losses"] is not None:
                first, *recent = state["losses"]
                self._watch = LossWatch(self._vocab_size, first, recent)
            self._limit = MicroBatchLimit(state["micro_batch_tokens"])

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
        examples, weights = self._team.lead(lambda: self._look_up(inputs["positions"]))
        total = sum(w * _num_predicted(e) for e, w in zip(examples, weights, strict=True))
        self._examples_of_step = examples
        if self._team.size > 1:
            # Dropout must differ between the processes, and be the same after a resume.
            set_seed(hash((self.args.seed, self.state.global_step, self._team.rank)) % 2**32)
        random_numbers = random_state(self.args.device)
        own = self._own_part(model)
        while True:
            loss, too_many = self._try_step(own, examples, weights, total)
            found = self._team.gather((float(loss), self._losses_of_step, too_many))
            if not any(rows for _, _, rows in found):
                break
            self._take_smaller(max(rows for _, _, rows in found))
            model.zero_grad()  # also of the passes that did fit
            set_random_state(random_numbers, self.args.device)
            release_unused_memory()
            if self.args.device.type == "cuda":
                torch.cuda.empty_cache()
        self._average_gradients(own)
        self._losses_of_step = [pair for _, pairs, _ in found for pair in pairs]
        self._require_sane(sum(part for part, _, _ in found) / len(found))
        for i, value in self._losses_of_step:
            example = examples[i]
            key = "task" if example.source == self._task_source else "general"
            self._loss_sums[key] += value * _num_predicted(example)
            self._loss_counts[key] += _num_predicted(example)
        return loss

    def _try_step(
        self,
        model: torch.nn.Module,
        examples: Sequence[TokenizedExample],
        weights: Sequence[float],
        total: float,
    ) -> tuple[torch.Tensor, int]:
        """Forward and backward passes.

        Returns:
            The loss, and the rows of the micro-batch that did not fit into memory; 0 if all did.
        """
        passes = self._passes(examples)
        step_loss = torch.zeros((), device=self.args.device)
        self._losses_of_step = []
        for number, (indices, counts) in enumerate(passes, start=1):
            # The processes' gradients are averaged, each of them a part of the step's.
            scale = self._team.size if counts else 0.0
            try:
                with self._synced_at(model, is_last=number == len(passes)):
                    loss, losses = self._micro_batch_loss(
                        model,
                        [examples[i] for i in indices],
                        [weights[i] * scale for i in indices],
                        total,
                    )
                    self.accelerator.backward(loss)
            except (RuntimeError, MemoryError) as error:
                # Those that have but a part of the model would wait for this one's in this pass.
                if not is_out_of_memory(error) or self._is_spread:
                    raise
                where = f"step {self.state.global_step + 1}"
                self._limit.lower(examples, indices, where=where, advice=NO_ROOM_FOR_A_ROW)
                return step_loss, len(indices)
            step_loss += loss.detach()
            if counts:
                self._losses_of_step += zip(indices, losses, strict=True)
        return step_loss, 0

    def _take_smaller(self, num_rows: int) -> None:
        """Go on with the smallest micro-batches that any of the processes needs."""
        limits = [tokens for tokens in self._team.gather(self._limit.tokens) if tokens is not None]
        self._limit = MicroBatchLimit(min(limits))
        if not self._team.leads:
            return
        self._warn(
            f"step {self.state.global_step + 1}: memory ran out; it is taken again, from here on "
            f"with at most {self._limit.tokens} tokens at once instead of {num_rows} rows."
        )

    def _look_up(self, positions: Sequence[int]) -> tuple[list[TokenizedExample], list[float]]:
        examples = [self._rows[position] for position in positions]
        return examples, [self._source_weights.get(e.source, 1.0) for e in examples]

    def _passes(self, examples: Sequence[TokenizedExample]) -> list[_Pass]:
        """This process's share of a step, in micro-batches.

        Processes that have but a part of the model wait for each other in every pass, so one with
        fewer goes through passes that count nothing.
        """
        mine = share_rows([len(e.input_ids) for e in examples], self._team.size)[self._team.rank]
        own = [examples[i] for i in mine]
        parts = self._limit.split(own, self._batching.split(own))
        passes: list[_Pass] = [([mine[i] for i in part], True) for part in parts]
        if not self._is_spread:
            return passes
        num_passes = self._team.largest(max(1, len(passes)))
        return passes + [([0], False)] * (num_passes - len(passes))

    def _require_sane(self, loss: float) -> None:
        """Stop before the weights take in a loss that is no number or has exploded."""
        if self._watch is None:
            self._watch = LossWatch(self._vocab_size)
        found = self._watch.judge(loss)
        if found is not None:
            # The weights from before the first of these steps gave its loss: they are no good.
            fault, num_steps = found
            self._stop(fault, last_good=self.state.global_step - num_steps)

    def _get_grad_norm(self, model: torch.nn.Module, grad_norm: Any = None) -> Any:
        """The norm; a scaler of float16 gradients looks at them itself, and skips the step."""
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)
        if self.accelerator.scaler is None and not math.isfinite(norm):
            self._stop(f"the gradient's norm is {float(norm)}", last_good=self.state.global_step)
        return norm

    def _stop(self, fault: str, *, last_good: int) -> NoReturn:
        """Give up a training that went wrong after a step; what was saved since then goes."""
        if self.args.should_save:
            self._checkpoints.drop_after(last_good)
        raise diverged(
            fault,
            step=self.state.global_step + 1,
            rows=[(self._examples_of_step[i], value) for i, value in self._losses_of_step],
            checkpoint=self._checkpoints.newest(up_to=last_good),
        )

    @property
    def _vocab_size(self) -> int:
        return int(cast(Any, self.model).config.get_text_config().vocab_size)

    def _micro_batch_loss(
        self,
        model: torch.nn.Module,
        examples: Sequence[TokenizedExample],
        weights: Sequence[float],
        total: float,
    ) -> tuple[torch.Tensor, list[float]]:
        """The part of a step's loss that a few rows have, and each row's own per token."""
        batch = self._batching.collate(examples).to(self.args.device)
        with self.accelerator.autocast():
            logits = select_logits(model, batch.inputs, batch.index)
        losses = torch.nn.functional.cross_entropy(logits.float(), batch.targets, reduction="none")
        per_row = torch.zeros(len(examples), device=losses.device)
        per_row = per_row.index_add(0, batch.rows, losses)
        own = [
            value / max(1, _num_predicted(example))
            for example, value in zip(examples, per_row.detach().tolist(), strict=True)
        ]
        return (per_row * torch.tensor(weights, device=losses.device)).sum() / total, own

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
