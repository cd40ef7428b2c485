"""Settings, data and sentences of a result as tables, with the rows' texts left out on request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from levertune.reports.text import LEFT_OUT, clip, flatten, is_plain_value, redact, value_text
from levertune.results.schema import RunResult

# Recipe keys whose values are words of the task.
_TEXT_KEYS = (
    "anchor.text",
    "anchor.lead_in",
    "evaluation.anchor",
    "task.prompt",
    "task.completion",
)

_MAX_SETTINGS = 200
_MAX_VALUE = 300
_MAX_SENTENCE = 600


@dataclass(frozen=True, slots=True)
class Setting:
    """One recipe key.

    Args:
        key: Dotted key.
        value: Its value as text.
        reason: Why, if levertune chose it; else "".
    """

    key: str
    value: str
    reason: str


def sentence_filter(result: RunResult, *, include_text: bool) -> Callable[[str | None], str]:
    """How free sentences of a result go onto the page: cut to length, and redacted if need be.

    Args:
        result: The result.
        include_text: Whether the rows' texts may be shown.

    Returns:
        A function from a sentence (or None) to what is shown.
    """
    if include_text:
        return lambda sentence: _cut(sentence or "", _MAX_SENTENCE)
    names = {arm.arm for arm in result.arms} | {metric.name for metric in result.metrics.all}
    known = set(result.task.labels or ())
    if result.anchor:
        known |= {result.anchor.text, result.anchor.lead_in or ""}
    for curve in result.curves:
        known |= {c.text for check in curve.checks for c in check.challengers}
    known = {text for text in known if text.strip()} - names
    return lambda sentence: _cut(redact(sentence or "", known), _MAX_SENTENCE)


def settings_table(
    result: RunResult, *, include_text: bool, say: Callable[[str | None], str]
) -> tuple[list[Setting], int]:
    """Every setting, those levertune chose first.

    Args:
        result: The result.
        include_text: Whether the rows' texts may be shown.
        say: The sentence filter, for the reasons.

    Returns:
        The settings shown, and how many more there are.
    """

    def shown(key: str, value: object) -> str:
        if not include_text and value is not None:
            is_text = any(key == k or key.startswith(f"{k}.") for k in _TEXT_KEYS)
            if is_text or not is_plain_value(value):
                return LEFT_OUT
        return _cut(value_text(value), _MAX_VALUE)

    chosen = [Setting(a.key, shown(a.key, a.value), say(a.reason)) for a in result.auto]
    keys = {setting.key for setting in chosen}
    given = [Setting(k, shown(k, v), "") for k, v in flatten(result.recipe) if k not in keys]
    settings = [Setting(_cut(s.key, 120), s.value, s.reason) for s in (*chosen, *given)]
    return settings[:_MAX_SETTINGS], max(0, len(settings) - _MAX_SETTINGS)


def _cut(text: str, length: int) -> str:
    shown = clip(text, length)
    return f"{shown.text} [{shown.more} more characters]" if shown.more else shown.text
