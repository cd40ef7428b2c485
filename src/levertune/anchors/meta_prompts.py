"""What a model is asked so that it writes an anchor from example rows, and its answer cleaned."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from levertune.anchors.pieces import SENTENCE_MARKS, count_words, piece_spans
from levertune.anchors.unspaced import UNSPACED
from levertune.data.records import Record

_REQUEST = (
    "Below are inputs of one task, each with the output that is right for it.\n\n{examples}\n\n"
    "Write the instruction that leads from every such input to its output. Say what the output "
    "is, which form it has and which values it may take. Do not quote an input or a whole output. "
    "Reply with the instruction alone, in one to three sentences."
)
_COMPLETION = (
    "{examples}\n\nEvery output above follows from its input by the same instruction.\n\n"
    "Instruction:"
)
_WORKSHEET = (
    "A worksheet has one instruction at its top and solved examples below it.\n\n"
    'Solved examples:\n\n{examples}\n\nThe instruction at the top of this worksheet was: "'
)
_LEARNT = "{examples}\n\nWrite the instruction that leads from every such input to its output."

FORMS: Mapping[str, str] = MappingProxyType(
    {"request": _REQUEST, "completion": _COMPLETION, "worksheet": _WORKSHEET, "learnt": _LEARNT}
)
"""Prompts by form: `request` for models that follow instructions, `learnt` for one that has learnt
what is meant (`anchors/transfer`), the others for text to go on."""

CONTINUED = ("completion", "worksheet")
"""Forms whose answer goes on with the prompt's own text, so only its first line counts."""

MIN_WORDS = 3
"""An answer of fewer instructs to nothing."""

_THOUGHT = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>|^.*</think(?:ing)?>", re.DOTALL)
_UNCLOSED_THOUGHT = re.compile(r"\s*<think(?:ing)?>")
_FENCE = re.compile(r"^```[\w-]*\n(.*?)(?:\n```.*)?$", re.DOTALL)
# A greeting ends at its first mark: what stands behind may be the instruction. `OK` and `great` may
# also be labels that it begins with.
_PREAMBLE = re.compile(
    r"(?:sure(?: thing)?|certainly|of course|okay)[!.,:]+\s*"
    r"|(?:ok|great(?: question)?)[!.]+\s*"
    r"|(?:sure|certainly|of course|okay|ok|great)[,:]?(?: so)?\s+"
    r"(?=here\b|this is\b|(?:the |an? )[^.:\n]{0,40}\binstruction)"
    r"|i(?:'d| would| can|'ll| will|'m| am)(?: be)?(?: happy| glad)?(?: to)? "
    r"(?:help|do th(?:at|is))\b[^.,:!\n]{0,40}[!.:]\s*"
    r"|(?:here (?:is|are|'s)|this is|here you go)\b[^.\n]{0,80}:\s*"
    r"|(?:the |an? |my |one )?(?:[\w-]+ ){0,3}instructions?"
    r"(?: (?:is|was|would be|could be|reads?|for [^.:\n]{1,60}))?\s*:\s*"
    r"|(?:the )?(?:[\w-]+ ){0,2}instructions? (?:is|was|would be|could be|reads?)\s+(?=[\"'\u201c])"
    r"|(?:answer|output|response)\s*:\s*",
    re.IGNORECASE,
)
# Chinese, Japanese and Korean say in two words what takes three in English.
_TERSE = re.compile(rf"{UNSPACED.pattern}|[\uac00-\ud7a3]")
_EXAMPLES = re.compile(r"\n\s*examples?\b[^\n]{0,20}:.*", re.I | re.S)
_PAIR_LINE = re.compile(r"^\s*(input|output)(?: ?\d+)?[ \t]*:[ \t]*(.*)$", re.I | re.M)
# A line `Output: one code` says what an output is; `Output: P07` is one.
_DETERMINERS = frozenset(
    ("a", "an", "all", "any", "each", "either", "every", "exactly", "its", "one", "only", "some")
    + ("single", "the", "their", "this", "two")
)
_QUOTES = (('"', '"'), ("'", "'"), ("\u201c", "\u201d"), ("\u00ab", "\u00bb"), ("`", "`"))
_MARKUP = re.compile(r"^#+\s+|\*\*|^[-*>]\s+", re.MULTILINE)


def draw_examples(
    records: Sequence[Record],
    own_text: Callable[[Record], str],
    num: int,
    *,
    seed: int,
    max_characters: int,
) -> tuple[Record, ...]:
    """Draw rows to show to a model, no two with the same answer as long as there are others.

    A row that would not leave the others their share of the room is passed over whole, never cut.

    Args:
        records: The task rows in training.
        own_text: Gives a row's own text.
        num: How many to draw.
        seed: Seed of the draw.
        max_characters: Room for all examples together.

    Returns:
        The rows, fewer than `num` if fewer are short enough; at least the shortest one.
    """
    room = max_characters / num
    short = [row for row in records if len(own_text(row)) + len(row.completion) <= room]
    if not short:
        return (min(records, key=lambda row: len(own_text(row)) + len(row.completion)),)
    shuffled = random.Random(seed).sample(short, len(short))
    seen: dict[str, int] = {}
    turns = []
    for row in shuffled:
        turns.append(seen.setdefault(row.completion, 0))
        seen[row.completion] += 1
    order = sorted(range(len(shuffled)), key=turns.__getitem__)  # stable: drawn order otherwise
    return tuple(shuffled[index] for index in order[:num])


