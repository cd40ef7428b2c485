"""The recipe's `anchor.text` made into an anchor, and what the task rows are to lose for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from levertune.anchors.anchor import Anchor, Placement
from levertune.anchors.lift import (
    DEFAULT_SEPARATOR,
    Lifting,
    Shared,
    find_shared,
)
from levertune.anchors.shorten import AnchorStage
from levertune.anchors.template import describe_rows
from levertune.anchors.varied import VariedRule, find_replaced
from levertune.data.home_folder import expand_home
from levertune.data.records import Record
from levertune.errors import RecipeError

# About 2,000 tokens: more than a page of instructions, and more than most prompts have room for.
MAX_CHARACTERS = 8_000

KEPT = "the rows keep the instruction they share"
"""Stands in the reason of an anchor beside which rows have an instruction of their own."""

_NOTEWORTHY_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class AnchorChoice:
    """An anchor, and what is to be taken out of task rows before it is put on them.

    Args:
        anchor: The anchor, or None if the recipe asks for none.
        lifting: What is taken out of training rows and of any others.
        reason: Why this anchor, for the resolved recipe and the report.
        stages: The forms it takes while training; empty where it stays as it is.
        is_open: Whether training has yet to decide which forms it takes.
    """

    anchor: Anchor | None
    lifting: Lifting
    reason: str
    stages: tuple[AnchorStage, ...] = ()
    is_open: bool = False

    @property
    def served(self) -> Anchor | None:
        """The anchor at the end of training, which test rows and requests carry.

        Raises:
            RecipeError: If training has yet to decide it.
        """
        if self.is_open:
            raise RecipeError(
                "anchor.schedule: refine chooses the anchor while training, and what it ends with "
                "is not known here. Use constant or anneal."
            )
        return self.stages[-1].anchor if self.stages else self.anchor


def choose_anchor(
    setting: str | None,
    records: Sequence[Record],
    *,
    placement: Placement = "prefix",
    lead_in: str | None = None,
    dropout: float = 0.0,
    kind: str = "text",
    labels: Sequence[str] | None = None,
    varied_rule: VariedRule = "replace",
    replace_shared: bool = False,
    pools: Sequence[str] = (),
    prompt_language: str | None = None,
    answer_language: str | None = None,
) -> AnchorChoice:
    """Make an anchor from the recipe's setting and the task rows.

    - `auto`: the instruction that all rows share, lifted out of them; where they vary it, the
      commonest of theirs; where they have none, one sentence that follows from the kind of task.
    - `file:PATH`: the content of a UTF-8 file.
    - `pool:ID`: an anchor of the pool.
    - any other text: that text. What it says is taken out of rows which already carry it. Another
      instruction that the rows share stays in them, so that nothing of the user's goes missing,
      unless the anchor is to replace it.
    - None: no anchor, the rows as they are; without what they share, if that is to be replaced.

    Of rows that vary their instruction (`find_replaced`) the variants are taken out, whatever the
    anchor says: a constant text is put in their place, not before them.

    Args:
        setting: `anchor.text` of the recipe.
        records: The task rows in training; an anchor is never chosen by looking at test rows.
        placement: Where the anchor goes.
        lead_in: What every answer starts with, or None.
        dropout: Share of task exposures trained without the anchor.
        kind: Recognised kind of the task: `label`, `json`, `code` or `text`.
        labels: The distinct completions of a `label` task.
        varied_rule: Which varied instructions are taken out.
        replace_shared: Whether an instruction that all rows share is taken out where the anchor is
            another text.
        pools: Where `pool:ID` looks besides the shipped pool (`anchors.pool.places`).
        prompt_language: What the language of the prompts is called, if it is known.
        answer_language: That of the answers.

    Returns:
        The anchor, and what is to be taken out of the rows.

    Raises:
        DataError: If the setting names an anchor of the pool that is not there.
        RecipeError: If the setting names a file that cannot be used, or a text that is blank or
            too long; or if placement or dropout is out of range.
    """
    rows = tuple(records)
    shared = find_shared(rows)
    if setting is None:
        if shared.instruction is None or not replace_shared:
            return AnchorChoice(None, Lifting(), "the recipe asks for no anchor")
        reason = "the recipe asks for no anchor, and takes off what the rows share"
        return AnchorChoice(None, Lifting((shared.instruction,), shared.separator), reason)
    varied = find_replaced(rows, varied_rule) if shared.instruction is None else None
    separator = shared.separator if shared.placement == placement else DEFAULT_SEPARATOR

    def anchor_of(text: str, separator: str = DEFAULT_SEPARATOR) -> Anchor:
        return Anchor(text, placement, lead_in, dropout, separator)

    if setting.strip() != "auto":
        text, origin = _read_setting(setting, pools)
    elif shared.instruction is not None:
        text, origin = shared.instruction, "the instruction of the task rows"
    elif varied is not None:
        text, origin = varied.commonest, "the commonest instruction of the task rows"
    else:
        reason = f"written from the task's kind ({kind}); {_why_none_shared(shared)}"
        text = describe_rows(
            rows, kind, labels, prompt_language=prompt_language, answer_language=answer_language
        )
        return AnchorChoice(anchor_of(text), Lifting(), reason)
    if varied is not None:
        reason = f"{origin}; it replaces the {len(varied.instructions)} that the rows vary"
        return AnchorChoice(anchor_of(text), Lifting(varied.instructions), reason)
    if shared.instruction is not None and _squeeze(shared.instruction) in _squeeze(text):
        is_same = _squeeze(shared.instruction) == _squeeze(text)
        anchor = anchor_of(shared.instruction, separator) if is_same else anchor_of(text)
        reason = f"{origin}; lifted out of the {len(rows)} rows, which all carry it"
        if not is_same:
            reason = f"{origin}; it holds the instruction that was lifted out of all rows"
        elif shared.placement != placement:
            reason += f", and moved from {shared.placement} to {placement}"
        return AnchorChoice(anchor, Lifting((shared.instruction,), shared.separator), reason)
    if shared.instruction is not None and replace_shared:
        reason = f"{origin}; it replaces what the rows share ({_quote(shared.instruction)})"
        return AnchorChoice(
            anchor_of(text), Lifting((shared.instruction,), shared.separator), reason
        )
    anchor, lifting = anchor_of(text), Lifting((text,))
    lifted = lifting.take_from_all(rows)
    num_with = len(rows) - lifted.num_without
    kept = find_shared(lifted.records).instruction if num_with else shared.instruction
    if num_with:
        origin += f"; taken out of the {num_with} of {len(rows)} rows that carry it"
    if kept is not None:
        origin += f"; {KEPT} ({_quote(kept)})"
    return AnchorChoice(anchor, lifting if num_with else Lifting(), origin)


def choose_lifting(records: Sequence[Record], *, varied_rule: VariedRule = "replace") -> Lifting:
    """What is taken out of rows that get no anchor: the instruction they share, or vary.

    Args:
        records: The task rows in training.
        varied_rule: Which varied instructions are taken out.
    """
    shared = find_shared(records)
    if shared.instruction is not None:
        return Lifting((shared.instruction,), shared.separator)
    varied = find_replaced(records, varied_rule)
    return Lifting() if varied is None else Lifting(varied.instructions)


def _read_setting(setting: str, pools: Sequence[str]) -> tuple[str, str]:
    """The anchor's words and where they come from."""
    if setting.startswith("pool:"):
        from levertune.anchors.pool.kept import kept_pool
        from levertune.anchors.pool.places import SHIPPED

        entry = kept_pool((SHIPPED, *pools)).find(setting.removeprefix("pool:").strip())
        return entry.text, f"{entry.id} of the pool"
    if not setting.startswith("file:"):
        _check_length("anchor.text", setting)
        return setting.strip(), "as the recipe has it"
    path = setting.removeprefix("file:").strip()
    where = f"anchor.text: {path or 'file:'}"
    file = expand_home(path, error=RecipeError)
    try:
        # As text files are read: the same words saved on another system are the same anchor.
        content = file.read_bytes().decode("utf-8-sig")
        text = content.replace("\r\n", "\n").replace("\r", "\n").strip()
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
