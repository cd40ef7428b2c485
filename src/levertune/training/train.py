"""Train one adapter on finished rows: configure the engine, resume, record, save."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from levertune.data.records import TASK_SOURCE
from levertune.errors import RunError
from levertune.models.adapters import save_adapter
from levertune.models.batches import Batching
from levertune.models.hardware import Hardware, peak_memory_bytes
from levertune.models.quantization import float32_adapter
from levertune.models.quiet import quiet_libraries
from levertune.models.rendering import TokenizedExample
from levertune.progress import Progress, SilentProgress
from levertune.results.files import write_json_atomically
from levertune.results.folder_lock import hold_folder
from levertune.results.folders import write_folder_atomically
from levertune.training.arguments import make_arguments
from levertune.training.borrowed import borrowed
from levertune.training.checkpoints import LOG_FILE, Checkpoints, read_log, remove_checkpoints
from levertune.training.interruption import StopRequest
from levertune.training.loggers import check_loggers
from levertune.training.processes import Team, current_team, refuse_several_processes
from levertune.training.seal import compare_files, describe_file
from levertune.training.sharded import gather_adapter

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel, TrainerCallback
    from trl import SFTConfig

    from levertune.training.trainer import StepTrainer

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
        save_steps: Steps between checkpoints, or None for about eight in all; 0 for none.
        save_minutes: Minutes after which there is one too; 0 for none.
        save_total_limit: Checkpoints that are kept.
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
    save_minutes: float = 10.0
    save_total_limit: int = 2
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
        num_processes: Processes that shared it, at its end if it was resumed with another number.
        adapter_files: Size and checksum of each file of the adapter; empty where none was kept.
    """

    steps: int
    num_steps_planned: int
    seconds: float | None
    curve: list[dict[str, float]] = field(default_factory=list)
    peak_memory_bytes: int | None = None
    resumed_from: int | None = None
    trainable_parameters: int = 0
    num_processes: int = 1
    adapter_files: dict[str, dict[str, Any]] = field(default_factory=dict)


StepHook = Callable[[int, "PeftModel"], bool]
"""Called after a step with its number and the model; True stops the training.

What it draws at random leaves the training's own random numbers as they are. It may change the rows
of later steps: each is looked up when its step is taken.
"""


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
    on_start: Callable[[int], None] | None = None,
    progress: Progress | None = None,
    label: str = "train",
    run_name: str | None = None,
    keep_adapter: bool = True,
    kept: Sequence[str] = (),
) -> TrainSummary:
    """Train a LoRA adapter on rows in exactly the order given.

    The base model comes back as it was, without the adapter, also after an error. A checkpoint in
    `folder` is resumed from when its fingerprint is this one; the resumed training ends in the same
    weights, bit for bit, as an unbroken one. Ctrl-C and SIGTERM take effect after the step under
    way, which is saved first.

    In a team of processes (`training.processes`) all call this, and the first alone looks at the
    rows, the folder and the hooks. It may be another number of processes than before: the order is
    the same, sums are rounded otherwise.

    Args:
        base: Frozen base model, without adapter. It is wrapped in place while training.
        rows: Row at each position of the mixture; `effective_batch_size` neighbours share a step.
        config: Settings.
        folder: Where checkpoints, the log and the summary go; `adapter/` is written last.
        hardware: Device and precision.
        pad_id: Id used for padding.
        fingerprint: What the training depends on, as flat JSON; a resume needs it equal.
        on_step: Hook after each step; it sees the model in evaluation mode.
        on_start: Called before the first step with the number of steps that a checkpoint holds, 0
            for a fresh training.
        progress: Where to show progress.
        label: Name of the stage in the progress display.
        run_name: What the loggers of `report_to` call the training.
        keep_adapter: Whether to save the adapter; False for a trial that only looks for a step.
        kept: Names of files in `folder` that belong to the training's state, such as decisions on
            file: each checkpoint holds a copy, and a resume puts it back before `on_start`.

    Raises:
        RecipeError: If a logger of `report_to` is not installed.
        RunError: If there are no rows, another process trains in the folder, it holds checkpoints
            of another training, memory runs out at a single row, or this is one of several
            processes that have not met.
        DivergedError: If the loss or its gradient is no longer a number, or the loss has exploded.
        ModelError: If the adapter fits no module of the model.
        KeyboardInterrupt: After Ctrl-C.
    """
    from levertune.models.lora_linear import grouped_lora, needs_autocast
    from levertune.models.memory import settled_objects
    from levertune.models.shared_rows import choose_batching
    from levertune.training.callbacks import StepCallback
    from levertune.training.saving import SaveCallback

    refuse_several_processes(os.environ)
    team = current_team()
    num_steps = count_steps(len(rows), config.effective_batch_size)
    if num_steps == 0:
        raise RunError(f"{label}: there is no row to train on, so no step would be taken.")
    check_loggers(config.report_to)
    progress = progress or SilentProgress()
    checkpoints = Checkpoints(
        folder,
        fingerprint,
        step_rows=config.effective_batch_size,
        num_rows=len(rows),
        limit=config.save_total_limit,
        kept=(LOG_FILE, *kept),
    )

    def begin() -> tuple[tuple[Path, int] | None, dict[str, Any], list[dict[str, float]]]:
        checkpoint = checkpoints.find(lambda text: progress.warn(text))
        state = checkpoints.restore(checkpoint[0] if checkpoint else None)
        if on_start is not None:
            on_start(checkpoint[1] if checkpoint else 0)
        return checkpoint, state, read_log(folder)

    with _hold(folder, team, lambda text: progress.warn(text)):
        checkpoint, state, curve = team.lead(begin)
        with borrowed(base, config) as model:
            callback = StepCallback(curve, folder / LOG_FILE, on_step, team)
            batching = choose_batching(model, hardware, pad_id=pad_id)
            request = StopRequest()
            trainer = _make_trainer(
                model,
                rows,
                make_arguments(
                    config,
                    num_steps,
                    checkpoints.staging.parent,
                    hardware,
                    mixed_precision=needs_autocast(model, hardware),
                    run_name=run_name,
                ),
                general_loss_weight=config.general_loss_weight,
                batching=batching,
                checkpoints=checkpoints,
                callbacks=(callback, SaveCallback(config, num_steps, request)),
                warn=lambda text: progress.warn(f"{label}: {text}"),
                team=team,
            )
            started = time.perf_counter()
            with (
                quiet_libraries(),
                batching.engage(model),
                contextlib.nullcontext() if trainer.is_fsdp_enabled else grouped_lora(model),
                progress.stage(label, num_steps) as callback.stage,
                settled_objects(),
                request,
            ):
                callback.stage.advance(checkpoint[1] if checkpoint else 0)
                trainer.resume(checkpoint[0] if checkpoint else None, state)
            if number := team.largest(request.number):
                request.deliver(number)
            summary = TrainSummary(
                steps=trainer.state.global_step,
                num_steps_planned=num_steps,
                seconds=None if checkpoint else time.perf_counter() - started,
                curve=curve,
                peak_memory_bytes=peak_memory_bytes(hardware.device),
                resumed_from=checkpoint[1] if checkpoint else None,
                trainable_parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
                num_processes=team.size,
            )
            weights = gather_adapter(model) if trainer.is_fsdp_enabled else None
            if keep_adapter and team.leads:
                summary = _write_adapter(model, folder, weights, summary)
        if team.leads:  # from here on the adapter alone says that the training is done
            remove_checkpoints(folder)
        return summary


