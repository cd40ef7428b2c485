"""Control tokens of a model where none may stand: inside the texts of rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from levertune.data.records import Record, RecordFile
from levertune.data.schemas import SCHEMAS
from levertune.errors import DataError

# Schemas of which one field holds every turn.
_CONVERSATIONS = ("messages", "conversations")


class ControlTokens:
    """The texts that end or open a turn for a model.

    Args:
        model: What the user calls the model.
        texts: The tokens' texts.
    """

    def __init__(self, model: str, texts: Sequence[str]) -> None:
        self.model = model
        self.texts = tuple(texts)
        longest_first = sorted(self.texts, key=len, reverse=True)
        # Of no token nothing is found: an empty pattern would match everywhere.
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def find(self, text: str) -> str | None:
        """The first control token in a text, or None."""
        found = self._pattern.search(text)
        return found.group() if found else None

    def describe_in(self, text: str) -> str | None:
        """What is wrong with a text that holds one, and what to do; None if it holds none."""
        token = self.find(text)
        if token is None:
            return None
        return (
            f"contains the control token {token!r} of {self.model}; it would end or open a turn. "
            "Remove it."
        )

    def require_none_in(self, file: RecordFile) -> None:
        """Refuse a file one of whose rows holds a control token.

        Args:
            file: The rows.

        Raises:
            DataError: If one does; its line and field are named.
        """
        for record in file.records:
            for field, text in _texts_of(record, file.schema):
                if fault := self.describe_in(text):
                    raise DataError(f"{file.path}, {file.unit} {record.line}, {field}: {fault}")

    def leave_out(self, file: RecordFile) -> tuple[RecordFile, list[dict[str, str]]]:
        """A file without the rows that hold a control token.

        Args:
            file: The rows.

        Returns:
            The file, and `{"id", "source", "reason"}` of each row left out.

        Raises:
            DataError: If every row holds one: they were rendered already.
        """
        kept, dropped = [], []
        for record in file.records:
            tokens = (self.find(text) for _, text in _texts_of(record, file.schema))
            token = next(filter(None, tokens), None)
            if token is None:
                kept.append(record)
                continue
            reason = f"contains the control token {token!r}"
            dropped.append({"id": record.id, "source": record.source, "reason": reason})
        if dropped and not kept:
            raise DataError(
                f"{file.path}: all {len(file.records)} rows contain a control token of "
                f"{self.model}; found {dropped[0]['reason'].rpartition(' ')[2]} in row "
                f"{dropped[0]['id']!r}. Give the turns as `messages`, without a chat template."
            )
        return (replace(file, records=tuple(kept)) if dropped else file), dropped


def _texts_of(record: Record, schema: str) -> list[tuple[str, str]]:
    """The texts of a row that are rendered, each with what its field is called."""
    columns = SCHEMAS.get(schema)
    if schema in _CONVERSATIONS:
        prompt = completion = f"field {schema!r}"
    elif columns is None or schema == "instruction/output":  # a prompt of several columns
        prompt = "the prompt"
        completion = f"field {columns[-1]!r}" if columns else "the completion"
    else:
        prompt, completion = f"field {columns[0]!r}", f"field {columns[-1]!r}"
    system = prompt if schema in _CONVERSATIONS else "field 'system'"
    return [
        *((system if turn.role == "system" else prompt, turn.content) for turn in record.prompt),
        (completion, record.completion),
    ]
