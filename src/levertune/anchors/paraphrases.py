"""Whether texts that rows open with say one thing in several ways, or are what the rows differ in.

Only the first may be taken out of the rows. No rule knows for certain without reading, so whatever
speaks against it counts: a paraphrase left in a row costs little, content taken out spoils the row.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations, takewhile

import numpy as np

from levertune.anchors.pieces import count_words, is_layout, piece_spans
from levertune.anchors.unspaced import SPELT, UNSPACED
from levertune.data.records import Record
from levertune.data.row_texts import split_tokens, split_words

# Instructions longer than this are passages, tables or schemas more often than not.
_MAX_WORDS = 40
# Fewer rows cannot show at the level below that answers go with the texts: of two groups of four
# and four there are 70 in all.
_MIN_ROWS = 10
_MAX_P = 0.01
_SHUFFLES = 999
_MOST_ROWS = 200
_MIN_IN_COMMON = 2
_FEW_WORDS = 3
# Shorter words are mostly those of any sentence; scripts without case are written more tightly.
_LONG_CASED, _LONG_UNCASED = 4, 3

Groups = Mapping[str, Sequence[Record]]
"""The rows that open with each text."""


def find_doubt(groups: Groups) -> str | None:
    """Find what speaks against texts being paraphrases of one instruction.

    In this order:

    - without the texts, equal prompts would have different answers;
    - one is longer than 40 words;
    - one is in Thai, Lao, Burmese or Khmer, where no rule finds the words to compare;
    - of two at least half is the same, word by word or but for up to three words at one place, as
      of a form that is filled in;
    - one has fewer than two longer words in common with at least half of the texts that are not
      words of the rows' own texts as well;
    - there are fewer than ten rows, too few to show anything of the answers;
    - the answers go with the texts: those of rows that open alike have more words in common, or
      repeat more words of their own opening, than chance gives (a permutation test at 0.01).

    Args:
        groups: The rows that open with each text.

    Returns:
        The first of these, as the reason to leave the texts alone; None if nothing does.
    """
    if _makes_conflicts(groups):
        return "without them equal prompts would have different answers"
    texts = list(groups)
    longest = max(texts, key=count_words)
    if count_words(longest) > _MAX_WORDS:
        return f"{quote(longest)} is long for an instruction ({count_words(longest)} words)"
    if spelt := next((text for text in texts if SPELT.search(text)), None):
        return f"{quote(spelt)} is in a script without spaces, so its words cannot be compared"
    if twins := _find_twins(texts):
        return f"{quote(twins[0])} and {quote(twins[1])} are alike but for a few words"
    if (stranger := _find_stranger(groups)) is not None:
        return f"{quote(stranger)} has few words in common with the others"
    num_rows = sum(map(len, groups.values()))
    if num_rows < _MIN_ROWS:
        return f"{num_rows} rows are too few to show whether their answers depend on them"
    if _answers_go_with(groups):
        return "the answers go with them"
    return None


def quote(text: str, length: int = 80) -> str:
    """A text in quotes on one line, its end left out where it is long.

    Args:
        text: The text.
        length: Most characters of it.
    """
    line = " ".join(text.split())
    return repr(line if len(line) <= length else line[: length - 3] + "...")


def _own_text(record: Record, text: str) -> str:
    """What a row's last user turn says behind its opening."""
    return record.user_text.removeprefix(text).strip()