def _hold(
    folder: Path, team: Team, warn: Callable[[str], None]
) -> contextlib.AbstractContextManager[None]:
    """Keep the folder to the first of the processes, and so to all of them."""
    if not team.leads:
        return contextlib.nullcontext()
    return hold_folder(folder, what="a training", warn=warn)


def _make_trainer(
    model: PeftModel,
    rows: Sequence[TokenizedExample],
    arguments: SFTConfig,
    *,
    general_loss_weight: float,
    batching: Batching,
    checkpoints: Checkpoints,
    callbacks: Sequence[TrainerCallback],
    warn: Callable[[str], None],
    team: Team,
) -> StepTrainer:
    from datasets import Dataset
    from transformers.trainer_callback import PrinterCallback

    from levertune.training.trainer import StepTrainer, placeholder_tokenizer

    sources: set[str] = set()
    if team.leads:
        sources = {rows[position].source for position in range(len(rows))} - {TASK_SOURCE}
    with quiet_libraries(), float32_adapter(model):
        trainer = StepTrainer(
            rows=rows,
            source_weights=dict.fromkeys(sources, general_loss_weight),
            task_source=TASK_SOURCE,
            batching=batching,
            checkpoints=checkpoints,
            warn=warn,
            team=team,
            model=model,
            args=arguments,
            train_dataset=Dataset.from_dict({"position": list(range(len(rows)))}),
            processing_class=placeholder_tokenizer(),
            callbacks=list(callbacks),
        )
    # It prints each log line when the bar is off; ours is the only display.
    trainer.remove_callback(PrinterCallback)
    return trainer


def read_summary(folder: Path) -> TrainSummary:
    """The summary of a finished training.

    Raises:
        RunError: If the folder holds none.
    """
    from levertune.results.files import read_json

    return TrainSummary(**read_json(folder / SUMMARY_FILE))


def check_finished(folder: Path, summary: TrainSummary) -> None:
    """Compare the adapter of a finished training with what was written at its end.

    Args:
        folder: The training's folder.
        summary: Its summary; one of an older levertune, without checksums, says nothing.

    Raises:
        DamagedError: If a file is missing, or not as it was.
        RunError: If the system cannot read one.
    """
    compare_files(folder / ADAPTER_FOLDER, summary.adapter_files)


def _write_adapter(
    model: PeftModel,
    folder: Path,
    weights: dict[str, torch.Tensor] | None,
    summary: TrainSummary,
) -> TrainSummary:
    """Write the summary and the PEFT folder, the latter's name last; the summary as written."""
    with write_folder_atomically(folder / ADAPTER_FOLDER) as partial:
        save_adapter(model, partial, state_dict=weights)
        files = {path.name: describe_file(path) for path in sorted(partial.iterdir())}
        summary = replace(summary, adapter_files=files)
        write_json_atomically(folder / SUMMARY_FILE, asdict(summary))
    return summary
