"""Choose the self-written rows to ship: judged one by one, then against each other."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from self_rules import body_of, reason_against

from levertune.selfdata.rules import words_of

MAX_PROMPT_JACCARD = 0.7
# Without the wish for brevity: short requests about different things share most of their words, so
# the limit is higher than for whole prompts.
MAX_BODY_JACCARD = 0.8
MAX_ANSWER_JACCARD = 0.7
QUOTED_RUN = 5
# Words of `make_self_rows.HELD_TOPICS`: a row with one of them is for the retention probe or for
# nothing. Topics come from the words and not from the hint, since the model often ignores the hint.
HELD = re.compile(
    r"volcan|\bchess|\bhoney|lighthouse|\bdesert|\bwhale|\bviolin|umbrella|\btea\b|\bteas\b|dinosaur|"
    r"passport|\bcloud|\bladder|\bmarathon|\bmagnet|\btheat(re|er)|\bmirror|\bropes?\b|penguin|\bcandle",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Choice:
    """The rows chosen.

    Args:
        general: Rows of `embedded-self`.
        retention: Rows for the retention probe, all on held topics.
        dropped: How many candidates each reason dropped.
    """

    general: list[dict[str, str]]
    retention: list[dict[str, str]]
    dropped: Counter[str]


class NearCopies:
    """The word sets seen so far, and whether a new one is too close to one of them."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._sets: list[frozenset[str]] = []
        self._by_word: dict[str, list[int]] = defaultdict(list)

    def has(self, words: Iterable[str]) -> bool:
        """Whether a set with Jaccard similarity of at least the limit was added before."""
        new = frozenset(words)
        shared = Counter(i for word in new for i in self._by_word.get(word, ()))
        return any(
            count / (len(new) + len(self._sets[i]) - count) >= self._limit
            for i, count in shared.items()
        )

    def add(self, words: Iterable[str]) -> None:
        """Remember a word set."""
        new = frozenset(words)
        for word in new:
            self._by_word[word].append(len(self._sets))
        self._sets.append(new)


def choose(
    candidates: Iterable[dict], *, openers: Sequence[str], task_texts: Iterable[str]
) -> Choice:
    """Keep the candidates that pass every rule and are near no row kept before.

    Args:
        candidates: Rows as `sample` writes them, in order; the first of near copies is kept.
        openers: The first words that were given to the model; a row's family is its opener.
        task_texts: Texts of the shipped tasks; a row sharing five words in a row with one is
            dropped.
    """
    quotes = {run for text in task_texts for run in _runs(text)}
    prompts, bodies = NearCopies(MAX_PROMPT_JACCARD), NearCopies(MAX_BODY_JACCARD)
    answers = NearCopies(MAX_ANSWER_JACCARD)
    dropped: Counter[str] = Counter()
    general: list[dict[str, str]] = []
    retention: list[dict[str, str]] = []
    for row in candidates:
        if not row.get("response_finished"):
            dropped["never_ended"] += 1
            continue
        prompt, answer = row["prompt"].strip(), row["response"].strip()
        reason = reason_against(prompt, answer)
        if reason is None and quotes & (_runs(prompt) | _runs(answer)):
            reason = "quotes_a_task"
        if reason is None and not HELD.search(prompt) and HELD.search(answer):
            reason = "held_topic_in_the_answer_only"
        words, body, said = words_of(prompt), words_of(body_of(prompt)), words_of(answer)
        if reason is None and (prompts.has(words) or bodies.has(body) or answers.has(said)):
            reason = "near_copy"
        if reason is not None:
            dropped[reason] += 1
            continue
        prompts.add(words)
        bodies.add(body)
        answers.add(said)
        target, stem = (retention, "self-held") if HELD.search(prompt) else (general, "self")
        target.append(
            {
                "id": f"{stem}-{len(target):04d}",
                "prompt": prompt,
                "response": answer,
                "family": _family(prompt, openers),
            }
        )
    return Choice(general, retention, dropped)


def _runs(text: str) -> set[tuple[str, ...]]:
    words = words_of(text)
    return {tuple(words[i : i + QUOTED_RUN]) for i in range(len(words) - QUOTED_RUN + 1)}


def _family(prompt: str, openers: Sequence[str]) -> str:
    # The longest opener that fits: one opener may begin another.
    opener = max((o for o in openers if prompt.startswith(o)), key=len)
    return "self_" + "_".join(words_of(opener))
