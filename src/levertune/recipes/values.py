"""Types of recipe values: what they accept beyond their plain type, and the words for it."""

from __future__ import annotations

import codecs
import re
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from levertune.data.language_names import LANGUAGE_RULE, primary_tag
from levertune.data.url_names import is_url, url_stem
from levertune.recipes.rules import Rule

Auto = Literal["auto"]
Arm = Literal["base", "sft", "sft-steps", "sft-plain", "tell"]
Tracker = Literal["trackio", "wandb", "tensorboard"]

MAX_SEEDS = 1000
EMBEDDED_TASK = "embedded:"
SELF_ROWS = "self:"
SELF_ANSWERS = "self-answers:"

_TEST_RULE = (
    "`auto`, a file, a share of the rows above 0 and below 1, or `cv:K` with K from 2 to 20"
)
_TEXT_RULE = "text that is not blank"
_SEEDS_RULE = (
    f"a list of distinct whole numbers from 0, or a count N of 1 to {MAX_SEEDS} for the seeds 0 "
    "to N-1"
)
_ARMS_RULE = "a list of distinct arms out of `base`, `sft`, `sft-steps`, `sft-plain`, `tell`"
_TRACKERS_RULE = "`none`, or a list out of `trackio`, `wandb`, `tensorboard`"
_ENCODING_RULE = "the name of a text encoding, as `utf-8` or `latin-1`"


def _check_text(value: str) -> str:
    if not value.strip() or "\0" in value:
        raise ValueError(_TEXT_RULE)
    return value


def _check_test(value: float | str) -> float | str:
    if isinstance(value, str) and value.startswith("cv:"):
        folds = re.fullmatch(r"cv:(\d{1,2})", value)
        if not folds or not 2 <= int(folds[1]) <= 20:
            raise ValueError(_TEST_RULE)
    return value


def _check_encoding(value: str) -> str:
    try:
        codecs.lookup(value)
    except (LookupError, ValueError):
        raise ValueError(_ENCODING_RULE) from None
    return value


def _check_distinct(value: tuple[Any, ...]) -> tuple[Any, ...]:
    if not value or len(set(value)) < len(value):
        raise ValueError("a list of at least one item, none of them twice")
    return value


def _expand_seeds(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_SEEDS:
        return tuple(range(value))
    return value


def _expand_trackers(value: object) -> object:
    if value == "none":
        return ()
    return (value,) if isinstance(value, str) else value


def _check_language(value: str) -> str:
    if primary_tag(value) is None:
        raise ValueError(LANGUAGE_RULE)
    return value


Text = Annotated[str, AfterValidator(_check_text), Rule(_TEXT_RULE)]
Encoding = Annotated[str, AfterValidator(_check_encoding), Rule(_ENCODING_RULE)]
Language = Annotated[str, AfterValidator(_check_language), Rule(LANGUAGE_RULE)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Share = Annotated[float, Field(gt=0, lt=1)]
Test = Annotated[Share | Text, AfterValidator(_check_test), Rule(_TEST_RULE)]
Modules = Annotated[tuple[Text, ...], Field(strict=False), AfterValidator(_check_distinct)]
Places = Annotated[tuple[Text, ...], Field(strict=False)]
Arms = Annotated[
    tuple[Arm, ...], Field(strict=False), AfterValidator(_check_distinct), Rule(_ARMS_RULE)
]
Seeds = Annotated[
    tuple[Seed, ...],
    Field(strict=False),
    AfterValidator(_check_distinct),
    BeforeValidator(_expand_seeds, json_schema_input_type=int | list[int]),
    Rule(_SEEDS_RULE),
]
Trackers = Annotated[
    tuple[Tracker, ...],
    Field(strict=False),
    BeforeValidator(_expand_trackers, json_schema_input_type=str | list[Tracker]),
    Rule(_TRACKERS_RULE),
]


def name_of_path(path: str) -> str:
    """A short name for data: a file's stem, a data set's last part, a shipped task's own name.

    Of a pattern it is the folder's; `self:N` is called `self`, `self-answers:x.jsonl` `x-answers`.
    """
    if path.startswith(SELF_ROWS):
        return "self"
    if path.startswith(SELF_ANSWERS):
        return f"{name_of_path(path.removeprefix(SELF_ANSWERS))}-answers"
    if is_url(path):
        return url_stem(path)
    for prefix in ("hub:", EMBEDDED_TASK):
        if path.startswith(prefix):
            name = re.split("[:@]", path.removeprefix(prefix))[0]
            return name.rsplit("/", 1)[-1] or path
    named = [part for part in PurePath(path).parts if not set(part) & set("*?[")]
    return PurePath(named[-1]).stem or path if named else path
