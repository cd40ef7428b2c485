"""Whether two rows that nearly equal one another say the same."""

from __future__ import annotations

from levertune.data.row_texts import RowTexts, bare_text
from levertune.data.word_runs import numbers_in


def are_one_prompt(left: RowTexts, right: RowTexts) -> bool:
    """Whether nearly equal prompts are one: they have the same numbers, and the answers agree."""
    return numbers_in(left.prompt) == numbers_in(right.prompt) and answers_agree(
        left.answer, right.answer
    )


def answers_agree(left: str, right: str) -> bool:
    """Whether two normalised completions say the same.

    They do if they are equal but for marks at the ends of words, if one is missing, or if one is a
    run of words of the other whose other words are not among them: `paris` and `it is paris`, but
    not `jump` and `jump jump`. Answers that are only nearly equal are two answers: in a program or
    a record one word is another meaning.
    """
    short, long = sorted((bare_text(left), bare_text(right)), key=len)
    if not short or short == long:
        return True
    before, found, behind = f" {long} ".partition(f" {short} ")
    return bool(found) and not set(short.split()) & set(f"{before} {behind}".split())
