"""`SFTTrainer` in several processes: whole steps in each of them, checkpoints as of one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import torch
from peft import PeftModel
from torch.distributed import all_reduce
from torch.nn.parallel import DistributedDataParallel
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader
from trl import SFTTrainer

from levertune.training import sharded
from levertune.training.processes import Team


class TeamTrainer(SFTTrainer):
    """`SFTTrainer` for any number of processes, with the model whole in each (DDP) or spread.

    Args:
        team: The processes that train together.
        **kwargs: As for `SFTTrainer`.
    """

    def __init__(self, *, team: Team, **kwargs: Any) -> None:
        self._team = team
        super().__init__(**kwargs)

    def create_accelerator_and_postprocess(self) -> None:
        """Also spread the model over CPUs, if `accelerate launch` was told to spread it."""
        super().create_accelerator_and_postprocess()
        if self._team.size > 1 and sharded.is_asked_for(os.environ) and not self.is_fsdp_enabled:
            sharded.let_accelerate_shard(self.accelerator)
            self.is_fsdp_enabled = True

    @property
    def _is_spread(self) -> bool:
        """Whether each process holds a part of the model, so that all go through every pass."""
        return bool(self.is_fsdp_enabled or self.is_deepspeed_enabled)

    @staticmethod
    def _own_part(model: torch.nn.Module) -> torch.nn.Module:
        """The model as this process computes it, without what waits for others on the way.

        `DistributedDataParallel` sends gradients while the last pass goes on. A process that has to
        take its passes again would leave the others waiting in the middle of theirs, so gradients
        are averaged here, once all processes are through (`_average_gradients`).
        """
        return model.module if isinstance(model, DistributedDataParallel) else model

    def _average_gradients(self, model: torch.nn.Module) -> None:
        """Average the gradients of processes that hold the model whole."""
        if self._team.size == 1 or self._is_spread:
            return
        trained = [p for p in model.parameters() if p.requires_grad]
        for dtype in dict.fromkeys(p.dtype for p in trained):
            alike = [p for p in trained if p.dtype == dtype]
            # A process without rows in this step has none.
            own = [torch.zeros_like(p) if p.grad is None else p.grad for p in alike]
            flat = torch.cat([gradient.reshape(-1) for gradient in own])
            all_reduce(flat)
            flat /= self._team.size
            pieces = flat.split([p.numel() for p in alike])
            for parameter, piece in zip(alike, pieces, strict=True):
                parameter.grad = piece.view_as(parameter)

    @contextlib.contextmanager
    def _synced_at(self, model: torch.nn.Module, *, is_last: bool) -> Iterator[None]:
        """Let processes with a part of the model add up gradients after a step's last pass only."""
        if is_last or not self._is_spread:
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

    def get_train_dataloader(self) -> DataLoader:
        """The positions of each step, whole in every process: rows are shared out later."""
        if self._team.size == 1:
            return super().get_train_dataloader()
        return DataLoader(
            self.train_dataset,  # type: ignore[arg-type]
            batch_size=self.args.train_batch_size,
            collate_fn=self.data_collator,
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
