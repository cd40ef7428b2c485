"""Files named by a URL: over HTTP by the standard library, every other protocol by fsspec."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from string import punctuation
from typing import Any, Protocol
from urllib.parse import quote, unquote, urlunsplit

from levertune.data.url_names import split_url
from levertune.errors import DataError
from levertune.results.url_secrets import hide_secrets, without_url_secrets

CHUNK_BYTES = 1 << 20

_TIMEOUT_SECONDS = 60
_EXTRAS = {
    "s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "abfss": "adlfs",
    "az": "adlfs", "sftp": "paramiko", "ssh": "paramiko", "smb": "smbprotocol",
}  # fmt: skip
# What file systems call the facts by which a file shows that it changed.
_ETAGS = ("ETag", "etag", "md5Hash", "md5", "checksum", "sha256", "generation", "version_id")
_TIMES = ("mtime", "LastModified", "last_modified", "modified", "updated", "created")


@dataclass(frozen=True, slots=True)
class Validators:
    """By what a remote file shows that it is still the same.

    Args:
        size: Bytes, or None if it is not told.
        etag: Its tag or checksum, or None.
        modified: When it was last changed, as told, or None.
    """

    size: int | None
    etag: str | None
    modified: str | None

    @property
    def can_tell(self) -> bool:
        """Whether a change would show; a size alone would not."""
        return self.etag is not None or self.modified is not None


class RemoteFault(Exception):
    """A remote file could not be read.

    Args:
        reason: Why, in a few words without secrets.
        is_missing: Whether there is no such file, so that no copy may stand in for it.
    """

    def __init__(self, reason: str, *, is_missing: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_missing = is_missing


class RemoteFile(Protocol):
    """One file elsewhere; every method raises `RemoteFault`, and nothing else, when it fails."""

    def describe(self) -> Validators:
        """Ask what the file is now."""
        ...

    def read_from(self, offset: int, known: Validators) -> tuple[int, Iterator[bytes]]:
        """Its bytes from an offset on, or from 0 if it does not allow that or has changed.

        Args:
            offset: Where to begin.
            known: What the file was when it was described.

        Returns:
            Where the bytes really begin, and the bytes.
        """
        ...


def open_remote(url: str) -> RemoteFile:
    """A remote file; nothing is read yet.

    Args:
        url: `https://...`, `s3://...` or any other protocol fsspec knows.

    Raises:
        DataError: If the URL is malformed, the protocol unknown or its package not installed.
    """
    if url.split("://")[0].lower() in ("http", "https"):
        return _WebFile(url)
    return _FsspecFile(url)


def expand_remote(url: str, endings: tuple[str, ...]) -> list[str]:
    """The files that a URL stands for: itself, or those of its folder or pattern.

    Args:
        url: A file, a folder or a pattern; over HTTP a file only.
        endings: Endings of the files wanted.

    Raises:
        DataError: If a folder or pattern holds none, or cannot be listed.
    """
    shown = without_url_secrets(url)
    is_pattern = any(sign in url.split("://", 1)[1] for sign in "*[")
    if url.startswith(("http://", "https://")) or (
        PurePosixPath(url).suffix.lower() in endings and not is_pattern
    ):
        return [url]
    file_system, path = _open_file_system(url)
    try:
        if is_pattern:
            found = file_system.glob(path)
        elif file_system.isdir(path):
            listed = file_system.ls(path, detail=False)
            found = [f for f in listed if PurePosixPath(f).suffix.lower() in endings]
        else:
            return [url]
        names = [str(file_system.unstrip_protocol(name)) for name in sorted(found)]
    except Exception as error:  # of a dozen libraries, each with classes of its own
        raise DataError(
            f"{shown}: cannot be listed; found {_reason(error, url)!r}. Check the address, your "
            "rights and the network."
        ) from None
    if not names:
        raise DataError(
            f"{shown}: no file there is a data file. Name one that ends in one of "
            f"{', '.join(endings)}."
        )
    return names


def _open_file_system(url: str) -> tuple[Any, str]:
    import fsspec

    protocol = url.split("://")[0].lower()
    shown = without_url_secrets(url)
    if "::" in url:
        raise DataError(f"{shown}: chained URLs are not read. Name the file itself.")
    try:
        return fsspec.core.url_to_fs(url)
    except ImportError:
        package = _EXTRAS.get(protocol)
        how = f"pip install {package}" if package else f"install fsspec's package for {protocol}://"
        raise DataError(
            f"{shown}: {protocol}:// needs a package that is not installed. Get it: {how}"
        ) from None
    except ValueError:
        raise DataError(
            f"{shown}: unknown protocol {protocol!r}. Use https, s3, gs, abfs, sftp or another "
            "that fsspec knows, or a path without ://."
        ) from None
    except Exception as error:  # file systems may connect when they are made
        raise DataError(
            f"{shown}: cannot be opened; found {_reason(error, url)!r}. Check the address, your "
            "rights and the network."
        ) from None


class _FsspecFile:
    """A file of any file system fsspec knows."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._file_system, self._path = _open_file_system(url)

    def describe(self) -> Validators:
        try:
            self._file_system.invalidate_cache()
            info = self._file_system.info(self._path)
        except FileNotFoundError:
            raise RemoteFault("there is no such file", is_missing=True) from None
        except Exception as error:  # of a dozen libraries, each with classes of its own
            raise RemoteFault(_reason(error, self._url)) from None
        if info.get("type") == "directory":
            raise RemoteFault("it is a folder", is_missing=True)
        etag = next((str(info[name]) for name in _ETAGS if info.get(name)), None)
        modified = next((str(info[name]) for name in _TIMES if info.get(name)), None)
        return Validators(info.get("size"), etag, modified)

    def read_from(self, offset: int, known: Validators) -> tuple[int, Iterator[bytes]]:
        try:
            file = self._file_system.open(self._path, "rb")
            file.seek(offset)
        except Exception as error:
            raise RemoteFault(_reason(error, self._url)) from None
        return offset, _chunks(file, self._url)


