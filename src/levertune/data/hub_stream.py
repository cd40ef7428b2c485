"""The front of a Hub dataset too large to download whole: streamed once, kept in Arrow files.

Rows come in the order of the stream after a seeded shuffle of its shards and, within a buffer, of
its rows; the same seed gives the same order, so a broken stream goes on where it stopped. A file
that is kept counts only while it has the hash it was written with, and for the revision of the
dataset and the version of `datasets` it was streamed with.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from levertune.data.cache_folder import cache_folder, is_intact, sha256_of, usable_cache
from levertune.data.hub import HubName, parse_hub_name
from levertune.errors import DataError
from levertune.progress import Progress, SilentProgress, Stage
from levertune.results.files import write_json_atomically

STREAM_FORMAT = 3
"""Raise when the kept files change: rows of another format are streamed again."""

BUFFER_ROWS = 10_000
"""Rows among which the stream is shuffled."""

_CHUNK_ROWS = 1_000
_HEAD = {"revision", "is_whole", "chunks", "fronts"}


@dataclass(frozen=True, slots=True)
class StreamedRows:
    """Rows of a stream, kept in a file.

    Args:
        path: An Arrow file of exactly the rows asked for, or all where there are fewer.
        notes: What a reader should know.
    """

    path: Path
    notes: tuple[str, ...]


def stream_hub(
    text: str, *, max_rows: int, seed: int, progress: Progress | None = None
) -> StreamedRows:
    """The first rows of a shuffled Hub dataset, without downloading the rest.

    Args:
        text: `hub:NAME[:CONFIG][@SPLIT]`.
        max_rows: How many rows.
        seed: Seed of the shuffle.
        progress: Where to show progress.

    Returns:
        The rows.

    Raises:
        DataError: If the stream cannot be opened, or breaks off; what came is kept and the next
            call goes on from there. Or if the cache cannot be used.
    """
    from filelock import FileLock

    name = parse_hub_name(text)
    revision = _find_revision(name)
    what = {"name": name.name, "config": name.config, "split": name.split, "seed": seed}
    head = {
        **what,
        "format": STREAM_FORMAT,
        "buffer": BUFFER_ROWS,
        "datasets": metadata.version("datasets"),  # another one may shuffle otherwise
    }
    key = hashlib.sha256(json.dumps(what, sort_keys=True).encode("utf-8")).hexdigest()[:32]
    folder = cache_folder() / "hub" / key
    with usable_cache():
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            kept = _Kept(folder, text, head, revision)
            front = kept.find_front(max_rows)
            if front is None:
                stage_name = f"stream {name.name}"
                with (progress or SilentProgress()).stage(stage_name, max_rows, "row") as stage:
                    kept.extend_to(max_rows, name, stage)
                front = kept.write_front(max_rows)
            return StreamedRows(front, tuple(kept.notes))


class _Kept:
    """The rows kept of one stream: chunks, fronts, and a head that says of what, with hashes."""

    def __init__(self, folder: Path, text: str, head: dict[str, Any], revision: str | None) -> None:
        self._folder = folder
        self._text = text
        self._head_path = folder / "head.json"
        self.notes: list[str] = []
        old = self._read_head()
        is_same = {name: old.get(name) for name in head} == head and old.keys() >= _HEAD
        self._head = {
            **head, "revision": revision, "is_whole": False, "chunks": [], "fronts": {},
        }  # fmt: skip
        if is_same and revision is None:
            if old.get("revision") is not None:
                self.notes.append(
                    f"{text}: could not be asked whether it has changed; used the rows kept."
                )
            self._head = old
        elif is_same and old.get("revision") == revision:
            self._head = old
        elif any(folder.iterdir()):
            why = "has changed on the Hub" if is_same else "was kept by another version"
            self.notes.append(f"{text}: {why}; streamed again.")
            shutil.rmtree(folder)
            folder.mkdir()
        self._write_head()

    def find_front(self, max_rows: int) -> Path | None:
        """The file of the first rows, if it is there as it was written."""
        if self._num_rows() < max_rows and not self._head["is_whole"]:
            return None
        path = self._front(max_rows)
        sha256 = self._head["fronts"].get(path.name)
        if sha256 is None:
            return None
        if is_intact(path, sha256):
            return path
        self.notes.append(
            f"{self._text}: the file of these rows in the cache is not as it was written; made "
            "again."
        )
        return None

    def extend_to(self, max_rows: int, name: HubName, stage: Stage) -> None:
        """Stream the rows that are missing, or were changed on the disk."""
        self._drop_damaged()
        kept = self._num_rows()
        stage.advance(min(kept, max_rows))
        if kept >= max_rows or self._head["is_whole"]:
            return
        rows = _open_stream(self._text, name, self._head["seed"], self._head["revision"], kept)
        while kept < max_rows:
            wanted = min(_CHUNK_ROWS, max_rows - kept)
            chunk, fault = _take(rows, wanted)
            if chunk:
                self._write_chunk(kept, chunk)
                kept += len(chunk)
                stage.advance(len(chunk))
            if fault is not None:
                raise DataError(
                    f"{self._text}: broke off; found {fault!r} after {kept:,} of {max_rows:,} "
                    "rows, which are kept. Type the same command again to go on."
                )
            if len(chunk) < wanted:
                self._head["is_whole"] = True
                self._write_head()
                return

    def write_front(self, max_rows: int) -> Path:
        """One Arrow file of the first rows."""
        import pyarrow

        path = self._front(max_rows)
        tables: list[Any] = []
        while sum(map(len, tables)) < max_rows and len(tables) < len(self._head["chunks"]):
            file = self._folder / self._head["chunks"][len(tables)]["file"]
            tables.append(pyarrow.ipc.open_file(file).read_all())
        if not tables:
            raise DataError(f"{self._text}: the split holds no rows. Name another split.")
        rows = sum(map(len, tables))
        with self._fit(1, rows):
            table = pyarrow.concat_tables(tables, promote_options="permissive")
        _write_table(path, table.slice(0, max_rows))
        self._head["fronts"][path.name] = sha256_of(path)
        self._write_head()
        return path

    def _front(self, max_rows: int) -> Path:
        return self._folder / f"front-{min(max_rows, self._num_rows())}.arrow"

    def _write_chunk(self, start: int, rows: list[dict[str, Any]]) -> None:
        import pyarrow

        path = self._folder / f"chunk-{start:012d}-{len(rows)}.arrow"
        # Not Table.from_pylist: it takes the columns of the first row, and drops the others.
        names = dict.fromkeys(name for row in rows for name in row)
        with self._fit(start + 1, start + len(rows)):
            table = pyarrow.table({name: [row.get(name) for row in rows] for name in names})
        _write_table(path, table)
        entry = {"file": path.name, "rows": len(rows), "sha256": sha256_of(path)}
        self._head["chunks"].append(entry)
        self._write_head()

    @contextmanager
    def _fit(self, first: int, last: int) -> Iterator[None]:
        """Refuse rows of which no table can be made in one line."""
        import pyarrow

        try:
            yield
        except pyarrow.ArrowException as error:
            reason = " ".join(str(error).split())[:200]
            raise DataError(
                f"{self._text}: rows {first:,} to {last:,} fit no table; found {reason!r}. "
                "Download the dataset and name its files."
            ) from error

    def _drop_damaged(self) -> None:
        """Forget the rows from the first chunk on that is not on the disk as it was written."""
        chunks = self._head["chunks"]
        whole = list(itertools.takewhile(self._is_chunk, chunks))
        if len(whole) < len(chunks):
            kept = sum(chunk["rows"] for chunk in whole)
            self.notes.append(
                f"{self._text}: the rows kept in the cache from row {kept + 1:,} on are not those "
                "that came; streamed again."
            )
            self._head |= {"chunks": whole, "is_whole": False}
            self._write_head()

    def _is_chunk(self, chunk: dict[str, Any]) -> bool:
        return is_intact(self._folder / chunk["file"], chunk["sha256"])

    def _num_rows(self) -> int:
        return sum(chunk["rows"] for chunk in self._head["chunks"])

    def _write_head(self) -> None:
        write_json_atomically(self._head_path, self._head)

    def _read_head(self) -> dict[str, Any]:
        try:
            head = json.loads(self._head_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return head if isinstance(head, dict) else {}


def _write_table(path: Path, table: Any) -> None:
    import pyarrow

    temporary = path.with_suffix(".tmp")
    with pyarrow.ipc.new_file(str(temporary), table.schema) as writer:
        writer.write_table(table)
    temporary.replace(path)


def _take(rows: Iterator[dict[str, Any]], count: int) -> tuple[list[dict[str, Any]], str | None]:
    """So many rows of a stream, fewer at its end or at a fault, and the fault."""
    taken: list[dict[str, Any]] = []
    try:
        for row in itertools.islice(rows, count):
            taken.append(row)  # one by one: what came before a fault is kept
    except Exception as error:  # of a dozen libraries, each with classes of its own
        return taken, " ".join(str(error).split())[:200] or type(error).__name__
    return taken, None


def _open_stream(
    text: str, name: HubName, seed: int, revision: str | None, start: int
) -> Iterator[dict[str, Any]]:
    import datasets

    try:
        stream = datasets.load_dataset(
            name.name, name.config, split=name.split, revision=revision, streaming=True
        )
        stream = stream.shuffle(seed=seed, buffer_size=BUFFER_ROWS)
        return iter(stream.skip(start) if start else stream)
    except Exception as error:  # as in `hub.open_hub`
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(
            f"{text}: the dataset cannot be streamed; found {reason!r}. Check name, configuration, "
            "split and network."
        ) from error


def _find_revision(name: HubName) -> str | None:
    """The commit the dataset is at, or None if the Hub cannot be asked."""
    from huggingface_hub import HfApi

    try:
        return HfApi().dataset_info(name.name).sha
    except Exception:  # no network, no such name: opening the stream says which
        return None
