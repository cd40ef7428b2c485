"""One plain sentence for a task whose rows share no instruction."""

from __future__ import annotations

import json
from collections.abc import Sequence

from levertune.data.records import Record

_MAX_LABELS = 12
_MAX_LABEL_LENGTH = 40
_MAX_KEYS = 8

_TEXT = "Answer in the form that this task asks for."
_CODE = "Write the code that the description asks for, and nothing else."
_LABEL = "Answer with the label that fits, and nothing else."
_JSON = "Answer with JSON, and nothing else."


def describe_task(kind: str, records: Sequence[Record], labels: Sequence[str] | None = None) -> str:
    """Write an instruction from what is known of a task: its kind, its labels, its JSON keys.

    The labels are named if there are at most 12 short ones, the keys if every completion is an
    object and has them; a longer list would cost more tokens than it is worth on every row.

    Args:
        kind: `label`, `json`, `code` or `text`; any other kind is described as `text`.
        records: The task rows in training.
        labels: The distinct completions of a `label` task.

    Returns:
        One sentence.
    """
    if kind == "label":
        names = list(labels or ())
        short = all(name and len(name) <= _MAX_LABEL_LENGTH and "\n" not in name for name in names)
        if 2 <= len(names) <= _MAX_LABELS and short:
            return f"Answer with one of these labels, and nothing else: {', '.join(names)}."
        return _LABEL
    if kind == "json":
        keys = _shared_keys(records)
        if not 1 <= len(keys) <= _MAX_KEYS:
            return _JSON
        quoted = [json.dumps(key, ensure_ascii=False) for key in keys]
        listed = quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
        return (
            f"Answer with a JSON object with the key{'s' * (len(keys) > 1)} {listed}, "
            "and nothing else."
        )
    return _CODE if kind == "code" else _TEXT


def _shared_keys(records: Sequence[Record]) -> list[str]:
    """Keys of the first completion that all completions have, if all are JSON objects."""
    shared: list[str] | None = None
    for record in records:
        try:
            answer = json.loads(record.completion)
        except (json.JSONDecodeError, RecursionError):
            return []
        if not isinstance(answer, dict):
            return []
        shared = [key for key in (answer if shared is None else shared) if key in answer]
    return shared or []
