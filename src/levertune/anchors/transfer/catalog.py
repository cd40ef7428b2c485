"""The kinds of task there are, and tasks drawn from them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from typing import Any

from levertune.anchors.transfer import fields, labels, lists, numbers, strings, times
from levertune.anchors.transfer.draft import Maker
from levertune.data.records import TASK_SOURCE, Message, Record
from levertune.errors import RecipeError

_MODULES = (labels, strings, fields, numbers, times, lists)

KINDS: Mapping[str, Maker] = MappingProxyType(
    {
        name.removeprefix("make_").replace("_", "-"): maker
        for module in _MODULES
        for name, maker in vars(module).items()
        if name.startswith("make_")
    }
)
"""What draws a task, by the name of its kind."""

# A prompt drawn twice is drawn again; kinds have some hundreds of prompts at least.
_MAX_DRAWS_A_ROW = 20


@dataclass(frozen=True, slots=True)
class MadeTask:
    """A task drawn from a kind.

    Args:
        kind: The kind.
        seed: The seed it was drawn with.
        anchor: The instruction that states it.
        rule: What sets it apart from others of its kind, wording aside.
        rows: Its rows, no two with one prompt.
    """

    kind: str
    seed: int
    anchor: str
    rule: tuple[Any, ...]
    rows: tuple[Record, ...]


def make_task(kind: str, seed: int, num_rows: int) -> MadeTask:
    """Draw a task.

    Args:
        kind: One of `KINDS`.
        seed: The same kind and seed give the same task; more rows begin with the same ones.
        num_rows: How many rows.

    Returns:
        The task.

    Raises:
        RecipeError: If there is no such kind.
        ValueError: If the task has not as many different prompts.
    """
    if kind not in KINDS:
        raise RecipeError(unknown_kind(kind, KINDS))
    draft = KINDS[kind](Random(f"{kind}/{seed}"))
    drawing = Random(f"{kind}/{seed}/rows")
    prompts: dict[str, None] = {}
    for _ in range(num_rows * _MAX_DRAWS_A_ROW):
        if len(prompts) == num_rows:
            break
        prompts[draft.draw_prompt(drawing)] = None
    if len(prompts) < num_rows:
        raise ValueError(f"{kind}, seed {seed}: has fewer than {num_rows} different prompts")
    rows = tuple(
        Record(
            f"{kind}-{seed}-{number:03}",
            TASK_SOURCE,
            (Message("user", prompt),),
            draft.answer(prompt),
        )
        for number, prompt in enumerate(prompts)
    )
    return MadeTask(kind, seed, draft.anchor, draft.rule, rows)


def unknown_kind(kind: str, known: Mapping[str, Any]) -> str:
    """The line that says that there is no such kind, and which is nearest.

    Args:
        kind: What was asked for.
        known: The kinds there are.
    """
    near = difflib.get_close_matches(kind, list(known), n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(known)}."
    return f"--hold-out: there is no kind of task {kind!r}. {hint}"
