"""What one entry of `general.sources` stands for: files, each with the name its rows get."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from levertune.data.column_types import common_type, plain_type
from levertune.data.embedded.catalog import embedded_path, is_embedded
from levertune.data.home_folder import expand_home
from levertune.data.hub import HUB_PREFIX, parse_hub_name
from levertune.data.readers import FILE_FORMATS, require_known_ending
from levertune.data.records import TASK_SOURCE
from levertune.data.remote_files import expand_remote
from levertune.data.stream_cache import fetch
from levertune.data.url_names import is_url, split_url, url_path, url_stem
from levertune.errors import DataError
from levertune.progress import Progress
from levertune.results.url_secrets import without_url_secrets


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a source.

    Args:
        source: Source its rows get.
        path: Where it is: a file here, or a Hub name.
        shown: What it is called in errors and results.
        notes: What a reader should know of how it came here.
    """

    source: str
    path: str
    shown: str
    notes: tuple[str, ...] = ()


def find_files(
    path: str, name: str | None, *, progress: Progress | None = None
) -> list[SourceFile]:
    """The files of a source, remote ones brought here.

    Args:
        path: A shipped source, a file, a folder, a pattern, a URL of one, or `hub:...`.
        name: What the source is called; of several files each is called NAME/FILE.
        progress: Where to show progress.

    Raises:
        DataError: If nothing is there, a name is taken or reserved, or Parquet files that belong
            together have different columns.
    """
    if is_embedded(path):
        return [SourceFile(_checked(name or path), str(embedded_path(path)), path)]
    if path.startswith(HUB_PREFIX):
        stem = parse_hub_name(path).name.rsplit("/", 1)[-1]
        return [SourceFile(_checked(name or stem), path, path)]
    if path.startswith("file://"):
        path = unquote(split_url(path).path)
    if is_url(path):
        return _fetch_all(path, name, progress)
    places = _list_files(path)
    names = _name_all(path, places, [Path(place).stem for place in places], name)
    files = [SourceFile(n, place, place) for n, place in zip(names, places, strict=True)]
    _require_one_schema(files)
    return files


def _fetch_all(url: str, name: str | None, progress: Progress | None) -> list[SourceFile]:
    urls = expand_remote(url, tuple(FILE_FORMATS))
    shown = [str(without_url_secrets(one)) for one in urls]
    names = _name_all(shown[0], shown, [url_stem(one) for one in urls], name)
    endings = [_ending(one) for one in shown]
    copies = [
        fetch(one, ending=ending, progress=progress)
        for one, ending in zip(urls, endings, strict=True)
    ]
    files = [
        SourceFile(n, str(copy.path), copy.shown, copy.notes)
        for n, copy in zip(names, copies, strict=True)
    ]
    _require_one_schema(files)
    return files


def _ending(shown: str) -> str:
    """Ending of a URL's file; checked before anything is fetched."""
    ending = url_path(shown).suffix.lower()
    require_known_ending(shown, ending)
    return ending


def _name_all(
    path: str, places: Sequence[str], stems: Sequence[str], name: str | None
) -> list[str]:
    if len(places) == 1:
        return [_checked(name or stems[0])]
    sources = [f"{name}/{stem}" if name else stem for stem in stems]
    for source, count in Counter(sources).items():
        if count > 1:
            raise DataError(
                f"{path}: {count} files are called {source!r}; found "
                f"{[place for place, s in zip(places, sources, strict=True) if s == source]}. "
                "Name each as a source of its own with `name`."
            )
    return [_checked(source) for source in sources]


def _list_files(path: str) -> list[str]:
    place = expand_home(path)
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


def _require_one_schema(files: Sequence[SourceFile]) -> None:
    """Refuse Parquet files of one source whose columns differ; their footers alone are read."""
    tables = [file for file in files if file.path.lower().endswith(".parquet")]
    if len(tables) < 2:
        return
    columns = _columns_of(tables[0])
    seen_in = dict.fromkeys(columns, tables[0])
    for other in tables[1:]:
        others = _columns_of(other)
        common = {
            name: common_type(columns[name], kind)
            for name, kind in others.items()
            if name in columns
        }
        differing = [name for name in {**columns, **others} if common.get(name) is None]
        if differing:
            first = seen_in.get(differing[0], tables[0])
            raise _differ(first, columns, other, others, differing)
        seen_in |= {name: other for name in common if common[name] != columns[name]}
        columns = common


def _differ(
    first: SourceFile,
    columns: Mapping[str, Any],
    other: SourceFile,
    others: Mapping[str, Any],
    differing: Sequence[str],
) -> DataError:
    found = "; ".join(
        f"{name!r} is {columns.get(name, 'missing')} in the first and "
        f"{others.get(name, 'missing')} in the second"
        for name in differing[:3]
    )
    more = f" and {len(differing) - 3} more columns differ" if len(differing) > 3 else ""
    return DataError(
        f"{first.shown} and {other.shown}: Parquet files of one source must have the same "
        f"columns; found that {found}{more}. Write them alike, or name each file as a source of "
        "its own."
    )


def _columns_of(file: SourceFile) -> dict[str, Any]:
    import pyarrow
    from pyarrow import parquet

    try:
        schema = parquet.read_schema(file.path)
    except (pyarrow.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"{file.shown}: is no readable parquet file; found {reason[:200]!r}. Write it again."
        ) from error
    return {field.name: plain_type(field.type) for field in schema}


def _checked(source: str) -> str:
    if source == TASK_SOURCE:
        raise DataError(
            f"general.sources: {TASK_SOURCE!r} is the name of the task rows; found a source called "
            "that. Give it another `name`."
        )
    return source
