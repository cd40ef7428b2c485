"""How a user calls the settings that say how rows are read, and hints that work when typed."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# What people call these columns, the clearest names first.
_PROMPT_NAMES = (
    "prompt", "instruction", "question", "query", "input", "text", "message", "sentence",
    "utterance", "content", "body", "source", "review", "comment", "document", "title",
)  # fmt: skip
_COMPLETION_NAMES = (
    "completion", "response", "answer", "output", "label", "labels", "target", "category", "class",
    "intent", "code", "tag", "summary", "translation", "reply", "result",
)  # fmt: skip
_UNSAFE_IN_DOUBLE_QUOTES = frozenset('"$`\\!')


@dataclass(frozen=True, slots=True)
class ReadingKeys:
    """The settings as they are typed; None where there is none.

    Args:
        prompt: What names the template of the prompt: a recipe's key, or an option.
        completion: What names that of the completion.
        encoding: What names the encoding of a text file.
    """

    prompt: str | None = None
    completion: str | None = None
    encoding: str | None = None

    def suggest_encoding(self, name: str | None) -> str:
        """Advice for a file in another encoding.

        Args:
            name: The encoding it seems to be in, or None.
        """
        if self.encoding is None or name is None:
            return "Save it as UTF-8."
        return f"Save it as UTF-8, or name its encoding, as {self.encoding}={name}."

    def suggest_prompt(self, row: Mapping[str, Any]) -> str:
        """Settings that say which column the prompt is; empty where no hint can be given."""
        return self._suggest(row, (("prompt", self.prompt, _PROMPT_NAMES),))

    def suggest_completion(self, row: Mapping[str, Any], taken: Sequence[str]) -> str:
        """The same for the completion, beside a prompt made of the columns `taken`."""
        left = {name: value for name, value in row.items() if name not in taken}
        return self._suggest(left, (("completion", self.completion, _COMPLETION_NAMES),))

    def suggest_both(self, row: Mapping[str, Any]) -> str:
        """Settings that say which columns prompt and completion are, or an empty text."""
        return self._suggest(
            row,
            (
                # Found first: of two columns, the one that looks like a label is no prompt.
                ("completion", self.completion, _COMPLETION_NAMES),
                ("prompt", self.prompt, _PROMPT_NAMES),
            ),
        )

    def _suggest(
        self, row: Mapping[str, Any], roles: Sequence[tuple[str, str | None, Sequence[str]]]
    ) -> str:
        left = [name for name, value in row.items() if _can_fill(name, value)]
        if len(left) < len(roles) or any(key is None for _, key, _ in roles):
            return ""
        chosen = {}
        for role, key, names in roles:
            known = [n for wanted in names for n in left if n.lower() == wanted]
            fallback = left[-1] if role == "completion" else left[0]
            chosen[role] = typed(str(key), f"{{{known[0] if known else fallback}}}")
            left.remove(known[0] if known else fallback)
        return " ".join(chosen[role] for role in ("prompt", "completion") if role in chosen)


TASK_KEYS = ReadingKeys("task.prompt", "task.completion", "task.encoding")


def source_keys(index: int) -> ReadingKeys:
    """The settings of the general source at this place in a recipe's list."""
    place = f"general.sources.{index}"
    return ReadingKeys(f"{place}.prompt", f"{place}.completion", f"{place}.encoding")


def typed(key: str, value: str) -> str:
    """A setting as it is typed in a shell, `task.prompt="{text}"` or `--prompt "{text}"`."""
    is_safe = not _UNSAFE_IN_DOUBLE_QUOTES.intersection(value)
    quoted = f'"{value}"' if is_safe else shlex.quote(value)
    return f"{key}{' ' if key.startswith('--') else '='}{quoted}"


def _can_fill(name: str, value: Any) -> bool:
    """Whether a template with this column alone gives a text."""
    if not name.strip() or set(name) & set("{}") or name.lower() == "id":
        return False
    return isinstance(value, (str, int, float)) and bool(str(value).strip())
