"""The front of a Hub dataset too large to download whole: streamed once, kept in Arrow files.

Rows come in the order of the stream after a seeded shuffle of its shards and, within a buffer, of
its rows; the same seed gives the same order, so a broken stream goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from levertune.data.cache_folder import cache_folder
from levertune.data.hub import HubName, parse_hub_name
from levertune.errors import DataError
from levertune.progress import Progress, SilentProgress, Stage
from levertune.results.files import write_json_atomically

STREAM_FORMAT = 1
"""Raise when the kept files change: rows of another format are streamed again."""

BUFFER_ROWS = 10_000
"""Rows among which the stream is shuffled."""

_CHUNK_ROWS = 1_000


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
            call goes on from there.
    """
    from filelock import FileLock

    name = parse_hub_name(text)
    revision = _find_revision(name)
    head = {
        "format": STREAM_FORMAT,
        "name": name.name,
        "config": name.config,
        "split": name.split,
        "seed": seed,
        "buffer": BUFFER_ROWS,
    }
    key = hashlib.sha256(json.dumps(head, sort_keys=True).encode("utf-8")).hexdigest()[:32]
    folder = cache_folder() / "hub" / key
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        kept = _Kept(folder, text, head, revision)
        stage_name = f"stream {name.name}"
        with (progress or SilentProgress()).stage(stage_name, max_rows, "row") as stage:
            kept.extend_to(max_rows, name, stage)
        return StreamedRows(kept.write_front(max_rows), tuple(kept.notes))


class _Kept:
    """The rows kept of one stream: numbered chunks and a head that says of what."""

    def __init__(self, folder: Path, text: str, head: dict[str, Any], revision: str | None) -> None:
        self._folder = folder
        self._text = text
        self._head_path = folder / "head.json"
        self.notes: list[str] = []
        old = self._read_head()
        is_same = {name: old.get(name) for name in head} == head
        self._head = {**head, "revision": revision, "is_whole": False}
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
        write_json_atomically(self._head_path, self._head)

    def extend_to(self, max_rows: int, name: HubName, stage: Stage) -> None:
        """Stream the rows that are missing."""
        kept = self._num_rows()
        stage.advance(min(kept, max_rows))
        if kept >= max_rows or self._head["is_whole"]:
            return
        rows = _open_stream(self._text, name, self._head["seed"], kept)
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
                write_json_atomically(self._head_path, self._head)
                return

    def write_front(self, max_rows: int) -> Path:
        """One Arrow file of the first rows."""
        import pyarrow

        path = self._folder / f"front-{min(max_rows, self._num_rows())}.arrow"
        if not path.is_file():
            tables = [pyarrow.ipc.open_file(chunk).read_all() for chunk in self._chunks()]
            if not tables:
                raise DataError(f"{self._text}: the split holds no rows. Name another split.")
            table = pyarrow.concat_tables(tables, promote_options="permissive")
            _write_table(path, table.slice(0, max_rows))
        return path

    def _write_chunk(self, start: int, rows: list[dict[str, Any]]) -> None:
        import pyarrow

        path = self._folder / f"chunk-{start:012d}-{len(rows)}.arrow"
        try:
            table = pyarrow.Table.from_pylist(rows)
        except pyarrow.ArrowException as error:
            reason = " ".join(str(error).split())[:200]
            raise DataError(
                f"{self._text}: rows {start + 1} to {start + len(rows)} fit no table; found "
                f"{reason!r}. Download the dataset and name its files."
            ) from error
        _write_table(path, table)

    def _chunks(self) -> list[Path]:
        """The chunks without a gap from the first row on."""
        found, expected = [], 0
        for path in sorted(self._folder.glob("chunk-*.arrow")):
            _, start, count = path.stem.split("-")
            if int(start) == expected:
                found.append(path)
                expected += int(count)
        return found

    def _num_rows(self) -> int:
        return sum(int(path.stem.split("-")[2]) for path in self._chunks())

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


def _open_stream(text: str, name: HubName, seed: int, start: int) -> Iterator[dict[str, Any]]:
    import datasets

    try:
        stream = datasets.load_dataset(name.name, name.config, split=name.split, streaming=True)
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
