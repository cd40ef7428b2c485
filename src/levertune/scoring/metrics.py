"""The metrics by name, each with its direction and range, and the one call that scores rows."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any, Literal

from levertune.errors import RecipeError
from levertune.scoring.custom import load_function, score_custom
from levertune.scoring.exactness import (
    score_character_edit_similarity,
    score_exact_match,
    score_token_edit_similarity,
)
from levertune.scoring.json_slots import score_json_equal, score_json_f1, score_json_valid
from levertune.scoring.labels import (
    score_accuracy,
    score_balanced_accuracy,
    score_macro_f1,
    score_mcc,
)
from levertune.scoring.scored import Scored
from levertune.scoring.text_overlap import score_bleu, score_chrf, score_rouge_l

MetricKind = Literal["string", "label", "json", "text", "custom"]


@dataclass(frozen=True)
class Metric:
    """A way to score predictions against references.

    Args:
        name: What a recipe calls it.
        title: What a page calls it.
        higher_is_better: Direction.
        minimum: Lowest value, None if there is none.
        maximum: Highest value, None if there is none.
        kind: What it reads an answer as.
        scorer: The function behind `score`.
    """

    name: str
    title: str
    higher_is_better: bool
    minimum: float | None
    maximum: float | None
    kind: MetricKind
    scorer: Callable[..., Scored] = field(repr=False, compare=False)

    @property
    def points_per_unit(self) -> float:
        """What to multiply a value with to show it in points: 100 for a metric that ends at 1."""
        return 100.0 if self.maximum == 1.0 else 1.0

    def score(
        self,
        predictions: Sequence[str],
        references: Sequence[Sequence[str]],
        *,
        labels: Sequence[str] | None = None,
    ) -> Scored:
        """Score predictions row by row.

        Args:
            predictions: One answer a row.
            references: The right answers of each row, at least one.
            labels: The known labels, for label metrics: pass the labels of the training rows too,
                so that a known label that is absent from these references is not counted as
                unparseable. Other metrics ignore it.

        Returns:
            The scored rows.

        Raises:
            ValueError: If the lengths differ or a row has no reference.
            UserError: If a user's own function fails or gives no finite number.
        """
        if len(predictions) != len(references):
            raise ValueError(f"{len(predictions)} predictions for {len(references)} rows")
        for number, row in enumerate(references):
            if isinstance(row, str) or not row:
                raise ValueError(f"references[{number}] must be a list of texts, got {row!r}")
        if self.kind == "label":
            return self.scorer(predictions, references, labels)
        return self.scorer(predictions, references)


def _metrics(*rows: tuple[Any, ...]) -> Mapping[str, Metric]:
    metrics = [
        Metric(name, title, True, minimum, maximum, kind, scorer)
        for name, title, minimum, maximum, kind, scorer in rows
    ]
    return MappingProxyType({metric.name: metric for metric in metrics})


METRICS: Mapping[str, Metric] = _metrics(
    ("exact_match", "exact match", 0.0, 1.0, "string", score_exact_match),
    (
        "token_edit_similarity",
        "token edit similarity",
        0.0,
        1.0,
        "string",
        score_token_edit_similarity,
    ),
    (
        "character_edit_similarity",
        "character edit similarity",
        0.0,
        1.0,
        "string",
        score_character_edit_similarity,
    ),
    ("accuracy", "accuracy", 0.0, 1.0, "label", score_accuracy),
    ("balanced_accuracy", "balanced accuracy", 0.0, 1.0, "label", score_balanced_accuracy),
    ("macro_f1", "macro F1", 0.0, 1.0, "label", score_macro_f1),
    ("mcc", "Matthews correlation", -1.0, 1.0, "label", score_mcc),
    ("json_valid", "JSON validity", 0.0, 1.0, "json", score_json_valid),
    ("json_equal", "JSON equality", 0.0, 1.0, "json", score_json_equal),
    ("json_f1", "slot F1", 0.0, 1.0, "json", score_json_f1),
    ("chrf", "chrF", 0.0, 100.0, "text", score_chrf),
    ("bleu", "BLEU", 0.0, 100.0, "text", score_bleu),
    ("rouge_l", "ROUGE-L", 0.0, 1.0, "text", score_rouge_l),
)
"""Every metric levertune brings, by name. Higher is better for each of them."""


def find_metric(name: str) -> Metric:
    """The metric of that name, or a user's own (`module:function`; higher must be better).

    Args:
        name: A key of `METRICS`, or `module:function`.

    Returns:
        The metric.

    Raises:
        RecipeError: If there is none; the nearest known name is offered.
    """
    if name in METRICS:
        return METRICS[name]
    if ":" in name:
        function = load_function(name)
        scorer = partial(score_custom, name, function)
        return Metric(name, name.partition(":")[2], True, None, None, "custom", scorer)
    near = difflib.get_close_matches(name.lower(), METRICS, n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    raise RecipeError(
        f"task.metric: is no known metric; found {name!r}. {hint}"
        f"Known: {', '.join(METRICS)}; or your own as module:function."
    )
