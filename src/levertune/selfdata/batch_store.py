"""Sampled batches on the disk: one file each, so that a killed run goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from levertune.data.cache_folder import (
    cache_folder,
    is_intact,
    is_sealed,
    seal,
    sha256_of,
    usable_cache,
)
from levertune.errors import RunError
from levertune.results.files import (
    read_json,
    read_jsonl,
    write_json_atomically,
    write_jsonl_atomically,
)

Row = dict[str, Any]


class BatchStore:
    """The batches sampled under certain settings by a certain model.

    Args:
        facts: Everything the batches depend on. They name the folder by their hash and stand in it,
            so that a folder of another model or version is never taken for this one.
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._facts = json.loads(json.dumps(facts))
        key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode("utf-8")).hexdigest()[:32]
        self.folder = cache_folder() / "self" / key

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One process at a time; another waits and then finds the rows.

        Raises:
            DataError: If the cache cannot be used.
        """
        from filelock import FileLock

        with ExitStack() as stack:
            with usable_cache():
                self.folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(FileLock(self.folder.with_suffix(".lock")))
                head = self.folder / "facts.json"
                if _read(head, read_json) != self._facts:
                    shutil.rmtree(self.folder)
                    self.folder.mkdir()
                    write_json_atomically(head, self._facts)
            yield

    def batch(self, number: int, make: Callable[[], Sequence[Row]]) -> list[Row]:
        """A batch: read if it is there as it was written, else made and kept.

        Args:
            number: Its number; the seed follows from it.
            make: Samples it.

        Raises:
            DataError: If the cache cannot be used.
        """
        path = self.folder / f"batch-{number:06d}.jsonl"
        rows = _read(path, read_jsonl) if is_sealed(path) else None
        if rows is None:
            rows = list(make())
            with usable_cache():
                write_jsonl_atomically(path, rows)
                seal(path)
        return rows

    def chosen(self, name: str) -> tuple[Path, dict[str, Any] | None]:
        """Where rows chosen from the batches are kept, and what is known of them if they are there.

        Args:
            name: Name of the choice.
        """
        path = self.folder / f"{name}.jsonl"
        facts = path.with_suffix(".json")
        known = _read(facts, read_json) if is_sealed(facts) else None
        if known is not None and not is_intact(path, known["sha256"]):
            known = None
        return path, known

    def keep_chosen(self, name: str, rows: Sequence[Row], known: Mapping[str, Any]) -> Path:
        """Keep rows chosen from the batches, and what is known of them.

        Args:
            name: Name of the choice.
            rows: The rows.
            known: What to read back with them.

        Raises:
            DataError: If the cache cannot be used.
        """
        path = self.folder / f"{name}.jsonl"
        facts = path.with_suffix(".json")
        with usable_cache():
            write_jsonl_atomically(path, rows)
            write_json_atomically(facts, {**known, "sha256": sha256_of(path)})
            seal(facts)
        return path


def _read(path: Path, reader: Callable[[Path], Any]) -> Any:
    """What a file of ours holds, or None if it is missing or damaged."""
    try:
        return reader(path)
    except RunError:
        return None
