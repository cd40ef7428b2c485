"""URLs as names of data: what is one, and what a source is called after it."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import PurePosixPath
from urllib.parse import SplitResult, unquote, urlsplit

from levertune.errors import DataError
from levertune.results.url_secrets import without_url_secrets

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def is_url(path: str) -> bool:
    """Whether a source is named by a URL, as `s3://bucket/rows.jsonl`."""
    return bool(_URL.match(path))


def split_url(url: str) -> SplitResult:
    """The parts of a URL that is about to be read.

    Args:
        url: The URL as the user gave it.

    Raises:
        DataError: If it is malformed, as `http://[::1/rows.jsonl`.
    """
    try:
        return urlsplit(url)
    except ValueError as error:
        raise DataError(
            f"{without_url_secrets(url)}: is a malformed URL; found {str(error)!r}. Write it as "
            "https://HOST/PATH."
        ) from None


def url_path(url: str) -> PurePosixPath:
    """The path within a URL, unquoted, without host and query.

    A `?` outside the web is a pattern's or part of a file's name. A malformed URL has a name too;
    it is refused when it is read.
    """
    if url.startswith(("http://", "https://")):
        with suppress(ValueError):
            return PurePosixPath(unquote(urlsplit(url).path))
    return PurePosixPath(url.split("://", 1)[1])


def url_stem(url: str) -> str:
    """What a source is called after its URL: the file's or, of a pattern, the folder's name."""
    shown = str(without_url_secrets(url))
    named = [part for part in url_path(shown).parts if not set(part) & set("*?[/")]
    return PurePosixPath(named[-1]).stem if named else shown.split("://", 1)[1].split("/")[0]
