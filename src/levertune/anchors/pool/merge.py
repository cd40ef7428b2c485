"""One pool merged from any number of places."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from levertune.anchors.pool.entry import PoolEntry, PoolEvidence
from levertune.anchors.pool.places import SHIPPED, locate
from levertune.anchors.pool.reading import read_pool_folder
from levertune.errors import DataError

# What may differ between two copies of an entry without a word: both are kept.
_UNITED = ("evidence", "votes")


@dataclass(frozen=True, slots=True)
class Pool:
    """Entries of one or more places.

    Args:
        entries: The entries, by id.
        files: What the files of each entry are called, by its id.
        places: The first place that each entry is in, by its id.
        notes: What a reader should know of how they came together, one sentence each.
    """

    entries: tuple[PoolEntry, ...]
    files: Mapping[str, tuple[str, ...]]
    places: Mapping[str, str]
    notes: tuple[str, ...] = ()

    @property
    def content_hash(self) -> str:
        """Hash of all entries; gains and votes count, since they decide which is taken first."""
        return hashlib.sha256(repr(self.entries).encode("utf-8")).hexdigest()

    def find(self, entry_id: str) -> PoolEntry:
        """The entry of that id.

        Args:
            entry_id: The id.

        Raises:
            DataError: If there is none; the nearest one is offered.
        """
        for entry in self.entries:
            if entry.id == entry_id:
                return entry
        import difflib

        known = [entry.id for entry in self.entries]
        near = difflib.get_close_matches(entry_id, known, n=1, cutoff=0.5)
        advice = f"Did you mean {near[0]!r}?" if near else "List them: levertune anchor pool list"
        raise DataError(
            f"pool:{entry_id}: the pool has no such anchor; found {len(known)} others. {advice}"
        )


def merge_pools(
    places: Sequence[str] = (SHIPPED,),
    *,
    cache: Path | None = None,
) -> Pool:
    """Read the pools of some places into one.

    The same anchor under the same id from two places is one entry: its evidence is united, the
    larger number of votes counts, everything else is the first place's. That a gain was verified
    is taken from the shipped pool alone: anyone can write it into a file.

    Args:
        places: The places in order, as `places.locate` takes them.
        cache: Where copies of repositories are kept; levertune's cache unless given.

    Returns:
        The pool.

    Raises:
        DataError: If there is no place, one cannot be read or holds nothing, one id has two texts,
            or one measurement has two gains.
    """
    if not places:
        raise DataError(f"pool: no place is named. Name a folder, or {SHIPPED!r}.")
    entries: dict[str, PoolEntry] = {}
    files: dict[str, tuple[str, ...]] = {}
    first_places: dict[str, str] = {}
    notes: list[str] = []
    for place in dict.fromkeys(places):
        located = locate(place, cache=cache)
        notes += located.notes
        found = read_pool_folder(located.folder, shown=located.shown, root=located.root)
        if place != SHIPPED:
            num_doubted = sum(e.verified for entry in found.values() for e in entry.evidence)
            found = {file: _without_verified(entry) for file, entry in found.items()}
            if num_doubted:
                notes.append(
                    f"{located.shown} marks {num_doubted:,} gains as verified; they count as "
                    "unverified, since anyone can write so into a file."
                )
        for file, entry in found.items():
            known = entries.get(entry.id)
            if known is not None:
                differing = _differing(known, entry)
                if differing:
                    notes.append(
                        f"{file} differs from {files[entry.id][0]} in {', '.join(differing)}; "
                        "the latter is kept."
                    )
                entry = _unite(known, entry, files[entry.id][0], file)
            entries[entry.id] = entry
            files[entry.id] = (*files.get(entry.id, ()), file)
            first_places.setdefault(entry.id, place)
    ordered = tuple(entries[name] for name in sorted(entries))
    return Pool(
        ordered, {entry.id: files[entry.id] for entry in ordered}, first_places, tuple(notes)
    )


def _without_verified(entry: PoolEntry) -> PoolEntry:
    return replace(entry, evidence=tuple(replace(e, verified=False) for e in entry.evidence))


def _differing(first: PoolEntry, second: PoolEntry) -> list[str]:
    names = [field.name for field in fields(PoolEntry) if field.name not in ("text", *_UNITED)]
    return [name for name in names if getattr(first, name) != getattr(second, name)]


def _unite(first: PoolEntry, second: PoolEntry, first_file: str, second_file: str) -> PoolEntry:
    if first.text != second.text:
        raise DataError(
            f"{second_file}: one id has two texts; found {first.id!r} with another text in "
            f"{first_file} too. Rename one of the two, or leave a place out."
        )
    united: dict[tuple[str, str, str], PoolEvidence] = {e.measurement: e for e in first.evidence}
    for evidence in second.evidence:
        known = united.get(evidence.measurement)
        if known is None or (evidence.verified and not known.verified):
            united[evidence.measurement] = evidence
        elif evidence.verified == known.verified and evidence != known:
            raise DataError(
                f"{second_file}: evidence of run {evidence.run[:12]} differs from that in "
                f"{first_file}; found a gain of {evidence.gain} and {known.gain}. Correct one of "
                "the two, or leave a place out."
            )
    return replace(first, evidence=tuple(united.values()), votes=max(first.votes, second.votes))
