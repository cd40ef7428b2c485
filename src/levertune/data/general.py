"""General data: the abundant rows, from shipped sources, files, folders, globs or the Hub."""

from __future__ import annotations

import glob
from collections import Counter
from dataclasses import replace
from pathlib import Path

from levertune.data.draws import draw_rows
from levertune.data.embedded.catalog import RETENTION, embedded_path, is_embedded
from levertune.data.hub import HUB_PREFIX, parse_hub_name
from levertune.data.readers import FILE_FORMATS, read_records
from levertune.data.records import TASK_SOURCE, Record, RecordFile
from levertune.errors import DataError


def read_general(
    path: str,
    *,
    name: str | None = None,
    prompt: str | None = None,
    completion: str | None = None,
    encoding: str | None = None,
    max_rows: int | None = None,
    seed: int = 0,
) -> list[RecordFile]:
    """Read one entry of `general.sources`.

    Each file becomes a source of its own, called by its name without ending. A folder means the
    data files directly in it. `text` rows are welcome.

    Args:
        path: `embedded-skills`, `embedded-self`, a file, a folder, a glob or `hub:...`.
        name: What the source is called; of several files each is called NAME/FILE.
        prompt: Template of the prompt, None to recognise the columns.
        completion: Template of the completion, None to recognise the columns.
        encoding: Codec of text files, None for UTF-8.
        max_rows: Keep at most so many rows of all its files together, drawn stratified.
        seed: Seed of that draw.

    Returns:
        The files, by name; the rows of each in file order.

    Raises:
        DataError: If nothing is there, a name is taken or reserved, or a row cannot be used.
    """
    if path == RETENTION:
        raise DataError(
            f"general.sources: {RETENTION} is the probe for what training makes a model forget, so "
            "it is never mixed in; found it as a source. Use embedded-skills or embedded-self."
        )
    if max_rows is not None and max_rows < 1:
        raise DataError(
            f"general.sources: max_rows of {path} must be at least 1; found {max_rows}. "
            "Remove the source to use none of it."
        )
    files = [
        replace(
            read_records(
                file,
                source=source,
                prompt=prompt,
                completion=completion,
                encoding=encoding,
                allow_text=True,
                max_hub_rows=max_rows,
                seed=seed,
            ),
            path=shown,
        )
        for source, file, shown in _name_files(path, name)
    ]
    if max_rows is None:
        return files
    everything = [record for file in files for record in file.records]
    drawn = draw_rows(everything, max_rows, seed=seed, stratified=True)
    kept = {(record.source, record.id) for record in drawn}
    return [replace(file, records=_keep(file.records, kept)) for file in files]


def read_retention() -> RecordFile:
    """Read the rows on which retention is measured; they are never mixed in.

    Returns:
        The shipped rows, of source `embedded-retention`.
    """
    file = read_records(str(embedded_path(RETENTION)), source=RETENTION, allow_text=True)
    return replace(file, path=RETENTION)


def _keep(records: tuple[Record, ...], kept: set[tuple[str, str]]) -> tuple[Record, ...]:
    return tuple(record for record in records if (record.source, record.id) in kept)


def _name_files(path: str, name: str | None) -> list[tuple[str, str, str]]:
    """Source name, file and the path to show, for each file that `path` stands for."""
    if is_embedded(path):
        return [(_checked(name or path), str(embedded_path(path)), path)]
    if path.startswith(HUB_PREFIX):
        stem = parse_hub_name(path).name.rsplit("/", 1)[-1]
        return [(_checked(name or stem), path, path)]
    files = _list_files(path)
    if len(files) == 1:
        return [(_checked(name or Path(files[0]).stem), files[0], files[0])]
    sources = [f"{name}/{Path(file).stem}" if name else Path(file).stem for file in files]
    for source, count in Counter(sources).items():
        if count > 1:
            raise DataError(
                f"{path}: {count} files are called {source!r}; found "
                f"{[f for f, s in zip(files, sources, strict=True) if s == source]}. "
                "Name each as a source of its own with `name`."
            )
    return [(_checked(s), file, file) for s, file in zip(sources, files, strict=True)]


def _list_files(path: str) -> list[str]:
    place = Path(path).expanduser()
    if place.is_dir():
        files = sorted(p for p in place.iterdir() if p.suffix.lower() in FILE_FORMATS)
        if not files:
            raise DataError(
                f"{path}: the folder holds no data file; found "
                f"{sorted(p.name for p in place.iterdir())[:8]}. "
                f"Put a file in it that ends in one of {', '.join(FILE_FORMATS)}."
            )
        return [str(file) for file in files]
    if not place.exists() and glob.has_magic(path):
        found = sorted(f for f in glob.glob(str(place), recursive=True) if Path(f).is_file())
        if not found:
            raise DataError(f"{path}: no file matches this pattern. Check the path.")
        return found
    return [path]


def _checked(source: str) -> str:
    if source == TASK_SOURCE:
        raise DataError(
            f"general.sources: {TASK_SOURCE!r} is the name of the task rows; found a source called "
            "that. Give it another `name`."
        )
    return source