def write_prompt(form: str, examples: Sequence[Record], own_text: Callable[[Record], str]) -> str:
    """What to ask a model.

    Args:
        form: One of `FORMS`.
        examples: Rows to show.
        own_text: Gives a row's own text.
    """
    shown = (f"Input: {own_text(row).strip()}\nOutput: {row.completion}" for row in examples)
    # Not str.format: rows may hold braces.
    return FORMS[form].replace("{examples}", "\n\n".join(shown))


def clean_answer(
    text: str,
    form: str = "request",
    *,
    is_finished: bool = True,
    shown: Sequence[tuple[str, str]] = (),
) -> str:
    """The instruction that a model's answer holds, without what it says around it.

    Thoughts, a fence, preambles (`Sure!`, `The instruction is:`), quotation marks, markup, examples
    and all after the first paragraph are left out; of an answer that the limit cut off, its
    unfinished last sentence too. A thought without an end is all there is.

    Args:
        text: The answer.
        form: The form that was asked in.
        is_finished: Whether the model ended the answer itself.
        shown: Input and output of rows that the model was shown, by which examples are known.

    Returns:
        The instruction on one line, or `""` if nothing is left.
    """
    # Half a surrogate pair could not be written to any file.
    text = text.encode("utf-8", "replace").decode("utf-8")
    text = _THOUGHT.sub("", text).strip()
    if _UNCLOSED_THOUGHT.match(text):
        return ""
    if fenced := _FENCE.match(text):
        text = fenced[1].strip()
    if form == "worksheet":  # the prompt has opened the quotation
        text = text.lstrip('"').partition('"')[0]
    if form in CONTINUED:
        text = text.strip().partition("\n")[0]
    text = _without_examples(_MARKUP.sub("", text).strip(), shown)
    for paragraph in re.split(r"\n\s*\n", text):
        text = " ".join(_strip_quotes(_without_preamble(paragraph.strip())).split())
        if text:
            break
    if not is_finished and text and text[-1] not in SENTENCE_MARKS:
        spans = piece_spans(text)
        return text[: spans[-1][0]].rstrip() if len(spans) > 1 else ""
    return text


def is_fragment(text: str) -> bool:
    """Whether a cleaned answer has too few words for an instruction, in whatever script.

    Args:
        text: The answer, as `clean_answer` leaves it.
    """
    return count_words(text) < (MIN_WORDS - 1 if _TERSE.search(text) else MIN_WORDS)


def describe_cut_off(num: int, max_tokens: int) -> str | None:
    """One line on answers that `clean_answer` found nothing in since the limit cut them off.

    Args:
        num: How many.
        max_tokens: The limit.

    Returns:
        The line, or None if there are none.
    """
    if not num:
        return None
    return (
        f"{num} answers were cut off at {max_tokens:,} tokens before an instruction stood in them; "
        "--max-tokens allows more"
    )


def _without_examples(text: str, shown: Sequence[tuple[str, str]]) -> str:
    """The text up to the first example; lines that describe input and output stay."""
    text = _EXAMPLES.sub("", text)
    lines = list(_PAIR_LINE.finditer(text))
    for line, following in zip(lines, [*lines[1:], None], strict=False):
        name, value = line[1].casefold(), line[2]
        if name == "output" and not text[: line.start()].strip():
            continue  # a label before the instruction, as `Output: Give the code.`
        if name == "input" and following and following[1].casefold() == "output":
            name, value = "output", following[2]
        if not _describes(value, [row[name == "output"] for row in shown]):
            return text[: line.start()].strip()
    return text


def _describes(value: str, shown: Sequence[str]) -> bool:
    """Whether a text says what an input or output is, rather than being one."""
    words = value.casefold().split()
    rows = [row.casefold().split() for row in shown]
    if not words or words in rows:
        return False
    if words[0] in _DETERMINERS and all(row[:1] != words[:1] for row in rows):
        return True
    return bool(rows) and len(words) > 1 + 2 * max(map(len, rows))


def _without_preamble(text: str) -> str:
    while (match := _PREAMBLE.match(text)) and match.end():
        text = text[match.end() :].lstrip()
    return text


def _strip_quotes(text: str) -> str:
    for opening, closing in _QUOTES:
        inner = text[1:-1]
        if len(text) > 2 and text[0] == opening and text[-1] == closing:
            return inner.strip() if closing not in inner else text
    return text
