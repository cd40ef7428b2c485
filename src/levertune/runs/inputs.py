"""The files a recipe names, read and checked: everything a run needs before a model is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from levertune.anchors.auto import AnchorChoice, choose_anchor
from levertune.anchors.lift import shared_instruction
from levertune.anchors.pool.kept import forget_pools, kept_pool
from levertune.anchors.pool.places import SHIPPED
from levertune.anchors.setting import POOL
from levertune.data.checks import require_task_rows, unseen_labels
from levertune.data.draws import allot_rows
from levertune.data.embedded.catalog import TASK_PREFIX
from levertune.data.general import is_self_written, read_general
from levertune.data.language_names import language_name, primary_tag
from levertune.data.leak_policy import Leakage
from levertune.data.length_filter import LengthLimits
from levertune.data.overlaps import RowGroup, find_conflicts, find_duplicates
from levertune.data.prepared_rows import PreparedRows
from levertune.data.readers import read_records
from levertune.data.reading_keys import ReadingKeys, source_keys
from levertune.data.records import Record, RecordFile
from levertune.data.splits import (
    Split,
    cross_validation_folds,
    require_subset,
    split_holdout,
    warn_of_large_groups,
)
from levertune.progress import Progress
from levertune.recipes.general_section import GeneralSource
from levertune.recipes.recipe import Recipe
from levertune.results.url_secrets import without_url_secrets
from levertune.runs.leak_gate import close_leaks
from levertune.runs.retention import read_retention_rows
from levertune.scoring.kinds import MetricChoice, TaskKind, choose_metrics, recognise_kind
from levertune.scoring.metrics import find_metric
from levertune.selfdata.write_rows import SelfWritten
from levertune.settings import CROSS_VALIDATION_BELOW, TEST_FOLDS, TEST_SHARE

SPLIT_SEED = 0
"""Test rows are the same for every seed of a run, so that seeds and arms pair row by row."""

TestMode = Literal["file", "holdout", "cv"]


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a run is made from.

    Args:
        task: The task rows as read.
        test_file: The file of test rows, or None where they are taken from the task rows.
        test_mode: Where the test rows come from.
        splits: Rows to train and to test on: one split, or one a fold.
        sources: The general sources as read.
        general: The general sources, without the rows that leak.
        retention: Rows of sources never mixed in.
        kind: The kind of task.
        metrics: The metrics, the primary one first.
        dropped: Rows left out: `{"id", "source", "reason"}`.
        warnings: What a reader should know.
        instruction: The instruction the task rows share.
        unseen_labels: Labels of test rows that no training row (of their fold) has.
        duplicates: Task rows equal to one another.
        conflicts: Task rows that answer one prompt differently.
        leakage: Rows of one set like rows of another, for each two sets.
    """

    task: RecordFile
    test_file: RecordFile | None
    test_mode: TestMode
    splits: tuple[Split, ...]
    sources: tuple[RecordFile, ...]
    general: tuple[RecordFile, ...]
    retention: tuple[Record, ...]
    kind: TaskKind
    metrics: MetricChoice
    dropped: tuple[dict[str, str], ...]
    warnings: tuple[str, ...]
    instruction: str | None = None
    unseen_labels: tuple[str, ...] = ()
    duplicates: tuple[RowGroup, ...] = ()
    conflicts: tuple[RowGroup, ...] = ()
    leakage: tuple[Leakage, ...] = ()

    @property
    def test_records(self) -> tuple[Record, ...]:
        """All test rows, fold after fold."""
        return tuple(record for split in self.splits for record in split.test)


def read_task(recipe: Recipe) -> tuple[RecordFile, RecordFile | None]:
    """The task rows, and the test rows where they are a file of their own.

    Args:
        recipe: The recipe.

    Returns:
        Both files; no test file if test rows will be taken from the task rows.

    Raises:
        DataError: If a file or row cannot be used.
    """
    task = recipe.task
    test_path: str | None = None
    if isinstance(task.test, str) and task.test != "auto" and not task.test.startswith("cv:"):
        test_path = task.test
    elif task.test == "auto" and task.path.startswith(TASK_PREFIX) and "@" not in task.path:
        test_path = f"{task.path}@test"
    files = [
        read_records(path, prompt=task.prompt, completion=task.completion, encoding=task.encoding)
        for path in (task.path, *((test_path,) if test_path else ()))
    ]
    return files[0], files[1] if test_path else None


