"""What an export is made from: the rows in training order, and the settings to train them with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from levertune.anchors.anchor import Example
from levertune.errors import RecipeError


@dataclass(frozen=True, slots=True)
class ExportRow:
    """What stands at one position of the training order.

    Args:
        position: The position, counted from 0.
        exposure: How often this row came before.
        example: The row, anchored where this exposure is.
        prompt_text: What the model is given, as levertune renders it.
        completion_text: What it is to produce, the end of its turn included.
    """

    position: int
    exposure: int
    example: Example
    prompt_text: str
    completion_text: str

    @property
    def turns(self) -> list[dict[str, str]]:
        """The turns before the answer."""
        return [{"role": turn.role, "content": turn.content} for turn in self.example.messages]

    @property
    def conversation(self) -> list[dict[str, str]]:
        """All turns, the answer last. Only for rows that `find_plain_reason` does not name."""
        return [*self.turns, {"role": "assistant", "content": self.example.completion}]

    @property
    def origin(self) -> dict[str, Any]:
        """Where the row comes from, to put beside it."""
        return {
            "position": self.position,
            "source": self.example.source,
            "id": self.example.id,
            "exposure": self.exposure,
            "anchored": self.example.is_anchored,
        }


@dataclass(frozen=True, slots=True)
class TrainerSettings:
    """How another trainer is to train, named as in Hugging Face's libraries.

    Args:
        model: Name on the Hub, or a folder.
        revision: Branch, tag or commit on the Hub.
        trust_remote_code: Whether the recipe allows code that comes with the model.
        dtype: `auto`, `float32`, `bfloat16` or `float16`.
        learning_rate: Highest learning rate of the schedule.
        effective_batch_size: Rows a step.
        warmup_steps: Steps over which the learning rate rises.
        lr_scheduler_type: Schedule after them.
        weight_decay: AdamW's weight decay.
        max_grad_norm: Gradient clipping.
        lora_r: Rank of the adapter.
        lora_alpha: Scale of the adapter.
        lora_dropout: Dropout on the adapter's input.
        lora_target_modules: `all-linear`, or module names.
        max_length: Most tokens in a row.
        seed: Seed of the adapter's start.
        logging_steps: Steps between two lines of the log.
        gradient_checkpointing: Whether to compute activations again; None leaves it to the trainer.
        general_loss_weight: Weight of a general token in the loss, beside 1 for a task token.
    """

    model: str
    revision: str | None
    trust_remote_code: bool
    dtype: str
    learning_rate: float
    effective_batch_size: int
    warmup_steps: int
    lr_scheduler_type: str
    weight_decay: float
    max_grad_norm: float
    lora_r: int
    lora_alpha: int
    lora_dropout: float
    lora_target_modules: str | tuple[str, ...]
    max_length: int
    seed: int
    logging_steps: int
    gradient_checkpointing: bool | None
    general_loss_weight: float = 1.0

    @property
    def target_modules(self) -> list[str]:
        """The adapter's layers as a list; `all-linear` may be its one item."""
        targets = self.lora_target_modules
        return [targets] if isinstance(targets, str) else list(targets)

    @property
    def half_precision(self) -> dict[str, bool]:
        """`bf16` and `fp16`; `auto` is bfloat16, which every current accelerator has."""
        return {"bf16": self.dtype in ("auto", "bfloat16"), "fp16": self.dtype == "float16"}

    @property
    def weights_dtype(self) -> str:
        """Number format of the frozen weights."""
        return "bfloat16" if self.dtype == "auto" else self.dtype

    @property
    def optimizer(self) -> dict[str, Any]:
        """Options that all four trainers call by one name."""
        return {
            "learning_rate": self.learning_rate,
            "warmup_steps": self.warmup_steps,
            "weight_decay": self.weight_decay,
            "max_grad_norm": self.max_grad_norm,
            "logging_steps": self.logging_steps,
            "seed": self.seed,
        }


@dataclass(frozen=True, slots=True)
class TemplateFacts:
    """What an export must know of the model's tokenizer.

    Args:
        has_chat_template: Whether it brings a chat template of its own.
        start_text: The token it puts before every text by itself, or nothing.
        end_token: The control token that ends an answer.
        eos_token: Its end of sequence, or nothing.
    """

    has_chat_template: bool
    start_text: str
    end_token: str
    eos_token: str


@dataclass(frozen=True, slots=True)
class Export:
    """One mixture, ready to be written for any trainer.

    Args:
        rows: The rows in training order.
        settings: How to train them.
        template: The tokenizer's facts.
        facts: What the folder's README says of the mixture: name and value.
        notes: Sentences a reader of the README should know.
    """

    rows: Sequence[ExportRow]
    settings: TrainerSettings
    template: TemplateFacts
    facts: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[ExportRow]:
        return iter(self.rows)


def find_plain_reason(export: Export) -> str | None:
    """Why the rows cannot all be conversations through the trainer's chat template.

    Args:
        export: The mixture.

    Returns:
        The reason in a few words; None if they can.
    """
    if not export.template.has_chat_template:
        return "the model has no chat template"
    for row in export:
        where = f"{row.example.source} row {row.example.id!r}"
        if not row.example.messages:
            return f"{where} is a plain text without a prompt"
        if row.example.lead_in:
            return f"{where} begins its answer with a lead-in, which is no part of the loss"
    return None


def refuse_loss_weight(export: Export, trainer: str) -> None:
    """Refuse a recipe that weighs general tokens: no other trainer has that by row.

    Args:
        export: The mixture.
        trainer: What to call the trainer.

    Raises:
        RecipeError: If `general.loss_weight` is not 1 and there are general rows.
    """
    if any(row.example.source != "task" for row in export):
        require_equal_weights(export.settings.general_loss_weight, trainer)


def require_equal_weights(weight: float, trainer: str) -> None:
    """Refuse a weight of general tokens other than 1.

    Args:
        weight: `general.loss_weight`.
        trainer: What to call the trainer.

    Raises:
        RecipeError: If it is not 1.
    """
    if weight != 1.0:
        raise RecipeError(
            f"general.loss_weight: {trainer} cannot weigh the loss of some rows; found {weight}. "
            "Set it to 1, or export with --to jsonl or --to parquet, which name each row's source."
        )