class _WebFile:
    """A file over HTTP, asked for with plain GET requests, which signed URLs allow too."""

    def __init__(self, url: str) -> None:
        self._given = url
        parts = split_url(url)
        user, at, host = parts.netloc.rpartition("@")
        self._authorization = None
        if at:
            import base64

            pair = unquote(user) if ":" in user else f"{unquote(user)}:"
            self._authorization = "Basic " + base64.b64encode(pair.encode()).decode("ascii")
        # As browsers do: spaces and what is not ASCII are quoted, all else is sent as it is typed.
        path, query = (quote(part, safe=punctuation) for part in (parts.path, parts.query))
        self._url = urlunsplit((parts.scheme, host, path, query, ""))

    def describe(self) -> Validators:
        with self._get({"Range": "bytes=0-0"}) as response:
            headers = response.headers
            size: str | None
            if response.status in (206, 416):
                size = headers.get("Content-Range", "").rpartition("/")[2]
            else:
                size = headers.get("Content-Length")
            return Validators(
                int(size) if size and size.isdecimal() else None,
                headers.get("ETag"),
                headers.get("Last-Modified"),
            )

    def read_from(self, offset: int, known: Validators) -> tuple[int, Iterator[bytes]]:
        wanted = {"Range": f"bytes={offset}-"} if offset else {}
        # A weak tag may stand for other bytes, so it cannot vouch for the rest of these.
        condition = known.etag if known.etag and not known.etag.startswith("W/") else known.modified
        if offset and condition:
            wanted["If-Range"] = condition
        response = self._get(wanted)
        begins = f"bytes {offset}-"
        if response.status == 206 and response.headers.get("Content-Range", "").startswith(begins):
            return offset, _chunks(response, self._given)
        if response.status in (206, 416):
            response.close()
            response = self._get({})
        return 0, _chunks(response, self._given)

    def _get(self, headers: dict[str, str]) -> Any:
        # Imported here: it is slow, and most sources are files.
        import urllib.error
        import urllib.request

        request = urllib.request.Request(
            self._url, headers={"Accept-Encoding": "identity", "User-Agent": "levertune", **headers}
        )
        if self._authorization:
            # Unredirected: a server that redirects elsewhere must not pass the password on.
            request.add_unredirected_header("Authorization", self._authorization)
        try:
            return urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS)
        except urllib.error.HTTPError as error:
            if error.code == 416:  # an empty file has no byte 0
                return error
            error.close()
            raise RemoteFault(
                f"HTTP {error.code} {error.reason}", is_missing=error.code in (404, 410)
            ) from None
        except (OSError, ValueError) as error:  # ValueError: the URL itself is malformed
            raise RemoteFault(_reason(error, self._given)) from None
        except Exception as error:  # http.client's own family, for answers that are no HTTP
            raise RemoteFault(_reason(error, self._given)) from None


def _chunks(file: Any, url: str) -> Iterator[bytes]:
    with file:
        while True:
            try:
                chunk = file.read(CHUNK_BYTES)
            except Exception as error:
                raise RemoteFault(_reason(error, url)) from None
            if not chunk:
                return
            yield chunk


def _reason(error: Exception, url: str) -> str:
    text = " ".join(str(getattr(error, "reason", None) or error).split())
    return hide_secrets(text, url)[:200] or type(error).__name__
