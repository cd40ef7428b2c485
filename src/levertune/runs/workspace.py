"""The model side of a run: tokenizer, hardware and base weights, each loaded when first needed."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from levertune.anchors.anchor import Example
from levertune.data.records import Record
from levertune.errors import DataError, RecipeError
from levertune.models.context_length import context_length, read_context_length
from levertune.models.quantization import QUANTIZATION_KEY, require_device
from levertune.models.rendering import ChatTokenizer, TokenizedExample
from levertune.models.resolve import (
    ModelLocation,
    fingerprint_model,
    resolve_model,
    resolve_tokenizer,
)
from levertune.models.tokenizer_files import TEMPLATE_FILE
from levertune.recipes.recipe import Recipe

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from levertune.models.hardware import Hardware
    from levertune.selection.encoder import Encoder


class Workspace:
    """Loads each part once and keeps it for all cells of a run.

    Args:
        recipe: The recipe; only its `model` section and `training.max_length` are read.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._settings = recipe.model
        self._max_length = recipe.training.max_length
        self._attention: str | None = None
        self._base: PreTrainedModel | None = None

    @cached_property
    def tokenizer_location(self) -> ModelLocation:
        """Where the tokenizer's files are; the weights need not be there."""
        name, revision = self._settings.model_name_or_path, self._settings.revision
        return resolve_tokenizer(name, revision=revision)

    @cached_property
    def tokenizer(self) -> ChatTokenizer:
        """The tokenizer; needs no torch."""
        location = self.tokenizer_location
        return ChatTokenizer.from_folder(location.folder, location.name)

    @cached_property
    def tokenizer_hash(self) -> str:
        """Hash of vocabulary, merges, template and special tokens."""
        tokenizer = self.tokenizer
        parts = (
            tokenizer.tokenizer.to_str(),
            tokenizer.chat_template,
            dict(sorted(tokenizer.special_tokens.items())),
        )
        return hashlib.sha256(json.dumps(parts).encode("ascii")).hexdigest()

    @cached_property
    def location(self) -> ModelLocation:
        """Where the base model's files are."""
        name, revision = self._settings.model_name_or_path, self._settings.revision
        return resolve_model(name, revision=revision)

    @cached_property
    def context_length(self) -> int | None:
        """Most tokens the base model reads; None where its configuration does not say."""
        return read_context_length(self.location.folder)

    @cached_property
    def model_hash(self) -> str:
        """Fingerprint of the base model."""
        settings = self._settings
        return fingerprint_model(
            self.location,
            trust_remote_code=settings.trust_remote_code,
            quantization=settings.quantization,
        )

    @property
    def quantization(self) -> str | None:
        """What the base model's linear layers are kept in; None in the hardware's precision."""
        return self._settings.quantization

    @cached_property
    def weight_bytes(self) -> int:
        """Size of the base weights on disk, which quantised ones pass through memory from."""
        return sum(path.stat().st_size for path in self.location.folder.glob("*.safetensors"))

    @cached_property
    def hardware(self) -> Hardware:
        """Device and precision."""
        from levertune.models.hardware import choose_hardware

        hardware = choose_hardware(self._settings.dtype)
        if self.quantization is not None:
            require_device(self.quantization, hardware.device, QUANTIZATION_KEY)
        return hardware

    @cached_property
    def memory_bytes(self) -> int:
        """Memory of the device: its own, or the machine's."""
        from levertune.models.hardware import memory_bytes

        return memory_bytes(self.hardware.device)

    def base(self, longest_row: int | None = None) -> PreTrainedModel:
        """The base model, without adapter.

        Args:
            longest_row: Longest row to train on, in tokens; None for evaluation.

        Raises:
            RecipeError: If the model does not read rows of that length.
        """
        from levertune.models.hardware import choose_attention
        from levertune.models.load import load_base_model, set_attention

        attention = choose_attention(self.hardware, longest_row) if longest_row else "sdpa"
        if self._base is None:
            self._base = load_base_model(
                self.location,
                self.hardware,
                attention=attention,
                trust_remote_code=self._settings.trust_remote_code,
                quantization=self.quantization,
            )
            self._attention = attention
        elif attention != self._attention:
            set_attention(self._base, attention)
            self._attention = attention
        limit = context_length(self._base)
        if longest_row and limit and longest_row > limit:
            raise RecipeError(
                f"training.max_length: {self.location.name} reads {limit} tokens; found a row of "
                f"{longest_row}. Set training.max_length={limit}, and longer rows are listed."
            )
        return self._base

    @cached_property
    def encoder(self) -> Encoder:
        """Gives rows the vectors relevance is judged by; kept in levertune's cache."""
        from levertune.models.embedded import cache_folder
        from levertune.selection.encoder import Encoder

        return Encoder(
            self.base,
            self.tokenizer,
            self.hardware,
            identity=self.model_hash + self.tokenizer_hash,
            folder=cache_folder() / "states",
        )

    def forget_base(self) -> None:
        """Drop the base model; after a fault inside a training it may still carry an adapter."""
        from levertune.models.memory import release_unused_memory

        self._base = None
        release_unused_memory()

    def write_tokenizer(self, folder: Path) -> None:
        """Put the tokenizer's own files beside an adapter.

        Where a base model has no chat template, the one its rows were written by is added: other
        programs than levertune know no other way to ask it.

        Args:
            folder: The adapter's folder.
        """
        names = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
                 TEMPLATE_FILE)  # fmt: skip
        for file in (self.location.folder / name for name in names):
            if file.is_file():
                shutil.copyfile(file, folder / file.name)
        if not self.tokenizer.has_chat_template:
            text = self.tokenizer.portable_template
            (folder / TEMPLATE_FILE).write_text(text, encoding="utf-8")

    def tokenize_within(
        self, examples: Sequence[Example], max_length: int
    ) -> tuple[list[TokenizedExample | None], list[dict[str, str]]]:
        """Tokenize examples; one too long, or with a control token, becomes None and is listed.

        Args:
            examples: The examples.
            max_length: Most tokens of a row.

        Returns:
            One entry an example, and `{"id", "source", "reason"}` of each that is None.
        """
        rows: list[TokenizedExample | None] = []
        dropped = []
        for example in examples:
            try:
                row = self.tokenizer.tokenize(example)
            except DataError as error:
                if example.source == "task":
                    raise
                reason = str(error)
            else:
                if len(row.input_ids) <= max_length:
                    rows.append(row)
                    continue
                reason = f"{len(row.input_ids)} tokens, more than max_length {max_length}"
            rows.append(None)
            dropped.append({"id": example.id, "source": example.source, "reason": reason})
        return rows, dropped

    def count_record(self, record: Record) -> int:
        """Tokens of a general row as it is trained on.

        None if it is too long or holds a control token: `tokenize_within` leaves such a row out and
        lists it, so it must not use up an amount in tokens.
        """
        from levertune.anchors.anchor import plain_example

        try:
            size = len(self.tokenizer.tokenize(plain_example(record)).input_ids)
        except DataError:
            return 0
        return size if size <= self._max_length else 0
