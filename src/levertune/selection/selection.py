"""What a selector is asked for and what it gives back; no model and no numbers library."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from levertune.data.draws import seeded_hash
from levertune.data.near_duplicates import NEAR_THRESHOLD
from levertune.data.records import Record
from levertune.data.row_texts import make_own_text

_own_text = make_own_text(None)

_SHORT_BELOW = 0.75
"""Share of a limit in tokens below which what was taken is less than was asked for."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How much to choose.

    A row that does not fit into what is left ends a choice once more than half of the limit is
    taken; before, it is passed over. So a long row never leaves a choice empty, and only rows
    longer than half of the limit are passed over: to go on until nothing fits would fill every
    limit up with the shortest rows.

    Args:
        limit: Rows, or tokens; never exceeded.
        count_tokens: Tokens of a row, where the limit is in tokens; None where it is in rows.
    """

    limit: float
    count_tokens: Callable[[Record], int] | None = None

    def size(self, record: Record) -> int:
        """What a row takes of the limit."""
        return 1 if self.count_tokens is None else self.count_tokens(record)

    def ends_at(self, taken: float) -> bool:
        """Whether a row that does not fit ends the choice where so much is taken."""
        return taken > self.limit / 2

    def is_short(self, taken: float) -> bool:
        """Whether so much is clearly less than was asked for."""
        return taken < _SHORT_BELOW * self.limit

    @property
    def unit(self) -> str:
        """What the limit counts, in the plural."""
        return "rows" if self.count_tokens is None else "tokens"

    def times(self, factor: int) -> Budget:
        """A budget so many times as large."""
        return Budget(self.limit * factor, self.count_tokens)


@dataclass(frozen=True, slots=True)
class Diversity:
    """What keeps a choice from being one source, or one row many times over.

    Args:
        max_source_share: Most of the budget that one source may take; None for `source_share`.
        near_threshold: Jaccard index of character shingles from which two rows are near duplicates,
            of which one at most is taken; None to take both.
        beside: Rows chosen already, from other candidates; near duplicates of these count too.
        owners: The source each file belongs to, by the name its rows carry; a file not named here
            is a source of its own.
    """

    max_source_share: float | None = None
    near_threshold: float | None = NEAR_THRESHOLD
    beside: tuple[Record, ...] = ()
    owners: Mapping[str, str] = field(default_factory=dict)

    def source_of(self, record: Record) -> str:
        """The source a row counts for."""
        return self.owners.get(record.source, record.source)

    def share_of(self, num_sources: int) -> float:
        """The share one of so many sources may take."""
        if self.max_source_share is not None:
            return self.max_source_share
        return source_share(num_sources)

    def as_for(self, candidates: Sequence[Record]) -> Diversity:
        """The same, with the share a source has among these rows, whichever of them are left.

        Args:
            candidates: The whole pool.
        """
        num_sources = len({self.source_of(record) for record in candidates})
        return replace(self, max_source_share=self.share_of(num_sources))


DIVERSE = Diversity()
"""The caps every selector keeps unless told otherwise."""


def source_share(num_sources: int) -> float:
    """Most of the budget one source may take: all of it if alone, 3/4 of two, else a half."""
    return {0: 1.0, 1: 1.0, 2: 0.75}.get(num_sources, 0.5)


@dataclass(frozen=True, slots=True)
class SelectedRow:
    """One row chosen, and why.

    Args:
        source: Its source.
        id: Its id within that source.
        score: What the selector gave it; None for a draw, which scores nothing.
        nearest: Id of the task row it was chosen for; None for a draw.
    """

    source: str
    id: str
    score: float | None = None
    nearest: str | None = None


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far nearest rows found with fewer layers are those found with all of them.

    Args:
        share: Mean over task rows of the share of the nearest `top` rows in common.
        top: How many nearest rows were compared.
        rows: Candidates the sample held.
        by_chance: What rows drawn blindly would share: `top / rows`.
        layers: Layers that were run.
        all_layers: Layers of the model.
    """

    share: float
    top: int
    rows: int
    by_chance: float
    layers: int
    all_layers: int


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows a selector chose, the first choice first.

    Args:
        selector: Its name.
        rows: The rows with their scores, each at most once.
        notes: What a reader should know: caps that were lifted, rows that were not to be had.
        seconds: What it cost in time.
        tokens: Tokens that went through the model for it; 0 without one.
        agreement: For `rds`, how far fewer layers agree with all of them; None if not measured.
    """

    selector: str
    rows: tuple[SelectedRow, ...]
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    tokens: int = 0
    agreement: Agreement | None = None

    @property
    def ids(self) -> tuple[tuple[str, str], ...]:
        """Source and id of each row."""
        return tuple((row.source, row.id) for row in self.rows)

    @property
    def scores(self) -> tuple[float | None, ...]:
        """Score of each row."""
        return tuple(row.score for row in self.rows)

    def by_source(self) -> dict[str, int]:
        """Rows chosen of each source, the most first."""
        counts = Counter(row.source for row in self.rows)
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def pick(self, candidates: Sequence[Record]) -> list[Record]:
        """The rows themselves, in the order chosen."""
        by_key = {(record.source, record.id): record for record in candidates}
        return [by_key[key] for key in self.ids]


def canonical_order(candidates: Sequence[Record], seed: int) -> list[Record]:
    """Candidates by a seeded hash of their content.

    Whatever comes first here wins a tie, so no choice depends on the order rows were read in.
    """
    return sorted(candidates, key=lambda r: (seeded_hash(r, seed), r.source, r.id))


def row_text(record: Record) -> str:
    """What relevance is judged by: the turns, the system's aside, and the answer."""
    if record.is_text:
        return record.completion
    return f"{_own_text(record)}\n{record.completion}"
