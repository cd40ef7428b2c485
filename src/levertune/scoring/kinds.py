"""What kind of answer a task wants, told from its completions, and the metrics that fit it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from types import MappingProxyType
from typing import Literal, get_args

from levertune.scoring.json_slots import parse_json

Kind = Literal["json", "label", "number", "code", "text"]

# On tasks with and without labels the shares lie far apart (docs/concepts/metrics.md), so the
# thresholds need no finer tuning.
LABEL_MAX_CHARACTERS = 60
LABEL_MIN_COVERAGE = 0.5
CODE_MAX_CHARACTERS = 200
CODE_MIN_FORMAL_FRACTION = 0.9

_NUMBER = re.compile(r"[-+]?\d+(,\d{3})*(\.\d+)?%?")
_WORD = re.compile(r"[A-Za-z]?[a-z]*(['-][A-Za-z]?[a-z]+)*")
_SENTENCE_MARKS = ".,;:!?\"'()"


@dataclass(frozen=True)
class TaskKind:
    """The kind of answer a task wants.

    Args:
        kind: `json`, `label`, `number`, `code` or `text`.
        reason: Why, in words for the person running it.
        labels: The labels in order of first appearance, empty unless the kind is `label`.
    """

    kind: Kind
    reason: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class MetricChoice:
    """The metrics to report for a task.

    Args:
        primary: The metric that arms are judged on.
        others: The metrics shown beside it, in order.
        reason: Why, in words for the person running it.
    """

    primary: str
    others: tuple[str, ...]
    reason: str

    @property
    def names(self) -> tuple[str, ...]:
        """The primary metric, then the others."""
        return (self.primary, *self.others)


_TABLE: Mapping[Kind, MetricChoice] = MappingProxyType(
    {
        "json": MetricChoice(
            "json_f1",
            ("exact_match", "json_equal", "json_valid"),
            "slot F1 gives credit for each right slot of a JSON answer",
        ),
        "label": MetricChoice(
            "macro_f1",
            ("exact_match", "balanced_accuracy", "mcc"),
            "macro F1 weighs every label alike, so a rare label counts as much as a common one",
        ),
        "number": MetricChoice(
            "exact_match",
            ("character_edit_similarity",),
            "a number is right or wrong: digits in common do not make it nearly right, and the "
            "NLL is the graded figure beside it",
        ),
        "code": MetricChoice(
            "token_edit_similarity",
            ("exact_match", "character_edit_similarity"),
            "token edit similarity gives credit for the right part of a formal string",
        ),
        "text": MetricChoice(
            "chrf",
            ("exact_match", "bleu", "rouge_l", "character_edit_similarity"),
            "chrF compares texts by their character n-grams, in any language",
        ),
    }
)


def recognise_kind(completions: Sequence[str]) -> TaskKind:
    """Tell the kind of a task from its completions: the first that fits of the decision table.

    Args:
        completions: The wanted answers, the more the better; pass test rows along with training
            rows, as labels show only where answers come back.

    Returns:
        The kind, with the reason.

    Raises:
        ValueError: If there are no completions.
    """
    if not completions:
        raise ValueError("recognise_kind needs at least one completion")
    answers = [text.strip() for text in completions]
    num_rows = len(answers)
    if all(isinstance(parse_json(text), (dict, list)) for text in answers):
        return TaskKind("json", f"all {num_rows} answers parse as a JSON object or list")
    counts = Counter(answers)
    num_recurring = num_rows - sum(count == 1 for count in counts.values())
    if (
        num_recurring >= LABEL_MIN_COVERAGE * num_rows
        and num_rows > 1
        and all(len(text) <= LABEL_MAX_CHARACTERS and "\n" not in text for text in answers)
    ):
        return TaskKind(
            "label",
            f"{num_recurring} of {num_rows} answers are short and occur more than once "
            f"({len(counts)} different ones in all)",
            labels=tuple(counts),
        )
    if all(_NUMBER.fullmatch(text) for text in answers):
        return TaskKind("number", f"all {num_rows} answers are numbers")
    num_formal = sum(map(_is_formal, answers))
    if (
        num_formal >= CODE_MIN_FORMAL_FRACTION * num_rows
        and median(map(len, answers)) <= CODE_MAX_CHARACTERS
    ):
        return TaskKind(
            "code", f"{num_formal} of {num_rows} answers are formal strings, not words in a row"
        )
    return TaskKind("text", f"the {num_rows} answers are neither JSON, labels nor formal strings")


def choose_metrics(kind: TaskKind | Kind, metric: str = "auto") -> MetricChoice:
    """The metrics for a kind of task, by the decision table in docs/concepts/metrics.md.

    Args:
        kind: What `recognise_kind` gave, or its `kind`.
        metric: `auto`, or the metric the user named (`find_metric` checks it): it becomes the
            primary one, and those of the table stand beside it, exact match first.

    Returns:
        The choice, with the reason.

    Raises:
        ValueError: If there is no such kind.
    """
    name = kind.kind if isinstance(kind, TaskKind) else kind
    if name not in _TABLE:
        raise ValueError(f"kind must be one of {list(get_args(Kind))}, got {name!r}")
    choice = _TABLE[name]
    if metric == "auto":
        return choice
    # Exact match first, the rest in the table's order (sorting is stable).
    others = sorted(
        (other for other in choice.names if other != metric),
        key=lambda other: other != "exact_match",
    )
    return MetricChoice(metric, tuple(others), "named in the recipe")


def _is_formal(text: str) -> bool:
    """Whether a text is a formal string: something in it is no word, and no two words meet.

    A word is letters of one case or capitalised, sentence marks around it apart. A letter outside
    ASCII makes a text natural, so scripts written without spaces are never taken for code.
    """
    if any(letter.isalpha() and not letter.isascii() for letter in text):
        return False
    cores = [core for token in text.split() if (core := token.strip(_SENTENCE_MARKS))]
    are_words = [_WORD.fullmatch(core) is not None for core in cores]
    words_meet = any(first and second for first, second in pairwise(are_words))
    return not all(are_words) and not words_meet
