"""What went into a run, as `result.json` describes it: settings, data, model and metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class AutoSetting:
    """A setting the recipe left to levertune.

    Args:
        key: Dotted recipe key.
        value: What was chosen.
        reason: Why, in one sentence.
    """

    key: str
    value: Any
    reason: str


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """The task data.

    Args:
        path: Name of the file, without folders, or of the Hub dataset.
        rows: Rows in all.
        train_rows: Rows trained on (in each fold, on average).
        test_rows: Rows tested on (over all folds).
        tokens: Tokens of the task rows, each counted once; of those drawn, where a subset was.
        kind: Kind of task: `json`, `label`, `number`, `code` or `text`.
        kind_reason: What the kind was recognised by.
        schema: Schema of the rows, as `prompt/completion`.
        sha256: Hash of the file.
        test_mode: Where the test rows came from: `file`, `holdout` or `cv`.
        folds: Folds of the cross-validation; None without one.
        regime: Size class of the task, as `10^4 to 10^5 task tokens`.
        labels: The labels of a labelling task; None for other kinds.
        parted_rows: Rows of near-duplicate groups too large for one side, which stand in training
            and test both; `near_groups.jsonl` lists them. None if they were not looked for.
    """

    path: str
    rows: int
    train_rows: int
    test_rows: int
    tokens: int | None
    kind: str
    kind_reason: str
    schema: str
    sha256: str
    test_mode: Literal["file", "holdout", "cv"]
    folds: int | None
    regime: str
    labels: tuple[str, ...] | None = None
    parted_rows: int | None = None


@dataclass(frozen=True, slots=True)
class AnchorInfo:
    """The anchor the `tell` arms used.

    Args:
        id: Content hash.
        text: Its words.
        placement: `prefix`, `system` or `suffix`.
        lead_in: What every answer starts with, or None.
        dropout: Share of task exposures trained without it.
        tokens: Tokens it costs on each row; None if not counted.
        reason: Where it came from.
        served_tokens: Tokens it costs on each request, after it was changed while training; None
            if not counted.
    """

    id: str
    text: str
    placement: str
    lead_in: str | None
    dropout: float
    tokens: int | None
    reason: str
    served_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class GeneralInfo:
    """One source of general rows.

    Args:
        name: Name of the source, without folders.
        rows_available: Rows it has.
        rows_used: Rows trained on.
        tokens: Tokens of the rows used; None if not counted.
        sha256: Hash of the source.
    """

    name: str
    rows_available: int
    rows_used: int
    tokens: int | None
    sha256: str


@dataclass(frozen=True, slots=True)
class LeakInfo:
    """Rows of one set that are like rows of another, by kind; `leaks.jsonl` lists them.

    Args:
        sets: The two sets: `train-test` counts test rows, `general-test` and `general-train` count
            general rows.
        kind: How they are alike; a row counts once, by the first of these that holds.
        rows: How many rows.
        dropped: How many of these were left out.
    """

    sets: Literal["train-test", "general-test", "general-train"]
    kind: Literal["exact", "prompt", "near", "contained", "13-gram"]
    rows: int
    dropped: int


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The base model.

    Args:
        name: Name of the model, without folders.
        sha256: Hash of its weights; None if not taken.
        parameters: Parameters in all.
        trainable_parameters: Parameters of the adapter.
        dtype: Number type of the weights in training.
        device: Kind of device, as `cpu` or `cuda`.
        quantization: What its linear layers were kept in, as `nf4`; None in that number type.
    """

    name: str
    sha256: str | None
    parameters: int
    trainable_parameters: int
    dtype: str
    device: str
    quantization: str | None = None


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """One metric.

    Args:
        name: Identifier, the key in every `scores`.
        title: Name for people.
        higher_is_better: Direction.
        points_per_unit: What values are multiplied with where they are shown: 100 for a metric
            that ends at 1, so that it is shown in points. Values in the file are never multiplied.
    """

    name: str
    title: str
    higher_is_better: bool
    points_per_unit: float = 1.0


@dataclass(frozen=True, slots=True)
class MetricsInfo:
    """The metrics of the run.

    Args:
        primary: Name of the metric that decides.
        reason: Why that one.
        all: Every metric, the primary one first.
    """

    primary: str
    reason: str
    all: tuple[MetricInfo, ...]
