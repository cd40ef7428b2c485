"""The warnings of `levertune check`: what was found, counted, with the first few rows by id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from levertune.data.check_report import CheckReport
from levertune.data.leak_policy import describe_pairs, warn_of_leakage
from levertune.data.near_duplicates import MAX_NEAR_ROWS
from levertune.data.overlaps import RowGroup

_NUM_SHOWN = 5


def write_warnings(report: CheckReport) -> tuple[str, ...]:
    """Put what deserves a look into sentences.

    Args:
        report: The report, its warnings still empty.

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
    for summary in (report.task, *report.general):
        if summary.over_length:
            warnings.append(
                f"{_count(len(summary.over_length), 'row')} of {summary.path} longer than "
                f"{report.max_length} tokens, left out of training: "
                f"{_list_ids(summary.over_length)}. Raise training.max_length to keep them."
            )
    if report.test is not None and report.test.over_length:
        warnings.append(
            f"{_count(len(report.test.over_length), 'test row')} longer than the "
            f"{report.max_length} tokens of a training row: {_list_ids(report.test.over_length)}. "
            "They are tested all the same."
        )
    warnings += _leak_warnings(report)
    if report.unseen_labels:
        warnings.append(
            f"{_count(len(report.unseen_labels), 'label')} of test rows never seen in training: "
            f"{_list_ids(report.unseen_labels)}. No model can learn these."
        )
    if report.near_duplicates is None:
        warnings.append(
            f"Near duplicates were not looked for: more than {MAX_NEAR_ROWS:,} task rows."
        )
    return tuple(warnings)


def _leak_warnings(report: CheckReport) -> list[str]:
    exact = [leak for leak in report.test_in_task.by_row if leak.kind == "exact"]
    warnings = []
    if exact:
        warnings.append(
            f"{_count(len(exact), 'test row')} that is a training row too, as allowed: "
            f"{describe_pairs(exact)}. The score may be too good."
        )
    named = {leak.id for leak in exact}
    others = tuple(leak for leak in report.test_in_task.leaks if leak.id not in named)
    for leakage in (
        replace(report.test_in_task, leaks=others),
        report.general_in_test,
        report.general_in_task,
    ):
        warnings += warn_of_leakage(leakage)
    return warnings


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _list_ids(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _NUM_SHOWN} more" if len(ids) > _NUM_SHOWN else ""
    return ", ".join(repr(i)[1:-1] for i in ids[:_NUM_SHOWN]) + more


def _list_groups(groups: Sequence[RowGroup]) -> str:
    more = f" and {len(groups) - _NUM_SHOWN} more" if len(groups) > _NUM_SHOWN else ""
    return "; ".join(_list_ids(group.ids) for group in groups[:_NUM_SHOWN]) + more