def read_general_sources(
    recipe: Recipe,
    *,
    written: Mapping[str, SelfWritten] | None = None,
    progress: Progress | None = None,
) -> list[RecordFile]:
    """The general sources of a recipe, each file a source.

    Args:
        recipe: The recipe.
        written: The sources the base model wrote; None to pass them over.
        progress: Where to show the progress of downloads.
    """
    files = []
    for index, source in enumerate(recipe.general.sources):
        if not source.is_used:
            continue
        if not is_self_written(source.path):
            files += _read_source(recipe, source, source_keys(index), progress)
        elif written is not None:
            files.append(_read_written(source, written[source.source_name]))
    return files


def _read_written(source: GeneralSource, written: SelfWritten) -> RecordFile:
    [file] = read_general(
        str(written.path),
        name=source.source_name,
        limits=LengthLimits(source.min_characters, source.max_characters),
    )
    shown = str(without_url_secrets(source.path))
    return replace(file, path=shown, notes=(*written.notes, *file.notes))


def _read_source(
    recipe: Recipe, source: GeneralSource, keys: ReadingKeys, progress: Progress | None
) -> list[RecordFile]:
    return read_general(
        source.path,
        name=source.source_name,
        prompt=source.prompt,
        completion=source.completion,
        encoding=source.encoding,
        max_rows=source.max_rows,
        streaming=source.streaming,
        limits=LengthLimits(source.min_characters, source.max_characters),
        seed=recipe.mixture.seed,
        progress=progress,
        keys=keys,
    )


def choose_fold_anchor(recipe: Recipe, train: Sequence[Record], kind: TaskKind) -> AnchorChoice:
    """The anchor, chosen on training rows alone.

    Args:
        recipe: The recipe.
        train: Training rows (of a fold).
        kind: The kind of task; of its labels only those in `train` are shown.
    """
    seen = {record.completion.strip() for record in train}
    return choose_anchor(
        recipe.anchor.text,
        train,
        placement=recipe.anchor.placement,
        lead_in=recipe.anchor.lead_in,
        dropout=recipe.anchor.dropout,
        kind=kind.kind,
        labels=[label for label in kind.labels if label in seen],
        varied_rule=recipe.anchor.varied,
        replace_shared=recipe.anchor.shared == "replace",
        pools=recipe.anchor.pools,
        prompt_language=language_name(recipe.task.prompt_language),
        answer_language=language_name(recipe.task.answer_language),
    )


def task_languages(recipe: Recipe) -> tuple[str, ...]:
    """Primary tags of the languages that a recipe says its rows are in.

    Args:
        recipe: The recipe.
    """
    tags = (recipe.task.prompt_language, recipe.task.answer_language)
    found = [primary for tag in tags if tag is not None and (primary := primary_tag(tag))]
    return tuple(dict.fromkeys(found))


def as_tested(recipe: Recipe) -> Recipe:
    """The recipe with the anchor of its test prompts, where that is another than in training."""
    if recipe.evaluation.anchor == "trained":
        return recipe
    tested = {"text": recipe.evaluation.anchor, "dropout": 0.0, "schedule": "constant"}
    anchor = recipe.anchor.model_copy(update=tested)
    return recipe.model_copy(update={"anchor": anchor})


