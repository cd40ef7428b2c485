"""What `levertune check` finds, as one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from levertune.data.language import LanguageFit
from levertune.data.leak_policy import Leakage
from levertune.data.overlaps import RowGroup


@dataclass(frozen=True, slots=True)
class SourceSummary:
    """What one file holds.

    Args:
        source: Name of the source.
        path: The path or name as the user gave it.
        file_format: Format of the file.
        schema: Schema recognised.
        rows: Number of rows.
        tokens: Tokens of prompts and completions as bare text.
        is_estimated: Whether tokens are estimated from some rows (above 20,000 rows).
        unused_columns: Columns that nothing is read from.
        over_length: Ids of the rows longer than `max_length`.
    """

    source: str
    path: str
    file_format: str
    schema: str
    rows: int
    tokens: int
    is_estimated: bool
    unused_columns: tuple[str, ...]
    over_length: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Regime:
    """How scarce the task data is.

    Args:
        name: The range its tokens lie in.
        suggestion: What to do there.
    """

    name: str
    suggestion: str


@dataclass(frozen=True, slots=True)
class CheckReport:
    """Everything `levertune check` finds.

    Args:
        task: The task file.
        test: The test file, or None if there is none.
        general: The general files.
        max_length: Most tokens of a row.
        instruction: The instruction the task rows share, or None.
        duplicates: Task rows that stand in the file more than once.
        conflicts: Task rows that answer one prompt differently.
        near_duplicates: Groups of nearly equal task prompts; None if there were too many rows.
        test_in_task: Test rows like the task rows trained on.
        general_in_test: General rows like test rows; all task rows in cross-validation.
        general_in_task: General rows like task rows, where these are not all test rows.
        labels: Rows by label, where the completions are labels.
        unseen_labels: Labels of test rows that no task row has.
        rendered_tokens: Tokens of the task rows in the model's chat form, as a run counts them.
        regime: How scarce the task data is, by these tokens.
        language: How the tokenizer takes to the language, or None without text to compare.
        warnings: What to look at, one sentence each.
    """

    task: SourceSummary
    test: SourceSummary | None
    general: tuple[SourceSummary, ...]
    max_length: int
    instruction: str | None
    duplicates: tuple[RowGroup, ...]
    conflicts: tuple[RowGroup, ...]
    near_duplicates: tuple[RowGroup, ...] | None
    test_in_task: Leakage
    general_in_test: Leakage
    general_in_task: Leakage
    labels: Mapping[str, int] | None
    unseen_labels: tuple[str, ...]
    rendered_tokens: int
    regime: Regime
    language: LanguageFit | None
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON values; of the rows' text only labels and the instruction."""
        report = asdict(self)
        if self.language is not None:
            report["language"]["ratio"] = self.language.ratio
        return report
