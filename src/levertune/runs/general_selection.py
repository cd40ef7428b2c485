"""General rows chosen by their relevance to a cell's training rows, once, and kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from levertune.anchors.lift import lift_instruction
from levertune.data.draws import seeded_hash
from levertune.data.records import Record
from levertune.errors import RunError
from levertune.mixtures.manifest import hash_records
from levertune.progress import Progress, SilentProgress
from levertune.recipes.recipe import Recipe
from levertune.results.files import read_json, write_json_atomically
from levertune.results.mapping import from_mapping, to_mapping
from levertune.results.selection import SELECTION_FOLDER
from levertune.runs.general_amounts import describe_drawn, group_by_source, owning_sources
from levertune.runs.general_draw import count_repeats, draw_general
from levertune.runs.selectors import DRAWS, WITH_MODEL, select, selector_settings
from levertune.runs.workspace import Workspace
from levertune.selection.selection import Budget, Diversity, SelectedRow, Selection

_VERSION = 3  # raise when the same inputs choose other rows


@dataclass(frozen=True, slots=True)
class GeneralRows:
    """The general rows of a cell.

    Args:
        records: The rows, each at most once.
        selections: How they were drawn or chosen, one entry for each pool of its own.
    """

    records: list[Record]
    selections: tuple[Selection, ...] = ()


class GeneralChooser:
    """Draws the general rows of a run's cells, or chooses them by relevance.

    A choice depends on the training rows of a fold or subset, never on a test row, and not on the
    run's seed: it is made once and kept in `selection/` of the run folder by the hash of all it
    depends on.

    Args:
        recipe: The recipe, resolved.
        pool: Rows by source, held-out ones taken away.
        workspace: The model.
        run_dir: The run folder.
        progress: Where to show progress.
        dry_run: Write nothing, and use a stratified draw in place of a choice that needs the model.
    """

    def __init__(
        self,
        recipe: Recipe,
        pool: dict[str, list[Record]],
        workspace: Workspace,
        run_dir: Path,
        *,
        progress: Progress | None = None,
        dry_run: bool = False,
    ) -> None:
        self.pool = pool
        self.is_standing_in = False
        self._recipe = recipe
        self._workspace = workspace
        self._folder = run_dir / SELECTION_FOLDER
        self._progress = progress or SilentProgress()
        self._dry_run = dry_run
        self._made: dict[str, tuple[Selection, ...]] = {}
        self._drawn: dict[tuple[int, int], GeneralRows] = {}

    def without(self, rows: Set[tuple[str, str]]) -> GeneralChooser:
        """The same without some rows of the pool.

        Args:
            rows: Source and id of each.
        """
        pool = {
            name: [record for record in records if (record.source, record.id) not in rows]
            for name, records in self.pool.items()
        }
        return GeneralChooser(
            self._recipe,
            {name: records for name, records in pool.items() if records},
            self._workspace,
            self._folder.parent,
            progress=self._progress,
            dry_run=self._dry_run,
        )

    def choose(
        self, train: Sequence[Record], seed: int, *, num_rows: int | str | None
    ) -> GeneralRows:
        """The general rows to train on beside some task rows.

        Args:
            train: The training rows of the cell, as the user wrote them.
            seed: Seed of a draw; not used by a choice.
            num_rows: The cell's `general.rows`: what was tuned differs from fold to fold.

        Returns:
            The rows.
        """
        general = self._recipe.general
        wanted = num_rows if isinstance(num_rows, int) else 0
        if not self.pool or num_rows == 0:
            return GeneralRows([])
        if general.select in DRAWS:
            return self._draw(wanted, seed)
        task = lift_instruction(train).records
        key = self._key(task, wanted)
        if key not in self._made:
            found = self._read(key)
            if found is None and self._dry_run and general.select in WITH_MODEL:
                self.is_standing_in = True
                return self._draw(wanted, seed)
            self._made[key] = found if found is not None else self._choose(task, wanted, key)
        rows = [
            self._by_key[source_id] for selection in self._made[key] for source_id in selection.ids
        ]
        return GeneralRows(rows, self._made[key])

    def _draw(self, num_rows: int, seed: int) -> GeneralRows:
        """The rows of a draw; arms and folds of one seed share it."""
        if (num_rows, seed) not in self._drawn:
            self._drawn[num_rows, seed] = self._draw_afresh(num_rows, seed)
        return self._drawn[num_rows, seed]

    def _draw_afresh(self, num_rows: int, seed: int) -> GeneralRows:
        count = self._workspace.count_record
        rows = draw_general(
            self._recipe, self.pool, num_rows=num_rows, seed=seed, count_tokens=count
        )
        name = self._recipe.general.select
        notes = describe_drawn(self._recipe, self.pool, rows, count_tokens=count)
        repeats = count_repeats(rows)
        if repeats:
            notes.append(f"{repeats:,} rows drawn have the prompt of another.")
        drawn = Selection(
            selector=name if name in DRAWS else DRAWS[0],
            rows=tuple(SelectedRow(row.source, row.id) for row in rows),
            notes=tuple(notes),
        )
        return GeneralRows(rows, (drawn,) if rows else ())

    def _choose(self, task: Sequence[Record], wanted: int, key: str) -> tuple[Selection, ...]:
        """Choose within each source that has an amount of its own, then among all the others."""
        selections: list[Selection] = []
        rest: list[Record] = []
        owners = owning_sources(self._recipe, self.pool)

        def add(place: int, candidates: Sequence[Record], budget: Budget) -> None:
            chosen = tuple(self._by_key[row] for part in selections for row in part.ids)
            if candidates and budget.limit >= 1:
                diversity = Diversity(beside=chosen, owners=owners)
                part = self._select(task, candidates, budget, diversity)
                selections.insert(place, part)

        sources = {source.source_name: source for source in self._recipe.general.sources}
        for name, rows in group_by_source(self._recipe, self.pool).items():
            source = sources.get(name)
            if source is not None and source.rows is not None:
                add(len(selections), rows, Budget(source.rows))
            elif source is not None and source.tokens is not None:
                add(len(selections), rows, self._in_tokens(source.tokens))
            else:
                rest += rows
        if self._recipe.general.tokens is not None:
            add(0, rest, self._in_tokens(self._recipe.general.tokens))
        else:
            add(0, rest, Budget(wanted - sum(len(part.rows) for part in selections)))
        made = tuple(selection for selection in selections if selection.rows)
        if not self._dry_run:
            write_json_atomically(self._path(key), {"key": key, "selections": to_mapping(made)})
        return made

    def _select(
        self,
        task: Sequence[Record],
        candidates: Sequence[Record],
        budget: Budget,
        diversity: Diversity,
    ) -> Selection:
        return select(
            self._recipe.general.select,
            task,
            candidates,
            budget,
            seed=self._recipe.mixture.seed,
            diversity=diversity,
            max_length=self._recipe.training.max_length,
            workspace=self._workspace,
            progress=self._progress,
        )

    def _in_tokens(self, limit: int) -> Budget:
        return Budget(limit, self._workspace.count_record)

    @cached_property
    def _by_key(self) -> dict[tuple[str, str], Record]:
        return {(row.source, row.id): row for rows in self.pool.values() for row in rows}

    @cached_property
    def _pool_hash(self) -> str:
        """Hash of the pool whatever its order."""
        keys = [
            (row.source, row.id, seeded_hash(row, 0).hex())
            for rows in self.pool.values()
            for row in rows
        ]
        return hashlib.sha256(repr(sorted(keys)).encode()).hexdigest()

    def _key(self, task: Sequence[Record], wanted: int) -> str:
        general = self._recipe.general
        content: dict[str, Any] = {
            "version": _VERSION,
            "select": general.select,
            "rows": wanted,
            "tokens": general.tokens,
            "sources": [[s.source_name, s.rows, s.tokens] for s in general.sources],
            "seed": self._recipe.mixture.seed,
            "task": hash_records(task),
            "pool": self._pool_hash,
            "tokenizer": self._workspace.tokenizer_hash,
        }
        if general.tokens is not None or any(s.tokens is not None for s in general.sources):
            content["trained_tokens"] = self._recipe.training.max_length  # longer rows have none
        if general.select in WITH_MODEL:
            content |= {
                "model": self._workspace.model_hash,
                "max_length": self._recipe.training.max_length,
                "settings": selector_settings(general.select),
            }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def _path(self, key: str) -> Path:
        return self._folder / f"{self._recipe.general.select}-{key[:12]}.json"

    def _read(self, key: str) -> tuple[Selection, ...] | None:
        """A choice made before from exactly the same; None if there is none."""
        path = self._path(key)
        if not path.is_file():
            return None
        content = read_json(path)
        if content.get("key") != key:
            return None
        found = from_mapping(_Kept, content, where=str(path)).selections
        missing = [row for selection in found for row in selection.ids if row not in self._by_key]
        if missing:
            raise RunError(
                f"{path}: names row {missing[0][1]!r}, which {missing[0][0]!r} does not have. The "
                "file was edited: delete it, then run again."
            )
        return found


@dataclass(frozen=True, slots=True)
class _Kept:
    key: str
    selections: tuple[Selection, ...]
