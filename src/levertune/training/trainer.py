"""The engine: TRL's `SFTTrainer`, handed finished rows, with the loss on supervised positions only.

Everything TRL, transformers and accelerate do well stays theirs (optimizer, schedule, checkpoints,
loggers, devices). Ours are the rows of a step, their split into micro-batches, and the loss.
"""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from peft import PeftModel
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader
from transformers import set_seed
from trl import SFTTrainer

from levertune.models.adapters import save_adapter
from levertune.models.batches import Batching
from levertune.models.head import select_logits
from levertune.models.rendering import TokenizedExample
from levertune.training import sharded
from levertune.training.processes import Team, share_rows

_Rows = tuple[list[TokenizedExample], list[float]]


class StepTrainer(SFTTrainer):
    """`SFTTrainer` whose batch is one whole optimizer step.

    The loss of a step is the weighted mean over its supervised tokens, however the rows are split
    into micro-batches; the split is an execution detail.

    Args:
        rows: Row at each position of the mixture, by position.
        source_weights: Loss weight by source; sources not named weigh 1.
        task_source: The source that counts as task in the loss log.
        batching: How the rows of a step are put into micro-batches.
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
        team: Team,
        **kwargs: Any,
    ) -> None:
        self._rows = rows
        self._source_weights = dict(source_weights)
        self._task_source = task_source
        self._batching = batching
        self._team = team
        self._loss_sums: dict[str, float] = defaultdict(float)
        self._loss_counts: dict[str, int] = defaultdict(int)
        super().__init__(data_collator=_positions, **kwargs)

    def _send_telemetry(self) -> None:
        """Nothing is sent: levertune uses the network for names the user gave only."""

    def create_accelerator_and_postprocess(self) -> None:
        """Also spread the model over CPUs, if `accelerate launch` was told to spread it."""
        super().create_accelerator_and_postprocess()
        if self._team.size > 1 and sharded.is_asked_for(os.environ) and not self.is_fsdp_enabled:
            sharded.let_accelerate_shard(self.accelerator)
            self.is_fsdp_enabled = True

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
        examples, weights = self._team.lead(lambda: self._look_up(inputs["positions"]))
        total = sum(w * _num_predicted(e) for e, w in zip(examples, weights, strict=True))
        if self._team.size > 1:
            passes = self._own_passes(examples, weights)
        else:
            passes = self._passes(examples, weights)
        step_loss = torch.zeros((), device=self.args.device)
        for number, (rows, row_weights) in enumerate(passes, start=1):
            with self._synced_at(model, is_last=number == len(passes)):
                loss = self._micro_batch_loss(model, rows, row_weights, total)
                self.accelerator.backward(loss)
            step_loss += loss.detach()
        return step_loss

    def _look_up(self, positions: Sequence[int]) -> _Rows:
        examples = [self._rows[position] for position in positions]
        return examples, [self._source_weights.get(e.source, 1.0) for e in examples]

    def _passes(
        self, examples: Sequence[TokenizedExample], weights: Sequence[float]
    ) -> list[_Rows]:
        return [
            ([examples[i] for i in part], [weights[i] for i in part])
            for part in self._batching.split(examples)
        ]

    def _own_passes(
        self, examples: Sequence[TokenizedExample], weights: Sequence[float]
    ) -> list[_Rows]:
        """This process's share of a step, weighted so that the mean of all gradients is the step's.

        A process with too few rows goes through one that counts nothing: the others wait for its
        gradients, and those that have but a part of the model for its part in every pass.
        """
        size, rank = self._team.size, self._team.rank
        # Dropout must differ between the processes, and be the same after a resume.
        set_seed(hash((self.args.seed, self.state.global_step, rank)) % 2**32)
        mine = share_rows([len(e.input_ids) for e in examples], size)[rank]
        passes = self._passes([examples[i] for i in mine], [weights[i] * size for i in mine])
        num_passes = max(1, len(passes))
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            num_passes = self._team.largest(num_passes)
        return passes + [([examples[0]], [0.0])] * (num_passes - len(passes))

    @contextlib.contextmanager
    def _synced_at(self, model: torch.nn.Module, *, is_last: bool) -> Iterator[None]:
        """Let the processes add up their gradients after the last pass of a step only."""
        if is_last:
            yield
            return
        state = self.accelerator.gradient_state
        before = state.sync_gradients
        state._set_sync_gradients(False)
        try:
            with self.accelerator.no_sync(model):
                yield
        finally:
            state._set_sync_gradients(before)

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
        self._note_losses(examples, weights, per_row.detach().tolist())
        return (per_row * torch.tensor(weights, device=losses.device)).sum() / total

    def _note_losses(
        self,
        examples: Sequence[TokenizedExample],
        weights: Sequence[float],
        sums: Sequence[float],
    ) -> None:
        for example, weight, value in zip(examples, weights, sums, strict=True):
            if weight == 0.0:
                continue
            key = "task" if example.source == self._task_source else "general"
            self._loss_sums[key] += value
            self._loss_counts[key] += _num_predicted(example)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the mean loss per supervised token of each source since the last log."""
        if "loss" in logs:
            for key, total, count in self._sum_losses():
                if count:
                    logs[f"{key}_loss"] = total / count
            self._loss_sums.clear()
            self._loss_counts.clear()
        super().log(logs, start_time)

    def _sum_losses(self) -> list[tuple[str, float, float]]:
        """Sum and count of each source's token losses since the last log, over all processes."""
        keys = ("task", "general") if self._team.size > 1 else tuple(self._loss_counts)
        own = [float(of[key]) for key in keys for of in (self._loss_sums, self._loss_counts)]
        both = self._team.sum(own)
        return [(key, both[2 * i], both[2 * i + 1]) for i, key in enumerate(keys)]

    def get_train_dataloader(self) -> DataLoader:
        """The positions of each step, whole in every process: rows are shared out later."""
        if self._team.size == 1:
            return super().get_train_dataloader()
        return DataLoader(
            self.train_dataset,  # type: ignore[arg-type]
            batch_size=self.args.train_batch_size,
            collate_fn=_positions,
        )

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write the adapter, whole also if the model is spread."""
        if not self.is_fsdp_enabled:
            super().save_model(output_dir, _internal_call)
            return
        state = sharded.gather_adapter(cast(PeftModel, self.model))
        self._save(output_dir, state_dict=state)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        """The same files whether the model is spread or not."""
        if not self.is_fsdp_enabled:
            super()._save_optimizer_and_scheduler(output_dir)
            return
        state = sharded.gather_optimizer(cast(torch.optim.Optimizer, self.optimizer))
        if self._team.leads:
            torch.save(state, Path(output_dir) / "optimizer.pt")
            schedule = cast(LRScheduler, self.lr_scheduler).state_dict()
            torch.save(schedule, Path(output_dir) / "scheduler.pt")

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: torch.nn.Module | None = None
    ) -> None:
        if not self.is_fsdp_enabled:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        sharded.scatter_adapter(cast(PeftModel, self.model), Path(resume_from_checkpoint))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if not self.is_fsdp_enabled or checkpoint is None:
            super()._load_optimizer_and_scheduler(checkpoint)
            return
        optimizer = cast(torch.optim.Optimizer, self.optimizer)
        sharded.scatter_optimizer(optimizer, Path(checkpoint) / "optimizer.pt")
        state = torch.load(Path(checkpoint) / "scheduler.pt", weights_only=True)
        cast(LRScheduler, self.lr_scheduler).load_state_dict(state)

    def _save_rng_state(self, output_dir: str) -> None:
        """One file whatever the number of processes: the first one's."""
        if self._team.leads:
            super()._save_rng_state(output_dir)
            if self._team.size > 1:
                folder = Path(output_dir)
                (folder / "rng_state_0.pth").replace(folder / "rng_state.pth")


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