def _makes_conflicts(groups: Groups) -> bool:
    answers: dict[tuple[object, ...], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for text, records in groups.items():
        for record in records:
            key = (*record.prompt[:-1], _own_text(record, text))
            answers[key][text].add(record.completion.strip())
    # What the rows of one text contradict each other in was there before.
    return any(
        len(set().union(*by_text.values())) > max(map(len, by_text.values()))
        for by_text in answers.values()
        if len(by_text) > 1
    )


def _find_twins(texts: Sequence[str]) -> tuple[str, str] | None:
    words = {text: _split(text) for text in texts}
    for one, other in combinations(texts, 2):
        if _is_same_form(words[one], words[other]):
            return one, other
    return None


def _is_same_form(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether at least half is the same: word by word, or but for a few words at one place."""
    longer = max(len(one), len(other))
    if len(one) == len(other):
        return 2 * sum(map(str.__eq__, one, other)) >= longer
    same = _count_same(one, other)
    same += _count_same(one[same:][::-1], other[same:][::-1])
    return 2 * same >= longer and longer - same <= _FEW_WORDS


def _count_same(one: Sequence[str], other: Sequence[str]) -> int:
    """Words that both begin with."""
    same = map(str.__eq__, one, other)
    return sum(takewhile(bool, same))


def _find_stranger(groups: Groups) -> str | None:
    words = {text: _long_words(text) for text in groups}
    rows = _draw_rows(groups)
    own = Counter(
        word
        for text, record in rows
        for word in _long_words(_without_layout(_own_text(record, text)))
    )
    counts = Counter(word for found in words.values() for word in found)
    common = {
        word
        for word, count in counts.items()
        if count >= max(2, len(groups) / 2) and own[word] / len(rows) < count / len(groups) / 2
    }
    return next((text for text in groups if len(words[text] & common) < _MIN_IN_COMMON), None)


def _without_layout(text: str) -> str:
    """A text without labels and headings, which are often named in the instruction."""
    pieces = [text[start:end] for start, end in piece_spans(text)]
    return "\n".join(piece for piece in pieces if not is_layout(piece))


def _long_words(text: str) -> set[str]:
    """The longer words of a text; of a script without spaces, each two characters in a row."""
    found = set()
    for word in split_words(text):
        if UNSPACED.search(word):
            found |= {word[at : at + 2] for at in range(len(word) - 1)}
        elif len(word) >= (_LONG_CASED if word.upper() != word.lower() else _LONG_UNCASED):
            found.add(word)
    return found


def _answers_go_with(groups: Groups) -> bool:
    """Whether the answers differ by opening more than those of rows put together at random.

    Two sums over the rows are compared with those after the openings were dealt out anew: how much
    alike the answers of one opening are (the Jaccard index of their words, as in a permutation test
    of distances: Mielke and Berry, 2007, "Permutation Methods"), and how many words of its own
    opening, that not all openings have, an answer repeats.
    """
    rows = _draw_rows(groups)
    answers = [set(_split(row.completion)) or {row.completion.strip()} for _, row in rows]
    alike = _jaccard(answers)
    openings = [set(_split(text)) for text in groups]
    in_all = set.intersection(*openings)
    repeated = np.array([[len(words & one - in_all) for one in openings] for words in answers])
    index = {text: at for at, text in enumerate(groups)}
    dealt = np.array([index[text] for text, _ in rows])
    rng = np.random.default_rng(0)

    def sums(dealt: np.ndarray) -> np.ndarray:
        members = np.eye(len(openings))[dealt]
        return np.array([(members * (alike @ members)).sum(), (members * repeated).sum()])

    found = sums(dealt) - 1e-9
    as_much = np.array([sums(rng.permutation(dealt)) >= found for _ in range(_SHUFFLES)])
    return bool((1 + as_much.sum(axis=0)).min() <= _MAX_P * (1 + _SHUFFLES))


def _draw_rows(groups: Groups) -> list[tuple[str, Record]]:
    """Rows with their opening: all of them, or as many as are looked at word by word."""
    rows = [(text, record) for text, records in groups.items() for record in records]
    if len(rows) <= _MOST_ROWS:
        return rows
    drawn = np.random.default_rng(0).choice(len(rows), _MOST_ROWS, replace=False)
    return [rows[at] for at in sorted(drawn)]


def _jaccard(sets: Sequence[set[str]]) -> np.ndarray:
    """The Jaccard index of each two sets, none of them empty."""
    columns = {
        word: at for at, word in enumerate(dict.fromkeys(w for s in sets for w in sorted(s)))
    }
    held = np.zeros((len(sets), len(columns)), dtype=np.float32)
    for row, words in enumerate(sets):
        held[row, [columns[word] for word in words]] = 1
    shared = held @ held.T
    sizes = held.sum(axis=1)
    return np.asarray(shared / (sizes[:, None] + sizes[None, :] - shared))


def _split(text: str) -> list[str]:
    """Words and signs in one case; each character of a script without spaces by itself."""
    return [
        part
        for token in split_tokens(text)
        for part in re.split(f"({UNSPACED.pattern})", token)
        if part
    ]
