"""Train one adapter on finished rows: configure the engine, resume, record, save."""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from levertune.data.records import TASK_SOURCE
from levertune.errors import RunError
from levertune.models.adapters import attach_lora
from levertune.models.batches import CPU_COST, GPU_COST
from levertune.models.hardware import Hardware, peak_memory_bytes
from levertune.models.quiet import quiet_libraries
from levertune.models.rendering import TokenizedExample
from levertune.progress import Progress, SilentProgress
from levertune.results.files import write_json_atomically, write_jsonl_atomically

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

FINGERPRINT_FILE = "fingerprint.json"
LOG_FILE = "train_log.jsonl"
SUMMARY_FILE = "training.json"
ADAPTER_FOLDER = "adapter"


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """Settings of one training, named as in Hugging Face's libraries.

    Args:
        learning_rate: Peak learning rate.
        effective_batch_size: Mixture rows a step.
        lora_r: Rank of the adapter.
        lora_alpha: Scale of the adapter.
        lora_dropout: Dropout inside the adapter.
        lora_target_modules: `all-linear`, or module names.
        warmup_ratio: Share of the steps over which the learning rate rises.
        lr_scheduler_type: Schedule after the warm-up.
        weight_decay: AdamW's weight decay.
        max_grad_norm: Gradient clipping.
        general_loss_weight: Loss weight of general tokens against task tokens.
        seed: Seed of the adapter's start (and of dropout).
        save_steps: Steps between checkpoints, or None for about eight in all.
        logging_steps: Steps between log lines.
        report_to: Loggers of transformers: `trackio`, `wandb`, `tensorboard`.
        gradient_checkpointing: Trade time for memory.
    """

    learning_rate: float
    effective_batch_size: int = 8
    lora_r: int = 16
    lora_alpha: int = 32
    lora_dropout: float = 0.0
    lora_target_modules: str | tuple[str, ...] = "all-linear"
    warmup_ratio: float = 0.05
    lr_scheduler_type: str = "cosine"
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    general_loss_weight: float = 1.0
    seed: int = 0
    save_steps: int | None = None
    logging_steps: int = 5
    report_to: tuple[str, ...] = ()
    gradient_checkpointing: bool = False


@dataclass(frozen=True, slots=True)
class TrainSummary:
    """What a training did.

    Args:
        steps: Optimizer steps taken.
        num_steps_planned: Optimizer steps the rows would give.
        seconds: Wall time of the training loop; None if it was resumed, since the time before the
            interruption is not known.
        curve: One mapping a log line: `step`, `loss`, `task_loss`, `general_loss`, `learning_rate`.
        peak_memory_bytes: Most memory used, or None where it cannot be read.
        resumed_from: Step a checkpoint was resumed from, or None.
        trainable_parameters: Parameters of the adapter.
    """

    steps: int
    num_steps_planned: int
    seconds: float | None
    curve: list[dict[str, float]] = field(default_factory=list)
    peak_memory_bytes: int | None = None
    resumed_from: int | None = None
    trainable_parameters: int = 0


StepHook = Callable[[int, "PeftModel"], bool]
"""Called after a step with its number and the model; True stops the training."""


def count_steps(num_rows: int, effective_batch_size: int) -> int:
    """Optimizer steps one pass takes; the last one may hold fewer rows, and is taken."""
    return math.ceil(num_rows / effective_batch_size)


