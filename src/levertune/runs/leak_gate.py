"""The leak gate of a run: every pair of its sets compared, the recipe's policy applied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from levertune.data.checks import find_test_rows_in_task, require_no_test_rows_in_task
from levertune.data.leak_policy import Leakage, guard_general, warn_of_leakage
from levertune.data.near_duplicates import MAX_NEAR_ROWS
from levertune.data.prepared_rows import PreparedRows
from levertune.data.records import Record, RecordFile
from levertune.data.splits import Split
from levertune.recipes.recipe import Recipe


@dataclass(frozen=True, slots=True)
class ClosedLeaks:
    """The general rows that may be mixed in, and what the gate found.

    Args:
        general: The general sources, without the rows dropped.
        found: What was found between each two sets.
        dropped: The rows dropped: `{"id", "source", "reason"}`.
        warnings: What a reader should know.
    """

    general: tuple[RecordFile, ...]
    found: tuple[Leakage, ...]
    dropped: tuple[dict[str, str], ...]
    warnings: tuple[str, ...]


def close_leaks(
    recipe: Recipe,
    splits: Sequence[Split],
    general: Sequence[RecordFile],
    *,
    train: PreparedRows | None,
    task: RecordFile,
    test_file: RecordFile | None,
    instruction: str | None,
) -> ClosedLeaks:
    """Compare training, test and general rows with one another.

    In cross-validation every task row is a test row and, in the other folds, a training row.
    General rows are compared with all of them as test rows; as training rows too where those that
    are like test rows are kept, since else none is left to find.

    Args:
        recipe: The recipe.
        splits: Rows to train and to test on: one split, or one a fold.
        general: The general sources.
        train: The training rows of the only split; None for folds.
        task: The file of task rows.
        test_file: The file of test rows, or None where they are taken from the task rows.
        instruction: The instruction the task rows share.

    Returns:
        The general rows kept, and what was found.

    Raises:
        DataError: If a test row is a training row too, or general rows leak, and the recipe does
            not allow it; or if every row of a general source leaks.
    """
    sides = splits
    if test_file is not None:
        # Of a file all rows, since a run may draw fewer now and more the next time.
        sides = [replace(split, test=test_file.records) for split in splits]
    in_task = find_test_rows_in_task(sides, instruction=instruction, train=train)
    if test_file is not None:
        allow = recipe.task.allow_overlap
        require_no_test_rows_in_task(test_file, in_task.by_row, allow_overlap=allow)
    held_out = _held_out(task, splits, test_file)
    tested = guard_general(
        general,
        held_out,
        sets="general-test",
        policy=recipe.general.test_leaks,
        instruction=instruction,
    )
    trained_on: Sequence[Record] | PreparedRows = train if train is not None else ()
    if len(splits) > 1 and recipe.general.test_leaks == "keep":
        trained_on = held_out
    trained = guard_general(
        tested.files,
        trained_on,
        sets="general-train",
        policy=recipe.general.train_leaks,
        instruction=instruction,
    )
    found = (in_task, tested.leakage, trained.leakage)
    warnings = [warning for leakage in found for warning in warn_of_leakage(leakage)]
    if max(len(side.test) for side in sides) > MAX_NEAR_ROWS:
        warnings.append(_without_near("test", "training rows"))
    if general and len(held_out) > MAX_NEAR_ROWS:
        warnings.append(_without_near("test", "general rows"))
    if general and len(trained_on) > MAX_NEAR_ROWS:
        warnings.append(_without_near("training", "general rows"))
    return ClosedLeaks(
        general=trained.files,
        found=found,
        dropped=(*tested.dropped, *trained.dropped),
        warnings=tuple(warnings),
    )


def _held_out(
    task: RecordFile, splits: Sequence[Split], test_file: RecordFile | None
) -> Sequence[Record]:
    """All rows that are tested on, now or when a run draws more of them."""
    if test_file is not None:
        return test_file.records
    if len(splits) > 1:
        return [record for split in splits for record in split.test]
    trained = {record.id for record in splits[0].train}
    return [record for record in task.records if record.id not in trained]


def _without_near(kind: str, among: str) -> str:
    return (
        f"Near copies of {kind} rows were not looked for among the {among}, only equal ones and "
        f"shared runs of words: more than {MAX_NEAR_ROWS:,} {kind} rows."
    )