def read_inputs(
    recipe: Recipe,
    *,
    written: Mapping[str, SelfWritten] | None = None,
    progress: Progress | None = None,
) -> Inputs:
    """Read every file, split the task rows, and close the leaks.

    Args:
        recipe: The recipe.
        written: The general sources the base model wrote; None to pass them over.
        progress: Where to show the progress of downloads.

    Returns:
        The inputs.

    Raises:
        DataError: If a file or row cannot be used, there are too few task rows for the folds or the
            subset, or rows leak and that is not allowed.
        RecipeError: If the metric is unknown.
    """
    forget_pools()
    task, test_file = read_task(recipe)
    require_task_rows(task)
    instruction = shared_instruction(task.records)
    mode, splits = split_task(recipe, task, test_file, instruction)
    if recipe.task.subset is not None:
        for split in splits:
            require_subset(split.train, recipe.task.subset)
    answers = [*task.records, *(test_file.records if test_file is not None else ())]
    kind = recognise_kind([record.completion for record in answers])
    if recipe.task.metric != "auto":
        find_metric(recipe.task.metric)
    sources = read_general_sources(recipe, written=written, progress=progress)
    # Of one split the training rows are compared with the test rows, with the general ones and
    # with one another.
    train = PreparedRows(splits[0].train, instruction) if len(splits) == 1 else None
    closed = close_leaks(
        recipe,
        splits,
        sources,
        train=train,
        task=task,
        test_file=test_file,
        instruction=instruction,
    )
    retention, notes = read_retention_rows(recipe, task, closed.general, instruction=instruction)
    warnings = [*closed.warnings, *warn_of_large_groups(splits), *notes]
    warnings += [note for file in sources for note in file.notes]
    if any((one.anchor.text or "").startswith(POOL) for one in (recipe, as_tested(recipe))):
        warnings += kept_pool((SHIPPED, *recipe.anchor.pools)).notes
    conflicts = find_conflicts(task.records)
    if conflicts:
        warnings.append(
            f"Prompts with more than one completion: {len(conflicts)} (the first in rows "
            f"{', '.join(map(repr, conflicts[0].ids[:4]))})."
        )
    if train is None or train.records != task.records:
        train = PreparedRows(task.records, instruction)
    unseen = list(
        dict.fromkeys(label for split in splits for label in unseen_labels(split.train, split.test))
    )
    if unseen:
        where = " of its fold" if mode == "cv" else ""
        warnings.append(
            f"Labels of test rows that no training row{where} has: {len(unseen)} "
            f"({', '.join(map(repr, unseen[:5]))})."
        )
    return Inputs(
        task=task,
        test_file=test_file,
        test_mode=mode,
        splits=tuple(splits),
        sources=tuple(sources),
        general=closed.general,
        retention=retention,
        kind=kind,
        metrics=choose_metrics(kind, recipe.task.metric),
        dropped=(*closed.dropped, *(row for file in sources for row in file.dropped)),
        warnings=tuple(warnings),
        instruction=instruction,
        unseen_labels=tuple(unseen),
        duplicates=tuple(find_duplicates(train)),
        conflicts=tuple(conflicts),
        leakage=closed.found,
    )


def split_task(
    recipe: Recipe, task: RecordFile, test_file: RecordFile | None, instruction: str | None
) -> tuple[TestMode, list[Split]]:
    """The training and test rows of each fold; one fold without cross-validation.

    Args:
        recipe: The recipe; its `task.test` decides.
        task: The task rows.
        test_file: The test rows, if they come in a file.
        instruction: What the task rows share, left out where rows are compared.

    Raises:
        DataError: If there are too few rows that differ.
    """
    rows = task.records
    if test_file is not None:
        test = _first_test_rows(recipe, test_file.records)
        return "file", [Split(train=rows, test=test)]
    setting = _test_setting(recipe, rows)
    if isinstance(setting, str):
        folds = int(setting.removeprefix("cv:"))
        return "cv", cross_validation_folds(rows, folds, seed=SPLIT_SEED, instruction=instruction)
    split = split_holdout(rows, float(setting), seed=SPLIT_SEED, instruction=instruction)
    test = _first_test_rows(recipe, split.test)
    return "holdout", [Split(split.train, test, split.large_groups)]


def training_rows(
    recipe: Recipe, task: RecordFile, test_file: RecordFile | None
) -> tuple[Record, ...]:
    """The task rows that may have a part in a choice: all but those set aside to test on.

    In cross-validation these are all, since the final adapter trains on them.

    Args:
        recipe: The recipe.
        task: The task rows.
        test_file: The test rows, if they come in a file.

    Raises:
        DataError: If there are too few rows that differ for a share to be held out.
    """
    if test_file is not None or isinstance(_test_setting(recipe, task.records), str):
        return task.records
    _, [split] = split_task(recipe, task, test_file, shared_instruction(task.records))
    return split.train


def _test_setting(recipe: Recipe, rows: Sequence[Record]) -> str | float:
    """`task.test` where the rows come in one file, `auto` replaced."""
    setting = recipe.task.test
    if setting == "auto":
        return TEST_FOLDS if len(rows) < CROSS_VALIDATION_BELOW else TEST_SHARE
    return setting


def _first_test_rows(recipe: Recipe, test: Sequence[Record]) -> tuple[Record, ...]:
    wanted = recipe.evaluation.test_rows
    if wanted is None or wanted >= len(test):
        return tuple(test)
    return tuple(allot_rows(test, wanted, seed=SPLIT_SEED))
