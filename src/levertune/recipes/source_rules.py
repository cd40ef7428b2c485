"""What the entries of `general.sources` must keep to, each alone and all together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from levertune.data.text_encoding import why_no_text
from levertune.recipes.values import SELF_ANSWERS, SELF_ROWS

if TYPE_CHECKING:
    from levertune.recipes.general_section import GeneralSource

MAX_SELF_ROWS = 1_000_000


def fault_of_sources(
    sources: Sequence[GeneralSource], rows: int | str | None, tokens: int | None
) -> str | None:
    """What is wrong with the sources, in words; None if nothing is.

    Args:
        sources: The entries.
        rows: `general.rows`.
        tokens: `general.tokens`.
    """
    names = [source.source_name for source in sources]
    for name in names:
        if names.count(name) > 1:
            return f"two sources are called {name!r}. Give one of them another `name`."
        if name == "task":
            return "'task' is the name of the task rows. Give the source another `name`."
    for source in sources:
        fault = _fault_of_path(source) or _fault_of_unused(source) or _fault_of_amounts(source)
        if fault is not None:
            return fault
    if not sources or rows == 0:
        return None
    return _fault_of_rest(sources, rows, tokens)


def fault_of_task_encoding(path: str, test: float | str, encoding: str | None) -> str | None:
    """What is wrong with the encoding of the task rows, in words; None if some file may need it.

    Args:
        path: `task.path`.
        test: `task.test`, which may be a file.
        encoding: `task.encoding`.
    """
    reason = why_no_text(path)
    if encoding is None or reason is None:
        return None
    is_file = isinstance(test, str) and test != "auto" and not test.startswith("cv:")
    if is_file and why_no_text(str(test)) is None:
        return None
    found = f"{encoding!r} with task.path={path}" + (f" and task.test={test}" if is_file else "")
    return f"is not used: {reason}; found {found}. Leave it out."


def _fault_of_rest(
    sources: Sequence[GeneralSource], rows: int | str | None, tokens: int | None
) -> str | None:
    """What is wrong with how the rest is shared out: that which no source asks for by itself."""
    weights = [source.weight for source in sources]
    shared = [source.weight for source in sources if not source.has_own_amount]
    if not any(source.is_used for source in sources):
        return (
            f"the weights sum to 0, so that nothing can be drawn; found {weights}. Raise one, or "
            "use no general rows with general.rows=0."
        )
    if sum(shared) > 0:
        if rows is None and tokens is None and len(shared) == len(sources):
            return (
                "nothing says how much to take of them; found general.rows null without "
                "general.tokens. Set one, or general.rows=0 for none."
            )
        return None
    rest = None
    if tokens is not None:
        rest, key = f"{tokens} tokens of general.tokens remain", "general.tokens"
    elif isinstance(rows, int) and 0 in weights and all(s.tokens is None for s in sources):
        # Without a weight of 0 the sources are all there is: less is taken then, and warned of.
        left = rows - sum(source.rows or 0 for source in sources)
        rest, key = f"{left} of {rows} rows of general.rows remain", "general.rows"
        rest = rest if left > 0 else None
    if rest is None:
        return None
    return (
        f"{rest} to be shared out by weight, and every source has an amount of its own or weight "
        f"0; found weights {weights}. Raise one without an amount of its own, or set {key}=null."
    )


def _fault_of_path(source: GeneralSource) -> str | None:
    if source.path.startswith(SELF_ROWS):
        count = source.path.removeprefix(SELF_ROWS)
        is_number = count.isascii() and count.isdecimal() and len(count) < 10
        if not is_number or not 1 <= int(count) <= MAX_SELF_ROWS:
            return (
                f"{source.path!r} must be self:N with N from 1 to {MAX_SELF_ROWS:,}, the rows the "
                "base model is to write. Write self:500."
            )
    if source.path.startswith(SELF_ANSWERS):
        prompts = source.path.removeprefix(SELF_ANSWERS)
        if not prompts.strip() or prompts.startswith((SELF_ROWS, SELF_ANSWERS)):
            return f"{source.path!r} must name a file of prompts. Write self-answers:prompts.jsonl."
    if source.streaming and (not source.path.startswith("hub:") or source.max_rows is None):
        return (
            f"streaming is for a Hub data set with max_rows; found {source.path!r} with max_rows "
            f"{source.max_rows}. Set max_rows, or leave streaming out."
        )
    return None


def _fault_of_unused(source: GeneralSource) -> str | None:
    """A setting that nothing would look at for this kind of source."""
    if source.path.startswith(SELF_ROWS):
        if source.max_rows is not None:
            return (
                f"max_rows is for rows that are read, and the base model writes {source.path!r}; "
                f"found max_rows {source.max_rows}. Write self:{source.max_rows}, or rows: "
                f"{source.max_rows} to take so many of them."
            )
        unused = dict.fromkeys(
            ("prompt", "completion", "encoding"), "the base model writes these rows"
        )
        instead = "Leave it out, or write self-answers:FILE to name prompts"
    else:
        unused, instead = {}, "Leave it out"
        if source.path.startswith(SELF_ANSWERS):
            unused["completion"] = "the base model writes the completions"
        if reason := why_no_text(source.path.removeprefix(SELF_ANSWERS)):
            unused["encoding"] = reason
    for key, reason in unused.items():
        value = getattr(source, key)
        if value is not None:
            return f"{key} of {source.path!r} is not used: {reason}; found {value!r}. {instead}."
    return None


def _fault_of_amounts(source: GeneralSource) -> str | None:
    if source.rows is not None and source.tokens is not None:
        return (
            f"{source.source_name!r} has both `rows` and `tokens`; found {source.rows} and "
            f"{source.tokens}. Keep one of them."
        )
    low, high = source.min_characters, source.max_characters
    if low is not None and high is not None and low > high:
        return (
            f"min_characters of {source.source_name!r} is above max_characters; found {low} and "
            f"{high}. Swap them."
        )
    return None
