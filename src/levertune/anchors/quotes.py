"""Whether a text quotes another whole: the comparison behind every rule on leaks in anchors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from levertune.anchors.pieces import count_words
from levertune.data.row_texts import split_words

MIN_QUOTED_WORDS = 5
"""Shorter texts are labels and stock phrases, which an anchor may well name."""

# Few texts have their opening in common with a part of the anchor; only those are looked at whole.
_OPENING_CHARACTERS = 40
_OPENING_KEY = 16


@dataclass(frozen=True, slots=True)
class RowText:
    """A text of a row.

    Args:
        id: Id of the row.
        text: The text.
    """

    id: str
    text: str


class QuotedTexts:
    """Texts of rows that would be known again if another text quoted one of them whole.

    Case, white space and all marks aside, and only texts of at least five words.

    Args:
        texts: The texts; of equal ones the first counts.
    """

    def __init__(self, texts: Iterable[RowText]) -> None:
        seen: set[str] = set()
        self._by_opening: dict[str, list[RowText]] = {}
        for row in texts:
            if row.text not in seen:
                seen.add(row.text)
                opening = spoken(row.text[:_OPENING_CHARACTERS])[:_OPENING_KEY]
                self._by_opening.setdefault(opening, []).append(row)

    def quoted_in(self, text: str) -> Iterator[RowText]:
        """Those of the texts that a text holds whole.

        Args:
            text: What may hold some.

        Yields:
            The texts, each with its row.
        """
        heard = spoken(text)
        for opening, rows in self._by_opening.items():
            if opening in heard:
                yield from (row for row in rows if is_long(row.text) and spoken(row.text) in heard)


def spoken(text: str) -> str:
    """The words of a text in one case, one space between them, without marks."""
    return " ".join(split_words(text))


def is_long(text: str) -> bool:
    """Whether a text has enough words to be known again."""
    return count_words(text) >= MIN_QUOTED_WORDS
