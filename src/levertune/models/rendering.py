"""The one renderer: examples to text and token ids, for training, evaluation, chat and `check`.

It reads the tokenizer's own files (`tokenizer.json`, the chat template) with `tokenizers` and
`jinja2`, so that nothing here imports torch. A test holds it equal to transformers' rendering.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from levertune.anchors.anchor import Example
from levertune.data.records import Message
from levertune.errors import DataError, ModelError
from levertune.models.templates import PLAIN_TEMPLATE, ChatTemplate
from levertune.models.text_tokenizer import TextTokenizer
from levertune.models.tokenizer_files import read_tokenizer_files

if TYPE_CHECKING:
    from tokenizers import Tokenizer

IGNORE_INDEX = -100
"""Label of positions outside the loss (PyTorch's `ignore_index`)."""

_SENTINEL = "\ue000levertune-completion\ue000"


@dataclass(frozen=True, slots=True)
class Rendered:
    """An example as text.

    Args:
        prompt: Everything the model is given, the answer's lead-in included.
        completion: What it should produce.
        end: The end-of-turn text after the completion; supervised too, so that it learns to stop.
    """

    prompt: str
    completion: str
    end: str


@dataclass(frozen=True, slots=True)
class TokenizedExample:
    """An example as token ids, ready for a batch.

    Args:
        id: Id of the record.
        source: Source of the record.
        input_ids: Prompt, completion and end, as ids.
        labels: The same length; `IGNORE_INDEX` on the prompt. The model shifts them.
        num_end: How many of the last labels are the end of the turn.
    """

    id: str
    source: str
    input_ids: tuple[int, ...]
    labels: tuple[int, ...]
    num_end: int

    @property
    def num_supervised(self) -> int:
        """Tokens the loss is taken on."""
        return sum(label != IGNORE_INDEX for label in self.labels)

    @property
    def prompt_ids(self) -> tuple[int, ...]:
        """The ids before the completion."""
        return self.input_ids[: len(self.input_ids) - self.num_supervised]


class ChatTokenizer(TextTokenizer):
    """A tokenizer with its chat template.

    Args:
        tokenizer: The tokenizer itself.
        chat_template: Jinja source, or None for a base model (then `PLAIN_TEMPLATE` is used).
        special_tokens: Texts of `bos_token`, `eos_token`, `pad_token`, `unk_token` where known.
        name: How errors call it.
        num_embeddings: Tokens that the model itself has, where known.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        chat_template: str | None,
        special_tokens: Mapping[str, str],
        name: str = "tokenizer",
        num_embeddings: int | None = None,
    ) -> None:
        super().__init__(tokenizer, special_tokens, name, num_embeddings)
        self.has_chat_template = chat_template is not None
        self.chat_template = chat_template if chat_template is not None else PLAIN_TEMPLATE

    @classmethod
    def from_folder(cls, folder: str | Path, name: str | None = None) -> ChatTokenizer:
        """Read a tokenizer from a model folder.

        Args:
            folder: Folder with `tokenizer.json` and, where there is one, the chat template in
                `chat_template.jinja` or `tokenizer_config.json`.
            name: How errors call the model; None for the folder's name.

        Raises:
            ModelError: If the folder has no readable `tokenizer.json`.
        """
        folder = Path(folder)
        files = read_tokenizer_files(folder)
        return cls(
            files.tokenizer,
            files.chat_template,
            files.special_tokens,
            name=name or folder.name,
            num_embeddings=files.num_embeddings,
        )

    @cached_property
    def end_ids(self) -> tuple[int, ...]:
        """Ids of the end-of-turn text."""
        return tuple(self.encode_after("\n", self.end_text))

    @cached_property
    def stop_ids(self) -> tuple[int, ...]:
        """Ids any of which ends a generation: end of turn and end of sequence."""
        ids = [self.end_ids[-1]]  # the control token; a template may put a space before it
        eos = self.tokenizer.token_to_id(self.special_tokens.get("eos_token", ""))
        if eos is not None and eos not in ids:
            ids.append(eos)
        return tuple(ids)

    @cached_property
    def end_text(self) -> str:
        """What the template writes right after an answer, up to the first control token.

        Raises:
            ModelError: If neither the template nor the tokenizer's `eos_token` ends a turn.
        """
        turns = (Message("user", "a"), Message("assistant", _SENTINEL))
        tail = self._render(turns, add_generation_prompt=False).split(_SENTINEL)[-1]
        ends = [(tail.find(t), t) for t in self.control_tokens.texts if t in tail]
        if ends:
            position, token = min(ends)
            return tail[: position + len(token)]
        if eos := self.special_tokens.get("eos_token"):
            return eos
        raise ModelError(
            f"{self.name}: neither the chat template nor an eos_token ends an answer. Set "
            "eos_token in tokenizer_config.json."
        )

    def render_prompt(self, messages: Sequence[Message], lead_in: str = "") -> str:
        """The text the model is given before its answer.

        Args:
            messages: Turns, the last of them the user's.
            lead_in: Text put at the start of the answer. Spaces at its end move to the completion,
                where tokenizers expect them.
        """
        opening = self._answer_opening
        prompt = self._render(messages, add_generation_prompt=True)
        if not lead_in:
            return prompt + opening.rstrip(" ")
        return prompt + opening + lead_in.rstrip(" ")

    def render(self, example: Example) -> Rendered:
        """An example as prompt, completion and end.

        The three together are what the template writes for the whole conversation, up to the end of
        the last turn. The prompt of a `text` row is empty, or the token that opens every text.
        """
        if not example.messages:
            bos = self.special_tokens.get("bos_token", "") if not self.has_chat_template else ""
            eos = self.special_tokens.get("eos_token", "")
            return Rendered(self.start_text or bos, example.completion, eos)
        prompt = self.render_prompt(example.messages, example.lead_in)
        if example.lead_in:
            gap = "" if prompt[-1:].isspace() else " "
        else:
            gap = " " * (len(self._answer_opening) - len(self._answer_opening.rstrip(" ")))
        return Rendered(prompt, gap + example.completion, self.end_text)

    def tokenize(self, example: Example) -> TokenizedExample:
        """An example as ids and labels, nothing cut.

        Prompt and completion are encoded apart: generation starts from exactly these prompt ids, so
        no merge across the seam can make training and generation differ.

        Raises:
            DataError: If a turn or the completion contains one of the model's control tokens, or
                the row a token that the model does not have.
        """
        self._refuse_control_tokens(example, (example.completion,))
        rendered = self.render(example)
        prompt = self.encode(rendered.prompt)
        if example.messages:
            completion = self.encode_after(rendered.prompt, rendered.completion)
        else:
            completion = self.encode(rendered.completion)
        end = self.encode_after("\n", rendered.end)
        supervised = completion + end
        self._refuse_unknown(example, (*prompt, *supervised))
        return TokenizedExample(
            id=example.id,
            source=example.source,
            input_ids=(*prompt, *supervised),
            labels=(*([IGNORE_INDEX] * len(prompt)), *supervised),
            num_end=len(end),
        )

    def encode_prompt(self, example: Example) -> list[int]:
        """The ids a generation starts from: those `tokenize` puts before the completion.

        Raises:
            DataError: If a turn contains one of the model's control tokens, or the prompt a token
                that the model does not have.
        """
        self._refuse_control_tokens(example, ())
        ids = self.encode(self.render_prompt(example.messages, example.lead_in))
        self._refuse_unknown(example, ids)
        return ids

    def _refuse_unknown(self, example: Example, ids: Sequence[int]) -> None:
        highest = max(ids, default=0)
        if self.is_unknown(highest):
            raise DataError(
                f"{example.source} row {example.id!r}: comes to a token that {self.name} does not "
                f"have; found {self.tokenizer.id_to_token(highest)!r}, id {highest} of "
                f"{self.num_embeddings}. Use the tokenizer the model was trained with, or take "
                "the text out of the row."
            )

    def _refuse_control_tokens(self, example: Example, more: Sequence[str]) -> None:
        for text in (*(m.content for m in example.messages), example.lead_in, *more):
            if fault := self.control_tokens.describe_in(text):
                raise DataError(f"{example.source} row {example.id!r}: {fault}")

    @cached_property
    def end_token(self) -> str:
        """The control token that ends an answer: the last of `end_ids`."""
        return str(self.tokenizer.id_to_token(self.end_ids[-1]))

    @property
    def portable_template(self) -> str:
        """The chat template as other programs render it, which know of no `start_text`."""
        if self.has_chat_template:
            return self.chat_template
        return f"{{% set start_text = {json.dumps(self.start_text)} %}}{self.chat_template}"

    @cached_property
    def has_system_role(self) -> bool:
        """Whether the template writes a system turn; some refuse one, others pass it over."""
        turns = (Message("system", _SENTINEL), Message("user", "a"))
        try:
            return _SENTINEL in self._write(turns, add_generation_prompt=True)
        except ModelError:
            return False

    def place_system_turn(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """The turns as the template can write them.

        Where it has no place for a system turn, the text of one opens the first user turn, as some
        templates do themselves; otherwise rows would be refused, or lose their system turn unseen.

        Args:
            messages: The turns of a row.
        """
        if len(messages) < 2 or messages[0].role != "system" or self.has_system_role:
            return tuple(messages)
        system, first, *others = messages
        joined = Message(first.role, f"{system.content}\n\n{first.content}")
        return (joined, *others)

    @cached_property
    def _answer_opening(self) -> str:
        """What the template writes between its generation prompt and an answer.

        A space for some, an empty block of thoughts for others, mostly nothing. Where the
        generation prompt does not open the turn as it is written later, nothing is known.
        """
        user = Message("user", "a")
        prompt = self._render((user,), add_generation_prompt=True)
        turns = (user, Message("assistant", _SENTINEL))
        before = self._render(turns, add_generation_prompt=False).split(_SENTINEL)[0]
        return before[len(prompt) :] if before.startswith(prompt) else ""

    @cached_property
    def _template(self) -> ChatTemplate:
        return ChatTemplate(self.chat_template, self.name)

    def _render(self, messages: Sequence[Message], *, add_generation_prompt: bool) -> str:
        turns = self.place_system_turn(messages)
        return self._write(turns, add_generation_prompt=add_generation_prompt)

    def _write(self, messages: Sequence[Message], *, add_generation_prompt: bool) -> str:
        return self._template.render(
            messages,
            add_generation_prompt=add_generation_prompt,
            start_text=self.start_text,
            **self.special_tokens,
        )
