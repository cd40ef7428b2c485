"""The warnings of `levertune check`: what was found, counted, with the first few rows by id."""

from __future__ import annotations

from collections.abc import Sequence

from levertune.data.check_report import CheckReport
from levertune.data.near_duplicates import MAX_NEAR_ROWS
from levertune.data.overlaps import Overlap, OverlapKind, RowGroup

_NUM_SHOWN = 5


def write_warnings(report: CheckReport, *, general_rows_asked: int | None) -> tuple[str, ...]:
    """Put what deserves a look into sentences.

    Args:
        report: The report, its warnings still empty.
        general_rows_asked: General rows a run will ask for, if a number is set.

    Returns:
        The sentences.
    """
    warnings: list[str] = []
    if report.conflicts:
        warnings.append(
            f"{_count(len(report.conflicts), 'prompt')} with conflicting completions: rows "
            f"{_list_groups(report.conflicts)}. Only one of them can be learnt."
        )
    if report.duplicates:
        extra = sum(len(group.ids) - 1 for group in report.duplicates)
        warnings.append(
            f"{_count(extra, 'task row')} standing in the file before: rows "
            f"{_list_groups(report.duplicates)}."
        )
    for summary in (report.task, *((report.test,) if report.test else ()), *report.general):
        if summary.over_length:
            warnings.append(
                f"{_count(len(summary.over_length), 'row')} of {summary.path} longer than "
                f"{report.max_length} tokens, to be dropped whole: "
                f"{_list_ids(summary.over_length)}. Raise training.max_length to keep them."
            )
    warnings += _overlap_warnings(report)
    if report.unseen_labels:
        warnings.append(
            f"{_count(len(report.unseen_labels), 'label')} of test rows never seen in training: "
            f"{_list_ids(report.unseen_labels)}. No model can learn these."
        )
    num_general = sum(summary.rows for summary in report.general)
    if general_rows_asked is not None and num_general < general_rows_asked:
        warnings.append(
            f"general.rows asks for {general_rows_asked} rows and there are {num_general}; "
            "a run takes those."
        )
    if report.near_duplicates is None:
        warnings.append(
            f"Near duplicates were not looked for: more than {MAX_NEAR_ROWS:,} task rows."
        )
    return tuple(warnings)


def _overlap_warnings(report: CheckReport) -> list[str]:
    warnings = []
    kinds: tuple[tuple[OverlapKind, str], ...] = (
        ("exact", "that is a training row too, as allowed"),
        ("prompt", "with the prompt of a training row and another completion"),
        ("13-gram", "with 13 words in a row, or all its words, as in a training row"),
        ("near", "nearly equal to a training row"),
    )
    for kind, phrase in kinds:
        overlaps = [overlap for overlap in report.test_in_task if overlap.kind == kind]
        if overlaps:
            warnings.append(
                f"{_count(len(overlaps), 'test row')} {phrase}: {_list_pairs(overlaps)}. "
                "The score may be too good."
            )
    equal = [o for o in report.general_in_test if o.kind in ("exact", "prompt")]
    if equal:
        warnings.append(
            f"{_count(len(equal), 'general row')} with the prompt of a test row, to be dropped: "
            f"{_list_pairs(equal)}."
        )
    alike = [o for o in report.general_in_test if o.kind not in ("exact", "prompt")]
    if alike:
        warnings.append(
            f"{_count(len(alike), 'general row')} like a test row, to be kept: "
            f"{_list_pairs(alike)}."
        )
    return warnings


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _list_ids(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _NUM_SHOWN} more" if len(ids) > _NUM_SHOWN else ""
    return ", ".join(repr(i)[1:-1] for i in ids[:_NUM_SHOWN]) + more


def _list_groups(groups: Sequence[RowGroup]) -> str:
    more = f" and {len(groups) - _NUM_SHOWN} more" if len(groups) > _NUM_SHOWN else ""
    return "; ".join(_list_ids(group.ids) for group in groups[:_NUM_SHOWN]) + more


def _list_pairs(overlaps: Sequence[Overlap]) -> str:
    more = f" and {len(overlaps) - _NUM_SHOWN} more" if len(overlaps) > _NUM_SHOWN else ""
    pairs = (f"{_list_ids([o.left_id])} = {_list_ids([o.right_id])}" for o in overlaps[:_NUM_SHOWN])
    return ", ".join(pairs) + more
