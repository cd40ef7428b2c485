"""The anchor of a finished run put into a pool, with what the run measured of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from levertune.anchors.auto import choose_lifting
from levertune.anchors.pool.contribute import add_evidence, build_contribution, name_examples
from levertune.anchors.pool.entry import PoolEntry
from levertune.anchors.pool.evidence import measure_evidence
from levertune.anchors.pool.reading import read_entry
from levertune.anchors.pool.writing import find_entry_file, write_entry
from levertune.errors import DataError
from levertune.recipes.loading import load_recipe
from levertune.results.schema import read_result
from levertune.runs.inputs import read_task
from levertune.runs.same_recipe import RECIPE_FILE


@dataclass(frozen=True, slots=True)
class NewEntry:
    """What only a new entry is asked for; of one that is there these stay as they are.

    Args:
        kind: The kind of task, as `field-extraction`.
        about: One sentence that says what the task is.
        language: Primary language tags of the rows, as `en`.
        licence: SPDX identifier of the licence that text and rows are published under.
        author: Who wrote it.
        rows: Ids of the rows to publish, at least five. No other row is.
    """

    kind: str = ""
    about: str = ""
    language: Sequence[str] = ()
    licence: str = ""
    author: str = ""
    rows: Sequence[str] = ()


def contribute_run(
    run_dir: str | Path, pool: str | Path, entry_id: str, new: NewEntry | None = None
) -> tuple[Path, bool]:
    """Write the anchor of a run into a pool, or add its gain to the entry that is there.

    Args:
        run_dir: The run folder.
        pool: Folder of the pool; it need not be there.
        entry_id: The entry's id.
        new: What a new entry says besides.

    Returns:
        The entry's file, and whether it is new.

    Raises:
        DataError: If a new entry lacks something, breaks a rule of the pool or names a row that is
            not there; the rows are others than the run was trained on; or the run is no evidence
            of one text.
        RunError: If the run is not done, a file of it is damaged, or the entry cannot be written.
    """
    folder = Path(run_dir)
    path = find_entry_file(pool, entry_id)
    is_new = not path.exists()
    if is_new:
        entry = _make_entry(folder, pool, entry_id, new or NewEntry())
    else:
        entry = add_evidence(read_entry(path), folder)
    return write_entry(pool, entry), is_new


def _make_entry(folder: Path, pool: str | Path, entry_id: str, new: NewEntry) -> PoolEntry:
    missing = [f"--{field.name}" for field in fields(new) if not getattr(new, field.name)]
    if missing:
        raise DataError(
            f"anchor pool add: a new entry needs {', '.join(missing)}; found none, and there is no "
            f"entry {entry_id!r} in {pool} yet. Add them."
        )
    result = read_result(folder)
    recipe = load_recipe(folder / RECIPE_FILE)
    task, _ = read_task(recipe)
    if task.sha256 != result.task.sha256:  # an id would name another row than the run had
        raise DataError(
            f"{task.path}: is not the file that the run {folder} was trained on; found hash "
            f"{task.sha256[:12]}, the run has {result.task.sha256[:12]}. Put that file back, "
            "or run again in another folder."
        )
    lifting = choose_lifting(task.records, varied_rule=recipe.anchor.varied)
    bare = lifting.take_from_all(task.records).records
    return build_contribution(
        result,
        name_examples(bare, new.rows),
        entry_id=entry_id,
        kind=new.kind,
        task=new.about,
        languages=new.language,
        licence=new.licence,
        author=new.author,
        evidence=[measure_evidence(folder)],
    )
