"""General data: the abundant rows, from shipped sources, files, folders, URLs or the Hub."""

from __future__ import annotations

import re
from dataclasses import replace

from levertune.data.draws import draw_rows
from levertune.data.embedded.catalog import RETENTION, embedded_path
from levertune.data.hub import HUB_PREFIX
from levertune.data.hub_stream import stream_hub
from levertune.data.length_filter import LengthLimits, keep_within
from levertune.data.readers import read_records
from levertune.data.reading_keys import ReadingKeys
from levertune.data.records import Record, RecordFile
from levertune.data.row_cache import read_through_cache
from levertune.data.source_files import SourceFile, find_files
from levertune.data.text_encoding import why_no_text
from levertune.errors import DataError
from levertune.progress import Progress

_SELF_WRITTEN = re.compile(r"(self|self-answers):")


def is_self_written(path: str) -> bool:
    """Whether the base model must write a source first: `self:N` or `self-answers:FILE`."""
    return bool(_SELF_WRITTEN.match(path))


def read_general(
    path: str,
    *,
    name: str | None = None,
    prompt: str | None = None,
    completion: str | None = None,
    encoding: str | None = None,
    max_rows: int | None = None,
    streaming: bool = False,
    limits: LengthLimits | None = None,
    require_completion: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
    keys: ReadingKeys | None = None,
) -> list[RecordFile]:
    """Read one entry of `general.sources`.

    Each file becomes a source of its own, called by its name without ending. A folder means the
    data files directly in it. `text` rows are welcome.

    Args:
        path: `embedded-skills`, `embedded-self`, a file, a folder, a glob, `hub:...`, or a URL of a
            file, folder or glob, as `s3://bucket/rows/*.parquet`.
        name: What the source is called; of several files each is called NAME/FILE.
        prompt: Template of the prompt, None to recognise the columns.
        completion: Template of the completion, None to recognise the columns.
        encoding: Codec of text files, None for UTF-8.
        max_rows: Look at no more than so many rows of all its files together, drawn stratified.
        streaming: Read the rows of a Hub dataset as a stream, without downloading it whole.
        limits: Rows of those looked at that are shorter or longer are left out.
        require_completion: False to read prompts only, whether or not rows have a completion.
        seed: Seed of that draw.
        progress: Where to show the progress of a download.
        keys: What the user calls prompt, completion and encoding; None where they have no names.

    Returns:
        The files, by name; the rows of each in file order, those left out in `dropped`.

    Raises:
        DataError: If nothing is there, a name is taken or reserved, a row cannot be used, no row is
            within the limits, or an encoding is given and there is no text file.
    """
    _require_readable(path, max_rows, streaming=streaming)
    places = find_files(path, name, progress=progress)
    if encoding is not None and all(why_no_text(place.path) for place in places):
        raise DataError(
            f"{keys and keys.encoding or 'encoding'}: is not used, since {path} holds no text "
            f"file; found {encoding!r}. Leave it out."
        )
    if streaming:
        rows = stream_hub(path, max_rows=max_rows or 0, seed=seed, progress=progress)
        places = [replace(places[0], path=str(rows.path), notes=rows.notes)]
    files = []
    for place in places:
        file = _read_file(
            place,
            prompt=prompt,
            completion=completion,
            encoding=encoding,
            max_hub_rows=max_rows,
            require_completion=require_completion,
            seed=seed,
            keys=keys or ReadingKeys(),
        )
        file_format = "hub" if streaming else file.file_format
        files.append(replace(file, path=place.shown, file_format=file_format, notes=place.notes))
    if max_rows is not None:
        everything = [record for file in files for record in file.records]
        drawn = draw_rows(everything, max_rows, seed=seed, stratified=True)
        kept = {(record.source, record.id) for record in drawn}
        files = [replace(file, records=_keep(file.records, kept)) for file in files]
    files = keep_within(files, limits or LengthLimits())
    if not any(file.records for file in files):
        notes = " ".join(note for file in files for note in file.notes)
        raise DataError(
            f"{files[0].path}: no row of this source is left; found: {notes} Widen the limits, or "
            "remove the source."
        )
    return files


def read_retention() -> RecordFile:
    """Read the rows on which retention is measured; they are never mixed in.

    Returns:
        The shipped rows, of source `embedded-retention`.
    """
    file = read_records(str(embedded_path(RETENTION)), source=RETENTION, allow_text=True)
    return replace(file, path=RETENTION)


def _require_readable(path: str, max_rows: int | None, *, streaming: bool) -> None:
    if path == RETENTION:
        raise DataError(
            f"general.sources: {RETENTION} is the probe for what training makes a model forget, so "
            "it is never mixed in; found it as a source. Use embedded-skills or embedded-self."
        )
    if is_self_written(path):
        raise DataError(
            f"{path}: rows that the base model writes can only be a general source of a run. Name "
            "a file here."
        )
    if max_rows is not None and max_rows < 1:
        raise DataError(
            f"general.sources: max_rows of {path} must be at least 1; found {max_rows}. "
            "Remove the source to use none of it."
        )
    if streaming and (not path.startswith(HUB_PREFIX) or max_rows is None):
        raise DataError(
            f"general.sources: streaming is for a Hub dataset with max_rows; found {path!r} with "
            f"max_rows {max_rows}. Set max_rows, or leave streaming out."
        )


def _read_file(
    place: SourceFile,
    *,
    prompt: str | None,
    completion: str | None,
    encoding: str | None,
    max_hub_rows: int | None,
    require_completion: bool,
    seed: int,
    keys: ReadingKeys,
) -> RecordFile:
    if place.path.startswith(HUB_PREFIX):
        return read_records(
            place.path,
            source=place.source,
            prompt=prompt,
            completion=completion,
            allow_text=True,
            require_completion=require_completion,
            max_hub_rows=max_hub_rows,
            seed=seed,
            keys=keys,
        )
    return read_through_cache(
        place.path,
        source=place.source,
        prompt=prompt,
        completion=completion,
        encoding=encoding,
        require_completion=require_completion,
        shown=place.shown,
        keys=keys,
    )


def _keep(records: tuple[Record, ...], kept: set[tuple[str, str]]) -> tuple[Record, ...]:
    return tuple(record for record in records if (record.source, record.id) in kept)
