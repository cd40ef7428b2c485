"""The schemas people already have: which one a row follows, and its turns and completion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from levertune.data.reading_keys import ReadingKeys, typed
from levertune.data.records import Message, Role
from levertune.data.text_files import json_type
from levertune.errors import DataError

# Schema name -> the columns it needs, the one that holds the completion last.
SCHEMAS: dict[str, tuple[str, ...]] = {
    "messages": ("messages",),
    "conversations": ("conversations",),
    "prompt/completion": ("prompt", "completion"),
    "prompt/response": ("prompt", "response"),
    "instruction/output": ("instruction", "output"),
    "query/response": ("query", "response"),
    "question/answer": ("question", "answer"),
    "input/output": ("input", "output"),
    "text": ("text",),
}
PROMPT_COLUMNS = ("prompt", "instruction", "query", "question", "input")
COMPLETION_COLUMNS = ("completion", "response", "output", "answer")
OPTIONAL_COLUMNS = ("system", "id", "references", "task", "family", "label")
_KNOWN_COLUMNS = frozenset(
    [*(name for columns in SCHEMAS.values() for name in columns), *OPTIONAL_COLUMNS]
)
# A schema that another one contains or is derived from gives way to it.
_GIVES_WAY = {"input/output": ("instruction/output",), "text": tuple(SCHEMAS)[:-1]}
_ROLES: dict[str, Role] = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
}


@dataclass(frozen=True, slots=True)
class Columns:
    """What the columns of a row are.

    Args:
        schema: Name of the schema, or None if the columns follow none.
        actual: The column's own spelling for each known name (`Prompt` for `prompt`).
        rivals: All schemas the columns fit, where that is more than one.
    """

    schema: str | None
    actual: Mapping[str, str]
    rivals: tuple[str, ...] = ()

    def find(self, known: str, row: Mapping[str, Any]) -> tuple[str, Any]:
        """The spelling of a known column and its value in `row`, None where there is none."""
        name = self.actual.get(known, known)
        return name, row.get(name)


def recognise_columns(names: Iterable[str]) -> Columns:
    """Recognise the schema that column names follow, capitals aside.

    Args:
        names: The column names of one row.

    Returns:
        The schema and the spelling of its columns.
    """
    actual: dict[str, str] = {}
    for name in names:
        known = name if name in _KNOWN_COLUMNS else name.lower()
        if known in _KNOWN_COLUMNS and (known not in actual or name == known):
            actual[known] = name
    fitting = [name for name, needed in SCHEMAS.items() if all(c in actual for c in needed)]
    fitting = [name for name in fitting if not any(o in fitting for o in _GIVES_WAY.get(name, ()))]
    if len(fitting) == 1:
        return Columns(fitting[0], actual)
    return Columns(None, actual, tuple(fitting))


def accepted_schemas(*, allow_text: bool) -> str:
    """The schemas a user may bring, for error messages."""
    return ", ".join(name for name in SCHEMAS if allow_text or name != "text")


def require_text(value: Any, where: str, field: str, *, key: str | None = None) -> str:
    """A field's value, which must be sound text.

    Args:
        value: The value found.
        where: The row, for error messages.
        field: The field, for error messages.
        key: The setting whose template can turn a number into text, if there is one.

    Returns:
        The value.

    Raises:
        DataError: If it is no string, or holds a lone surrogate or a NUL character.
    """
    if not isinstance(value, str):
        advice = "Write it as text."
        if key is not None and isinstance(value, (int, float)):
            advice = f"Write it as text, or make it text with {typed(key, f'{{{field}}}')}."
        raise DataError(
            f"{where}: field {field!r} must be text; found {json_type(value)}. {advice}"
        )
    if "\0" in value:
        raise DataError(
            f"{where}: field {field!r} holds a NUL character; found {value[:40]!r}. Remove it."
        )
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise DataError(
                f"{where}: field {field!r} holds half a character (a lone surrogate); found "
                f"{value[error.start]!r}. Write it again as UTF-8."
            ) from None
    return value


def require_filled(value: Any, where: str, field: str, *, key: str | None = None) -> str:
    """A field's value, which must be sound text and not blank.

    Args:
        value: The value found.
        where: The row, for error messages.
        field: The field, for error messages.
        key: The setting whose template can turn a number into text, if there is one.

    Returns:
        The value.

    Raises:
        DataError: If it is no sound text, or blank.
    """
    text = require_text(value, where, field, key=key)
    if not text or text.isspace():
        raise DataError(
            f"{where}: field {field!r} is blank; found {text[:20]!r}. Fill it or remove the row."
        )
    return text


def read_turns(
    row: Mapping[str, Any], columns: Columns, where: str, keys: ReadingKeys
) -> tuple[tuple[Message, ...], str]:
    """The turns before the completion, and the completion, of a row with a known schema.

    Args:
        row: The row; its fields hold no null.
        columns: Its columns, schema recognised.
        where: The row, for error messages.
        keys: What the user calls the settings that could read it otherwise.

    Returns:
        Turns (none for a `text` row) and completion.

    Raises:
        DataError: If a field has a wrong type, is blank, or the turns are out of order.
    """
    assert columns.schema is not None
    names = [columns.actual[name] for name in SCHEMAS[columns.schema]]
    if columns.schema == "text":
        return (), require_filled(row[names[0]], where, names[0])
    if columns.schema in ("messages", "conversations"):
        turns = _read_messages(row[names[0]], where, names[0])
        if not turns or turns[-1].role != "assistant":
            found = f"a last turn of {turns[-1].role!r}" if turns else "no turn"
            raise DataError(
                f"{where}: field {names[0]!r} must end with the assistant's turn, which is the "
                f"completion; found {found}. Add the answer or remove the row."
            )
        prompt, completion = turns[:-1], turns[-1].content
    else:
        prompt = _read_prompt(row, columns, where, names[0], keys.prompt)
        completion = _read_completion(row[names[1]], where, names[1], keys.completion)
    return _with_system(prompt, row, columns, where, names[0]), completion


def read_prompt_turns(
    row: Mapping[str, Any], columns: Columns, where: str, keys: ReadingKeys
) -> tuple[Message, ...]:
    """The turns of a row that needs no completion; one that is there is passed over.

    Args:
        row: The row; its fields hold no null.
        columns: Its columns.
        where: The row, for error messages.
        keys: What the user calls the settings that could read it otherwise.

    Returns:
        The turns, the last of them the user's.

    Raises:
        DataError: If no one column can be the prompt, or its turns are unusable.
    """
    present = [n for n in ("messages", "conversations", *PROMPT_COLUMNS) if n in columns.actual]
    if columns.schema not in (None, "text"):
        present = [SCHEMAS[str(columns.schema)][0]]
    elif "instruction" in present and "input" in present:
        present.remove("input")  # it belongs to the instruction
    if len(present) != 1:
        hint = keys.suggest_prompt({columns.actual[name]: "-" for name in present} or row)
        raise DataError(
            f"{where}: cannot tell which column is the prompt; found {sorted(map(str, row))}. "
            f"{f'Name it, as {hint}.' if hint else 'Call it prompt.'}"
        )
    field = columns.actual[present[0]]
    if present[0] in ("messages", "conversations"):
        turns = _read_messages(row[field], where, field)
        if turns and turns[-1].role == "assistant":
            turns = turns[:-1]
    else:
        schema = "instruction/output" if present[0] == "instruction" else columns.schema
        turns = _read_prompt(row, Columns(schema, columns.actual), where, field, keys.prompt)
    return _with_system(turns, row, columns, where, field)


def prompt_from_text(
    text: str, row: Mapping[str, Any], columns: Columns, where: str
) -> tuple[Message, ...]:
    """The turns of a prompt that a template filled, with the row's system text.

    Args:
        text: The filled prompt.
        row: The row.
        columns: Its columns.
        where: The row, for error messages.

    Returns:
        The turns.

    Raises:
        DataError: If prompt or system text is unusable.
    """
    turns = (Message("user", require_filled(text, where, "prompt")),)
    return _with_system(turns, row, columns, where, "prompt")


def _read_prompt(
    row: Mapping[str, Any], columns: Columns, where: str, field: str, key: str | None
) -> tuple[Message, ...]:
    value = row[field]
    if isinstance(value, list):
        return _read_messages(value, where, field)
    text = require_filled(value, where, field, key=key)
    input_field, extra = columns.find("input", row)
    is_used = columns.schema == "instruction/output" and extra is not None
    if is_used and require_text(extra, where, input_field).strip():
        text = f"{text}\n\n{extra}"
    return (Message("user", text),)


def _read_completion(value: Any, where: str, field: str, key: str | None) -> str:
    if not isinstance(value, list):
        return require_filled(value, where, field, key=key)
    turns = _read_messages(value, where, field)
    if [turn.role for turn in turns] != ["assistant"]:
        raise DataError(
            f"{where}: field {field!r} must hold one assistant turn; found "
            f"{[turn.role for turn in turns]}. Move earlier turns into the prompt."
        )
    return turns[0].content


def _read_messages(value: Any, where: str, field: str) -> tuple[Message, ...]:
    if not isinstance(value, list):
        raise DataError(
            f"{where}: field {field!r} must be a list of turns; found {json_type(value)}. "
            'Write it as [{"role": "user", "content": "..."}, ...].'
        )
    turns: list[Message] = []
    for number, turn in enumerate(value, start=1):
        place = f"{where}, field {field!r}, turn {number}"
        if not isinstance(turn, dict):
            raise DataError(
                f"{place}: must be an object; found {json_type(turn)}. "
                'Write it as {"role": "user", "content": "..."}.'
            )
        role_key, text_key = ("from", "value") if "from" in turn else ("role", "content")
        if role_key not in turn or text_key not in turn:
            raise DataError(
                f"{place}: must have 'role' and 'content', or 'from' and 'value'; found "
                f"{sorted(map(str, turn))}. Rename its fields."
            )
        role = turn[role_key]
        if not isinstance(role, str) or role not in _ROLES:
            raise DataError(
                f"{place}: {role_key!r} must be one of {list(_ROLES)}; found {role!r}. "
                "Rename or remove the turn."
            )
        text = require_text(turn[text_key], place, text_key)
        if _ROLES[role] == "system" and not text.strip():
            continue  # A blank system turn says nothing; many chat files carry one in each row.
        turns.append(Message(_ROLES[role], require_filled(text, place, text_key)))
    return tuple(turns)


def _with_system(
    turns: tuple[Message, ...],
    row: Mapping[str, Any],
    columns: Columns,
    where: str,
    field: str,
) -> tuple[Message, ...]:
    """The turns with the row's `system` column before them, checked to alternate."""
    system_field, system = columns.find("system", row)
    if system is not None and require_text(system, where, system_field).strip():
        if turns and turns[0].role == "system":
            raise DataError(
                f"{where}: has a system turn in {field!r} and a field {system_field!r}; found "
                f"{system[:40]!r}. Keep one of them."
            )
        turns = (Message("system", system), *turns)
    spoken = turns[1:] if turns and turns[0].role == "system" else turns
    for number, turn in enumerate(spoken):
        if turn.role != ("user", "assistant")[number % 2]:
            raise DataError(
                f"{where}: the turns of {field!r} must alternate user and assistant after an "
                f"optional system turn; found {[t.role for t in turns]}. Join or remove turns."
            )
    if len(spoken) % 2 == 0:
        raise DataError(
            f"{where}: field {field!r} must end with a user turn before the completion; found "
            f"{[turn.role for turn in turns]}. Add the user's turn or remove the row."
        )
    return turns
