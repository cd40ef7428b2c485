"""Names of the shipped data and the files behind them."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from levertune.errors import DataError

TASK_PREFIX = "embedded:"

EMBEDDED_GENERAL: dict[str, str] = {
    "embedded-skills": "general/skills.jsonl",
    "embedded-self": "general/self.jsonl",
}
"""General sources that may be mixed in: name and file."""

RETENTION = "embedded-retention"
_FILES: dict[str, str] = {**EMBEDDED_GENERAL, RETENTION: "general/retention.jsonl"}

# How like a known name an unknown one must be to be taken for a slip of the pen.
_NEAR = 0.6

EMBEDDED_TASKS: tuple[str, ...] = ("ticket_codes", "command_json", "house_notation")
"""Names of the shipped tasks, without the `embedded:` in front."""


@dataclass(frozen=True, slots=True)
class EmbeddedTask:
    """A shipped task: its name and its two files.

    Args:
        name: The name without `embedded:`.
        train: Rows to train on.
        test: Rows to test on, whose wording patterns do not occur in `train`.
    """

    name: str
    train: Path
    test: Path


def is_embedded(name: str) -> bool:
    """Whether `name` has the form of a shipped source or task, known or not."""
    return name.startswith(("embedded-", TASK_PREFIX))


def embedded_path(name: str) -> Path:
    """File of a shipped general source.

    Args:
        name: `embedded-skills`, `embedded-self` or `embedded-retention`.

    Returns:
        The path of its JSONL file.

    Raises:
        DataError: If there is no source of that name.
    """
    if name not in _FILES:
        raise DataError(_unknown(name, "shipped source", _FILES))
    return _root() / _FILES[name]


def embedded_task(name: str) -> EmbeddedTask:
    """Files of a shipped task.

    Args:
        name: `embedded:ticket_codes`, or the name alone.

    Returns:
        The task with the paths of its train and test rows.

    Raises:
        DataError: If there is no task of that name.
    """
    bare = name.removeprefix(TASK_PREFIX)
    if bare not in EMBEDDED_TASKS:
        known = [TASK_PREFIX + task for task in EMBEDDED_TASKS]
        raise DataError(_unknown(TASK_PREFIX + bare, "shipped task", known, found=name))
    folder = _root() / "tasks" / bare
    return EmbeddedTask(bare, folder / "train.jsonl", folder / "test.jsonl")


def _root() -> Path:
    return Path(str(resources.files("levertune.data.embedded")))


def _unknown(
    name: str, kind: str, known: dict[str, str] | list[str], *, found: str | None = None
) -> str:
    # Without what all of them begin with, which would make any name like any other.
    bare = {one.removeprefix(TASK_PREFIX).removeprefix("embedded-"): one for one in known}
    wanted = name.removeprefix(TASK_PREFIX).removeprefix("embedded-")
    near = difflib.get_close_matches(wanted, list(bare), n=1, cutoff=_NEAR)
    hint = f"Did you mean {bare[near[0]]!r}?" if near else "Name one of them."
    return f"{found or name}: is no {kind}; the known ones are {', '.join(known)}. {hint}"
