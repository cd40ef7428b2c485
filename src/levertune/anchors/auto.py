"""The recipe's `anchor.text` made into an anchor, and what the task rows are to lose for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from levertune.anchors.anchor import Anchor, Placement
from levertune.anchors.lift import (
    DEFAULT_SEPARATOR,
    Removed,
    Shared,
    find_shared,
    remove_instructions,
)
from levertune.anchors.template import describe_rows
from levertune.data.records import Record
from levertune.errors import RecipeError

# About 2,000 tokens: more than a page of instructions, and more than most prompts have room for.
MAX_CHARACTERS = 8_000

_NOTEWORTHY_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class AnchorChoice:
    """An anchor, and what is to be taken out of task rows that carry its text themselves.

    Args:
        anchor: The anchor, or None if the recipe asks for none.
        lifted_instruction: The text to take out of them, or None.
        reason: Why this anchor, for the resolved recipe and the report.
        lifted_separator: The white space that goes with the text.
    """

    anchor: Anchor | None
    lifted_instruction: str | None
    reason: str
    lifted_separator: str | None = None

    def lift_from(self, records: Sequence[Record]) -> Removed:
        """Take the lifted instruction out of rows of the task, those in training or others.

        Args:
            records: Rows that the anchor will be applied to.

        Returns:
            The rows, and how many of them did not carry the instruction and are as they were.
        """
        if self.lifted_instruction is None:
            return Removed(tuple(records), len(records))
        return remove_instructions(
            records, self.lifted_instruction, separator=self.lifted_separator
        )


def choose_anchor(
    setting: str | None,
    records: Sequence[Record],
    *,
    placement: Placement = "prefix",
    lead_in: str | None = None,
    dropout: float = 0.0,
    kind: str = "text",
    labels: Sequence[str] | None = None,
) -> AnchorChoice:
    """Make an anchor from the recipe's setting and the task rows.

    - `auto`: the instruction that all rows share, lifted out of them; where they share none, one
      that describes their answers (`template.describe_rows`).
    - `file:PATH`: the content of a UTF-8 file.
    - any other text: that text. What it says is taken out of rows which already carry it. Another
      instruction that the rows share stays in them: nothing of the user's goes missing.
    - None: no anchor, the rows as they are.

    Args:
        setting: `anchor.text` of the recipe.
        records: The task rows in training; an anchor is never chosen by looking at test rows.
        placement: Where the anchor goes.
        lead_in: What every answer starts with, or None.
        dropout: Share of task exposures trained without the anchor.
        kind: Recognised kind of the task: `label`, `json`, `code` or `text`.
        labels: The distinct completions of a `label` task.

    Returns:
        The anchor, and what is to be taken out of the rows.

    Raises:
        RecipeError: If the setting names a pool, a file that cannot be used, or a text that is
            blank or too long; or if placement or dropout is out of range.
    """
    rows = tuple(records)
    if setting is None:
        return AnchorChoice(None, None, "the recipe asks for no anchor")
    shared = find_shared(rows)
    separator = shared.separator if shared.placement == placement else DEFAULT_SEPARATOR

    def anchor_of(text: str, separator: str = DEFAULT_SEPARATOR) -> Anchor:
        return Anchor(text, placement, lead_in, dropout, separator)

    if setting.strip() == "auto":
        if shared.instruction is None:
            reason = f"written from the task's kind ({kind}); {_why_none_shared(shared)}"
            return AnchorChoice(anchor_of(describe_rows(rows, kind, labels)), None, reason)
        text, origin = shared.instruction, "the instruction of the task rows"
    else:
        text, origin = _read_setting(setting)
    if shared.instruction is not None and _squeeze(shared.instruction) in _squeeze(text):
        is_same = _squeeze(shared.instruction) == _squeeze(text)
        anchor = anchor_of(shared.instruction, separator) if is_same else anchor_of(text)
        reason = f"{origin}; lifted out of the {len(rows)} rows, which all carry it"
        if not is_same:
            reason = f"{origin}; it holds the instruction that was lifted out of all rows"
        elif shared.placement != placement:
            reason += f", and moved from {shared.placement} to {placement}"
        return AnchorChoice(anchor, shared.instruction, reason, shared.separator)
    anchor = anchor_of(text)
    removed = remove_instructions(rows, text)
    num_with = len(rows) - removed.num_without
    if num_with:
        reason = f"{origin}; taken out of the {num_with} of {len(rows)} rows that carry it"
        return AnchorChoice(anchor, text, reason)
    if shared.instruction is not None:
        origin += f"; the rows keep the instruction they share ({_quote(shared.instruction)})"
    return AnchorChoice(anchor, None, origin)


def _read_setting(setting: str) -> tuple[str, str]:
    """The anchor's words and where they come from."""
    if setting.startswith("pool:"):
        raise RecipeError(
            f"anchor.text: the pool of anchors is not there yet; found {setting!r}. "
            "Use `auto`, a sentence, or file:PATH."
        )
    if not setting.startswith("file:"):
        _check_length("anchor.text", setting)
        return setting, "as the recipe has it"
    path = setting.removeprefix("file:").strip()
    where = f"anchor.text: {path or 'file:'}"
    try:
        text = Path(path).read_bytes().decode("utf-8-sig").strip()
    except FileNotFoundError as error:
        raise RecipeError(
            f"{where}: no such file. Write the anchor there, or use `auto`."
        ) from error
    except UnicodeDecodeError as error:
        raise RecipeError(
            f"{where}: not UTF-8; found byte {error.object[error.start]:#04x} at offset "
            f"{error.start}. Save the file as UTF-8 text."
        ) from error
    except (OSError, ValueError) as error:
        raise RecipeError(
            f"{where}: cannot be read; {error}. Name a text file, or use `auto`."
        ) from error
    if not text:
        raise RecipeError(f"{where}: is empty. Write the anchor there, or use `auto`.")
    if "\0" in text:
        raise RecipeError(f"{where}: not a text file; found a NUL byte. Save it as UTF-8 text.")
    _check_length(where, text)
    return text, f"read from {path}"


def _check_length(where: str, text: str) -> None:
    if len(text) > MAX_CHARACTERS:
        raise RecipeError(
            f"{where}: too long for an anchor; found {len(text)} characters, at most "
            f"{MAX_CHARACTERS} are allowed. It stands on every task prompt: shorten it."
        )


def _why_none_shared(shared: Shared) -> str:
    if shared.opening is None or shared.share < _NOTEWORTHY_SHARE:
        return "the rows share no instruction"
    return (
        f"not all rows share an instruction, only {shared.share:.0%} open with "
        f"{_quote(shared.opening)}"
    )


def _squeeze(text: str) -> str:
    return " ".join(text.split())


def _quote(text: str, length: int = 60) -> str:
    line = _squeeze(text)
    return repr(line if len(line) <= length else line[: length - 3] + "...")