def train_adapter(
    base: PreTrainedModel,
    rows: Sequence[TokenizedExample],
    config: TrainingConfig,
    folder: Path,
    *,
    hardware: Hardware,
    pad_id: int,
    fingerprint: dict[str, Any],
    on_step: StepHook | None = None,
    progress: Progress | None = None,
    label: str = "train",
    keep_adapter: bool = True,
) -> TrainSummary:
    """Train a LoRA adapter on rows in exactly the order given.

    The base model comes back as it was, without the adapter. A checkpoint in `folder` is resumed from when its fingerprint is this one; the resumed training
    ends in the same weights, bit for bit, as an unbroken one.

    Args:
        base: Frozen base model, without adapter. It is wrapped in place.
        rows: Row at each position of the mixture; `effective_batch_size` neighbours share a step.
        config: Settings.
        folder: Where checkpoints, the log and the summary go; `adapter/` is written last.
        hardware: Device and precision.
        pad_id: Id used for padding.
        fingerprint: What the training depends on, as flat JSON; a resume needs it equal.
        on_step: Hook after each step, for early stopping.
        progress: Where to show progress.
        label: Name of the stage in the progress display.
        keep_adapter: Whether to save the adapter; False for a trial that only looks for a step.

    Raises:
        RunError: If there are no rows, or the folder holds checkpoints of another training.
    """
    import torch
    from datasets import Dataset
    from transformers import set_seed
    from trl import SFTConfig

    from levertune.training.callbacks import StepCallback
    from levertune.training.trainer import StepTrainer

    num_steps = count_steps(len(rows), config.effective_batch_size)
    if num_steps == 0:
        raise RunError(f"{label}: there is no row to train on, so no step would be taken.")
    folder.mkdir(parents=True, exist_ok=True)
    checkpoints = folder / "checkpoints"
    checkpoint = _find_checkpoint(folder, fingerprint)
    save_steps = config.save_steps or max(5, math.ceil(num_steps / 8))
    warmup = round(config.warmup_ratio * num_steps)
    progress = progress or SilentProgress()

    set_seed(config.seed)
    targets = config.lora_target_modules
    model = attach_lora(
        base,
        r=config.lora_r,
        alpha=config.lora_alpha,
        dropout=config.lora_dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
    )
    is_mixed = hardware.dtype != torch.float32
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
        warmup_steps=warmup,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        optim="adamw_torch",
        seed=config.seed,
        use_cpu=hardware.device == "cpu",
        bf16=is_mixed and hardware.dtype == torch.bfloat16,
        fp16=is_mixed and hardware.dtype == torch.float16,
        gradient_checkpointing=config.gradient_checkpointing,
        logging_strategy="steps",
        logging_steps=config.logging_steps,
        logging_first_step=True,
        save_strategy="steps",
        save_steps=save_steps,
        save_total_limit=1,
        report_to=list(config.report_to) or "none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        packing=False,
        max_length=None,
    )
    curve = _read_log(folder / LOG_FILE, up_to=checkpoint[1]) if checkpoint else []
    callback = StepCallback(curve, folder / LOG_FILE, on_step)
    with quiet_libraries():
        trainer = StepTrainer(
            rows=rows,
            source_weights={
                row_source: config.general_loss_weight
                for row_source in {row.source for row in _each(rows)}
                if row_source != TASK_SOURCE
            },
            task_source=TASK_SOURCE,
            pad_id=pad_id,
            cost=CPU_COST if hardware.device == "cpu" else GPU_COST,
            model=model,
            args=arguments,
            train_dataset=Dataset.from_dict({"position": list(range(len(rows)))}),
            processing_class=_placeholder_tokenizer(),
            callbacks=[callback],
        )
        _drop_console_callbacks(trainer)
        started = time.perf_counter()
        with progress.stage(label, num_steps) as stage:
            if checkpoint:
                stage.advance(checkpoint[1])
            callback.stage = stage
            trainer.train(resume_from_checkpoint=str(checkpoint[0]) if checkpoint else None)
        seconds = time.perf_counter() - started
    model = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False).eval()
    base.__dict__.pop("forward", None)  # TRL's fused head, patched onto the instance
    summary = TrainSummary(
        steps=trainer.state.global_step,
        num_steps_planned=num_steps,
        seconds=None if checkpoint else seconds,
        curve=curve,
        peak_memory_bytes=peak_memory_bytes(hardware.device),
        resumed_from=checkpoint[1] if checkpoint else None,
        trainable_parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
    )
    if keep_adapter:
        write_json_atomically(folder / SUMMARY_FILE, asdict(summary))
        _save_adapter(model, folder / ADAPTER_FOLDER)
    model.unload()
    shutil.rmtree(checkpoints, ignore_errors=True)
    return summary


def read_summary(folder: Path) -> TrainSummary:
    """The summary of a finished training.

    Raises:
        RunError: If the folder holds none.
    """
    from levertune.results.files import read_json

    return TrainSummary(**read_json(folder / SUMMARY_FILE))


def _each(rows: Sequence[TokenizedExample]) -> Any:
    return (rows[i] for i in range(len(rows)))


def _placeholder_tokenizer() -> Any:
    """TRL insists on a tokenizer; none is used, since rows come finished."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(WordLevel({"<pad>": 0}, unk_token="<pad>"))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<pad>", unk_token="<pad>"
    )


def _drop_console_callbacks(trainer: Any) -> None:
    """Transformers prints each log line when its bar is off; ours is the only display."""
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)


def _find_checkpoint(folder: Path, fingerprint: dict[str, Any]) -> tuple[Path, int] | None:
    """The newest whole checkpoint and its step; records the fingerprint of a fresh training.

    Raises:
        RunError: If the checkpoints belong to a training with another fingerprint.
    """
    path = folder / FINGERPRINT_FILE
    found = _whole_checkpoints(folder / "checkpoints")
    if found and path.is_file():
        old = json.loads(path.read_text(encoding="utf-8"))
        changed = sorted(k for k in {*old, *fingerprint} if old.get(k) != fingerprint.get(k))
        if changed:
            listed = "; ".join(f"{k}: {old.get(k)!r} -> {fingerprint.get(k)!r}" for k in changed)
            raise RunError(
                f"{folder.name}: holds checkpoints of another training; changed: {listed}. "
                "Restore the setting, or name another output_dir."
            )
        return found[-1]
    with contextlib.suppress(FileNotFoundError):
        (folder / LOG_FILE).unlink()
    write_json_atomically(path, fingerprint)
    return None


def _whole_checkpoints(folder: Path) -> list[tuple[Path, int]]:
    """Checkpoints whose last-written file is there, oldest first; a half-written one is passed over."""
    found = []
    for path in folder.glob("checkpoint-*"):
        number = path.name.removeprefix("checkpoint-")
        if number.isdigit() and (path / "trainer_state.json").is_file():
            found.append((path, int(number)))
    return sorted(found, key=lambda pair: pair[1])


def _read_log(path: Path, *, up_to: int) -> list[dict[str, float]]:
    """Log lines up to a step; those of steps that will be taken again are cut off the file."""
    if not path.is_file():
        return []
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    kept = [line for line in lines if line["step"] <= up_to]
    write_jsonl_atomically(path, kept)
    return kept


def _save_adapter(model: PeftModel, folder: Path) -> None:
    """Write the PEFT folder beside its place and move it there whole."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial)
    (partial / "README.md").unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
