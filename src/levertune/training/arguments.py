"""The engine's settings, made from a training's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from levertune.models.hardware import Hardware
from levertune.training.processes import use_one_device

if TYPE_CHECKING:
    from trl import SFTConfig

    from levertune.training.train import TrainingConfig


def make_arguments(
    config: TrainingConfig,
    num_steps: int,
    checkpoints: Path,
    hardware: Hardware,
    *,
    mixed_precision: bool,
    run_name: str | None = None,
) -> SFTConfig:
    """The engine's settings from ours.

    Args:
        config: Settings of the training.
        num_steps: Optimizer steps of the whole training.
        checkpoints: Folder of the checkpoints.
        hardware: Device and precision.
        mixed_precision: Whether products run under autocast.
        run_name: What loggers call the training.
    """
    import torch
    from trl import SFTConfig

    arguments = SFTConfig(
        output_dir=str(checkpoints),
        per_device_train_batch_size=config.effective_batch_size,
        gradient_accumulation_steps=1,
        num_train_epochs=1,
        train_sampling_strategy="sequential",
        dataloader_drop_last=False,
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
        learning_rate=config.learning_rate,
        lr_scheduler_type=config.lr_scheduler_type,
        warmup_steps=round(config.warmup_ratio * num_steps),
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        optim="adamw_torch_fused",  # one call for all tensors: a LoRA adapter has hundreds
        seed=config.seed,
        use_cpu=hardware.device == "cpu",
        bf16=mixed_precision and hardware.dtype == torch.bfloat16,
        fp16=mixed_precision and hardware.dtype == torch.float16,
        # Its default is no value: naming it at all brings a deprecation warning.
        gradient_checkpointing=config.gradient_checkpointing or None,  # type: ignore[arg-type]
        logging_strategy="steps",
        logging_steps=config.logging_steps,
        logging_first_step=True,
        logging_nan_inf_filter=False,  # it would hide a training that has diverged
        save_strategy="no",  # `training.saving` asks for checkpoints, by steps and by minutes
        report_to=list(config.report_to) or "none",
        run_name=run_name,
        disable_tqdm=True,
        # Every pass uses every adapter weight, and the buffers of a model are constants.
        ddp_find_unused_parameters=False,
        ddp_broadcast_buffers=False,
        remove_unused_columns=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        packing=False,
        max_length=None,
    )
    use_one_device(arguments)
    return arguments
