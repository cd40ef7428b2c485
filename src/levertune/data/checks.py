"""The checks of `levertune check` and of every run: what the rows are, what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from levertune.data.check_report import CheckReport, Regime, SourceSummary
from levertune.data.check_warnings import write_warnings
from levertune.data.draws import Item, label_counts, sample_items
from levertune.data.language import (
    ROWS_COMPARED_WITH_ENGLISH,
    TokenCounter,
    compare_with_english,
)
from levertune.data.leak_policy import Leakage
from levertune.data.leaks import Leak, search_leaks, turned_round
from levertune.data.near_duplicates import MAX_NEAR_ROWS, group_near_duplicates
from levertune.data.overlaps import RowGroup
from levertune.data.prepared_rows import PreparedRows
from levertune.data.records import Record, RecordFile
from levertune.data.row_texts import make_own_text, normalize_text
from levertune.data.splits import Split
from levertune.errors import DataError

RowCounter = Callable[[Record], int]
"""Gives the number of tokens of a row as it is trained on: rendered, with anchor and template."""

# Tokens that may merge or part where the turns meet the template; rows this near to the limit are
# rendered and counted exactly.
_SEAM_TOKENS = 16
# Of a file with more rows some are counted, a sample, and the total is said to be estimated:
# counting the tokens of 100,000 rows would take most of the time of a check. Where rows vary by as
# much as they are long, the standard error of the total is 1.4 % (1 over the root of 5,000).
_MAX_COUNTED_ROWS = 20_000
_SAMPLED_ROWS = 5_000


def check_task(
    task: RecordFile,
    *,
    test: RecordFile | None,
    general: Sequence[RecordFile],
    count_tokens: TokenCounter,
    count_row: RowCounter,
    max_length: int,
    leakage: Sequence[Leakage],
    duplicates: Sequence[RowGroup],
    conflicts: Sequence[RowGroup],
    instruction: str | None = None,
    english: Sequence[str] = (),
    unseen: Sequence[str] = (),
    rendered_tokens: int,
) -> CheckReport:
    """Describe the rows of a task before anything is trained.

    What stops a run is refused where the rows are read and split (`runs.inputs`).

    Args:
        task: The task rows.
        test: The test rows, or None if they will come from the task rows.
        general: The general rows, those that leak among them.
        count_tokens: Counts the tokens of bare texts.
        count_row: Counts the tokens of a rendered row; called for rows near the limit only.
        max_length: Most tokens of a row.
        leakage: Rows of one set like rows of another, for each two sets.
        duplicates: Task rows equal to one another.
        conflicts: Task rows that answer one prompt differently.
        instruction: The instruction the task rows share.
        english: English texts to compare the language with.
        unseen: Labels of test rows that no training row has.
        rendered_tokens: Tokens of the task rows in the model's chat form, as a run counts them.

    Returns:
        The report.
    """
    summaries = [
        _summarize(file, count_tokens, count_row, max_length)
        for file in (task, *((test,) if test else ()), *general)
    ]
    task_summary, rest = summaries[0], summaries[1:]
    leaks = {found.sets: found for found in leakage}
    own_text = make_own_text(instruction)
    sample = sample_items(task.records, ROWS_COMPARED_WITH_ENGLISH)
    report = CheckReport(
        task=task_summary,
        test=rest.pop(0) if test else None,
        general=tuple(rest),
        max_length=max_length,
        instruction=instruction,
        duplicates=tuple(duplicates),
        conflicts=tuple(conflicts),
        near_duplicates=_near_groups(task.records, instruction),
        test_in_task=leaks["train-test"],
        general_in_test=leaks["general-test"],
        general_in_task=leaks["general-train"],
        labels=label_counts(task.records),
        unseen_labels=tuple(unseen),
        rendered_tokens=rendered_tokens,
        regime=find_regime(rendered_tokens),
        language=compare_with_english(
            [own_text(record) for record in sample],
            [record.completion for record in sample],
            english,
            count_tokens,
        ),
        warnings=(),
    )
    return replace(report, warnings=write_warnings(report))


def require_task_rows(task: RecordFile) -> None:
    """Refuse a task of one row.

    Args:
        task: The task rows.

    Raises:
        DataError: If there are fewer than two.
    """
    if len(task.records) < 2:
        raise DataError(
            f"{task.path}: must hold at least two task rows; found {len(task.records)}. "
            "Add rows: with one, nothing can be trained and tested apart."
        )


def require_rows_that_fit(
    path: str,
    too_long: Sequence[Mapping[str, str]],
    num_rows: int,
    *,
    max_length: int,
    allow_dropped: bool,
    num_by_anchor: int = 0,
) -> None:
    """Refuse training rows that are too long, unless leaving them out is allowed and some are left.

    Args:
        path: The task file.
        too_long: `{"id", "reason"}` of each row that does not fit.
        num_rows: How many rows there are to train on.
        max_length: Most tokens of a row.
        allow_dropped: Whether the user allowed it by name.
        num_by_anchor: How many of them would fit without their anchor.

    Raises:
        DataError: If no row fits, or one does not and that is not allowed.
    """
    anchored = (
        f", {num_by_anchor} of them only with the anchor: shorten anchor.text too"
        if num_by_anchor
        else ""
    )
    if too_long and len(too_long) >= num_rows:
        raise DataError(
            f"{path}: all {num_rows} task rows are longer than training.max_length; found "
            f"max_length {max_length}. Raise it or shorten the rows{anchored}."
        )
    if too_long and not allow_dropped:
        raise DataError(
            f"{path}: {len(too_long)} of {num_rows} task rows are longer than "
            f"training.max_length={max_length}; found row {too_long[0]['id']!r} with "
            f"{too_long[0]['reason']}{anchored}. Raise it, or leave them out with "
            "task.allow_dropped=true."
        )


def find_test_rows_in_task(
    splits: Sequence[Split], *, instruction: str | None = None, train: PreparedRows | None = None
) -> Leakage:
    """The test rows that are, or are nearly, rows trained on beside them.

    Args:
        splits: The rows to train and to test on: one split, or one a fold.
        instruction: The instruction the rows share.
        train: The training rows of the only split, where they are prepared already.
    """
    found = [search_leaks(train or s.train, s.test, instruction=instruction) for s in splits]
    return Leakage(
        "train-test",
        tuple(leak for one in found for leak in turned_round(one.leaks)),
        {},
        tuple(dict.fromkeys(record.id for one in found for record in one.passed_over)),
    )


def require_no_test_rows_in_task(
    test: RecordFile, leaks: Sequence[Leak], *, allow_overlap: bool
) -> None:
    """Refuse test rows that are training rows too: their prompt and completion are equal.

    Args:
        test: The test rows.
        leaks: Test rows like training rows, as `find_test_rows_in_task` gives them.
        allow_overlap: Whether the user allowed it by name.

    Raises:
        DataError: If there is such a row and it is not allowed.
    """
    exact = [leak for leak in leaks if leak.kind == "exact"]
    if exact and not allow_overlap:
        raise DataError(
            f"{test.path}: {len(exact)} of {len(test.records)} test rows are training rows too; "
            f"found test row {exact[0].id!r} as training row {exact[0].like_id!r}. "
            "Remove them from one file, or allow it with task.allow_overlap=true."
        )


def unseen_labels(train: Sequence[Record], test: Sequence[Record]) -> list[str]:
    """Labels of test rows that no training row has; none where the completions are no labels."""
    if label_counts([*train, *test]) is None:
        return []
    seen = {record.completion.strip() for record in train}
    return sorted({record.completion.strip() for record in test} - seen)


def find_regime(tokens: int) -> Regime:
    """The range that a task's tokens lie in, and what it suggests.

    The ranges are those of the TELL paper (arXiv 2404.00914), which reports 10^4 to 10^6 tokens.
    """
    if tokens < 10_000:
        return Regime(
            "under 10^4 task tokens",
            "Below the range the method was reported for: use every row, cross-validate, and "
            "expect wide intervals; each further row counts.",
        )
    if tokens < 100_000:
        return Regime(
            "10^4 to 10^5 task tokens",
            "The range leverage learning is meant for: compare tell with sft-steps.",
        )
    if tokens < 1_000_000:
        return Regime(
            "10^5 to 10^6 task tokens",
            "Leverage may still pay; plain fine-tuning is a strong rival here, so measure both.",
        )
    return Regime(
        "10^6 task tokens or more",
        "More than scarce: begin with plain fine-tuning, and mix general rows for retention.",
    )


def rows_to_count(items: Sequence[Item]) -> Sequence[Item]:
    """All of up to 20,000 rows; of more, 5,000 drawn with a fixed seed."""
    return sample_items(items, _SAMPLED_ROWS) if len(items) > _MAX_COUNTED_ROWS else items


def _summarize(
    file: RecordFile, count_tokens: TokenCounter, count_row: RowCounter, max_length: int
) -> SourceSummary:
    texts = [_bare_text(record) for record in file.records]
    counted = rows_to_count(texts)
    sample = count_tokens(counted)
    return SourceSummary(
        source=file.records[0].source if file.records else file.path,
        path=file.path,
        file_format=file.file_format,
        schema=file.schema,
        rows=len(file.records),
        tokens=round(sum(sample) / len(sample) * len(texts)) if sample else 0,
        is_estimated=len(counted) < len(texts),
        unused_columns=file.unused_columns,
        over_length=_find_over_length(file.records, texts, count_tokens, count_row, max_length),
    )


def _find_over_length(
    records: Sequence[Record],
    texts: Sequence[str],
    count_tokens: TokenCounter,
    count_row: RowCounter,
    max_length: int,
) -> tuple[str, ...]:
    """Ids of the rows that are too long, found exactly though few rows are rendered.

    A token takes at least one byte, so rows of few bytes fit; of the others those of few tokens do.
    """
    overheads: dict[tuple[str, ...], int] = {}
    for record, text in zip(records, texts, strict=True):
        roles = tuple(turn.role for turn in record.prompt)
        if roles not in overheads:
            added = count_row(record) - count_tokens([text])[0]
            overheads[roles] = max(added, 0) + _SEAM_TOKENS
    room = [max_length - overheads[tuple(turn.role for turn in r.prompt)] for r in records]
    large = [i for i, text in enumerate(texts) if len(text.encode("utf-8")) > room[i]]
    counts = count_tokens([texts[i] for i in large])
    near = [i for i, count in zip(large, counts, strict=True) if count > room[i]]
    return tuple(records[i].id for i in near if count_row(records[i]) > max_length)


def _bare_text(record: Record) -> str:
    return "\n".join([*(turn.content for turn in record.prompt), record.completion])


def _near_groups(records: Sequence[Record], instruction: str | None) -> tuple[RowGroup, ...] | None:
    if len(records) > MAX_NEAR_ROWS:
        return None
    own_text = make_own_text(instruction)
    groups: dict[int, list[str]] = {}
    labels = group_near_duplicates([normalize_text(own_text(record)) for record in records])
    for record, label in zip(records, labels, strict=True):
        groups.setdefault(label, []).append(record.id)
    return tuple(RowGroup(tuple(ids)) for ids in groups.values() if len(ids) > 1)
