"""Chat templates: Jinja programs that come with a model, run as transformers runs them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from levertune.data.records import Message
from levertune.errors import ModelError

PLAIN_TEMPLATE = (
    "{{ start_text }}{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] }}\n\n"
    "{% elif message['role'] == 'user' %}Input: {{ message['content'] }}\n"
    "{% else %}Output: {{ message['content'] }}{{ eos_token }}\n{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}Output:{% endif %}"
)
"""Used for base models that ship no chat template. The answer follows `Output:` after a space.

`start_text` is the token the tokenizer itself puts before a text (often `bos_token`), or nothing.
"""

_GENERATION_TAG = re.compile(r"(\{%[-+]?)\s*(end)?generation\s*([-+]?%\})")


class ChatTemplate:
    """A compiled template, sandboxed, since it comes with a downloaded model.

    Args:
        source: Jinja source.
        name: How errors call the model.

    Raises:
        ModelError: If the source is no sound template.
    """

    def __init__(self, source: str, name: str) -> None:
        from jinja2.exceptions import TemplateError
        from jinja2.ext import loopcontrols
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        self.name = name
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
        )
        environment.globals["raise_exception"] = _raise_exception
        environment.globals["strftime_now"] = _strftime_now
        environment.filters["tojson"] = _to_json
        # `{% generation %}` marks the answer for other trainers; our labels do not need it. The
        # block put in its place keeps its white space control.
        source = _GENERATION_TAG.sub(
            lambda tag: f"{tag[1]} {'endif' if tag[2] else 'if true'} {tag[3]}", source
        )
        try:
            self._compiled = environment.from_string(source)
        except TemplateError as error:
            raise ModelError(
                f"{name}: its chat template is broken; {one_line(error)}. Mend "
                "chat_template.jinja or tokenizer_config.json."
            ) from error

    def render(
        self, messages: Sequence[Message], *, add_generation_prompt: bool, **variables: str
    ) -> str:
        """Write a conversation as one text.

        Args:
            messages: The turns.
            add_generation_prompt: Whether to open the assistant's turn at the end.
            **variables: Special tokens, by their names in the tokenizer's configuration.

        Raises:
            ModelError: If the template fails on these turns.
        """
        try:
            return self._compiled.render(
                messages=[{"role": m.role, "content": m.content} for m in messages],
                add_generation_prompt=add_generation_prompt,
                tools=None,
                documents=None,
                **variables,
            )
        except Exception as error:  # a template is a program: any fault in it is the model's
            raise ModelError(
                f"{self.name}: its chat template refuses these turns "
                f"({[m.role for m in messages]}); {one_line(error)}. Reshape the rows, or use "
                "another model."
            ) from error


def one_line(error: Exception) -> str:
    """The message of a library's error on one line, without its full stop."""
    return " ".join(str(error).split()).rstrip(".")


def _raise_exception(message: str) -> None:
    from jinja2.exceptions import TemplateError

    raise TemplateError(message)


def _strftime_now(pattern: str) -> str:
    """The date a template may ask for: fixed, since a prompt that changes daily trains nothing."""
    import datetime

    return datetime.date(2024, 7, 26).strftime(pattern)


def _to_json(value: Any, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=False, **options)
