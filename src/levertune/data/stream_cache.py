"""Remote files, read through to the cache: fetched once, resumed after a break, checked by hash.

A copy is never trusted by its name: it counts only while the remote file still shows the validators
(tag, time, size) it had when it was fetched, and while the bytes on the disk are those that came.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from levertune.data.cache_folder import cache_folder, sha256_of, usable_cache
from levertune.data.remote_files import (
    RemoteFault,
    RemoteFile,
    Validators,
    open_remote,
)
from levertune.errors import DataError
from levertune.progress import Progress, SilentProgress
from levertune.results.files import write_json_atomically
from levertune.results.url_secrets import without_url_secrets

CACHE_FORMAT = 1
"""Raise when what is written below changes: copies of another format are fetched again."""

_MAX_STARTS = 3
_SEALED = {"format", "url", "validators", "sha256", "stat", "fetched"}
_MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class CachedFile:
    """A remote file's copy.

    Args:
        path: The copy.
        shown: The URL without secrets.
        sha256: Hash of its bytes.
        notes: What a reader should know, as that the copy could not be checked.
    """

    path: Path
    shown: str
    sha256: str
    notes: tuple[str, ...] = ()


def fetch(url: str, *, ending: str = "", progress: Progress | None = None) -> CachedFile:
    """Bring a remote file here, unless the copy that is here is still good.

    Args:
        url: Its URL.
        ending: Ending of the copy's name, as `.jsonl`.
        progress: Where to show progress.

    Returns:
        The copy.

    Raises:
        DataError: If it cannot be reached or read to its end; what came is kept, and the next call
            goes on from there. Or if the cache cannot be used.
    """
    shown = str(without_url_secrets(url))
    with usable_cache():
        entry = _Entry(shown, ending)
        with entry.locked():
            return entry.bring(open_remote(url), progress or SilentProgress())


class _Entry:
    """The cache's folder of one URL: the copy, its seal, and what is under way."""

    def __init__(self, shown: str, ending: str) -> None:
        self._shown = shown
        name = hashlib.sha256(shown.encode("utf-8")).hexdigest()[:32]
        self._folder = cache_folder() / "streams" / name
        self._data = self._folder / f"data{ending}"
        self._seal = self._folder / "seal.json"
        self._partial = self._folder / "partial"
        self._begun = self._folder / "partial.json"
        self._notes: list[str] = []

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One process at a time; another waits and then finds the copy."""
        from filelock import FileLock

        self._folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self._folder.with_suffix(".lock")):
            yield

    def bring(self, remote: RemoteFile, progress: Progress) -> CachedFile:
        """The copy, fetched where needed."""
        seal = self._read_seal()
        try:
            now = remote.describe()
        except RemoteFault as fault:
            if seal is None or fault.is_missing:
                raise self._unreachable(fault) from None
            self._notes.append(
                f"{self._shown}: could not be asked whether it has changed ({fault.reason}); used "
                f"the copy of {seal['fetched'][:10]}."
            )
            return self._as_file(seal)
        if seal is not None and now.can_tell and seal["validators"] == asdict(now):
            return self._as_file(seal)
        return self._as_file(self._fetch(remote, now, seal, progress))

    def _fetch(
        self, remote: RemoteFile, now: Validators, old: dict[str, Any] | None, progress: Progress
    ) -> dict[str, Any]:
        for _ in range(_MAX_STARTS):
            self._receive(remote, now, progress)
            try:
                after = remote.describe()
            except RemoteFault as fault:
                raise self._broken(fault.reason, now) from None
            if after == now:
                return self._seal_copy(now, old)
            self._notes.append(f"{self._shown}: changed while it was fetched; started again.")
            self._begun.unlink(missing_ok=True)
            now = after
        self._partial.unlink(missing_ok=True)
        raise DataError(
            f"{self._shown}: changed each of {_MAX_STARTS} times while it was fetched. Name a file "
            "that is not being written to."
        )

    def _receive(self, remote: RemoteFile, now: Validators, progress: Progress) -> None:
        """Fetch what is missing of the partial copy."""
        offset = self._kept_bytes(now)
        if now.size is not None and offset == now.size and offset > 0:
            return  # broken off between the last byte and the seal
        total = None if now.size is None else -(-now.size // _MEBIBYTE)
        name = self._shown.rsplit("/", 1)[-1] or self._shown
        with progress.stage(f"fetch {name}", total, "MiB") as stage:
            try:
                start, chunks = remote.read_from(offset, now)
            except RemoteFault as fault:
                raise self._broken(fault.reason, now) from None
            write_json_atomically(self._begun, self._state(now))
            with self._partial.open("r+b" if self._partial.exists() else "w+b") as file:
                file.truncate(start)
                file.seek(start)
                stage.advance(start // _MEBIBYTE)
                done = start
                try:
                    for chunk in chunks:
                        file.write(chunk)
                        stage.advance((done + len(chunk)) // _MEBIBYTE - done // _MEBIBYTE)
                        done += len(chunk)
                except RemoteFault as fault:
                    file.flush()
                    raise self._broken(fault.reason, now) from None
                if total is not None and done == now.size:
                    stage.advance(total - done // _MEBIBYTE)  # the last, begun one
        if now.size is not None and done < now.size:
            raise self._broken("the connection was closed", now)
        if now.size is not None and done > now.size:
            self._begun.unlink()  # it grew meanwhile: the caller sees so and starts again

    def _kept_bytes(self, now: Validators) -> int:
        """Bytes kept of an earlier attempt at exactly this content."""
        begun = _read_json(self._begun)
        if begun is None or not self._partial.is_file():
            return 0
        kept = self._partial.stat().st_size
        if begun != self._state(now) or (now.size is not None and kept > now.size):
            why = "has changed since an earlier attempt broke off"
        elif not now.can_tell:
            why = "does not say whether it changed since an earlier attempt broke off"
        else:
            return kept
        self._notes.append(f"{self._shown}: {why}; started again.")
        return 0

    def _seal_copy(self, now: Validators, old: dict[str, Any] | None) -> dict[str, Any]:
        self._seal.unlink(missing_ok=True)
        sha256 = sha256_of(self._partial)
        if old is not None and old["sha256"] != sha256:
            self._notes.append(f"{self._shown}: has changed since it was last used.")
        self._partial.replace(self._data)
        self._begun.unlink(missing_ok=True)
        stat = self._data.stat()
        seal = {
            **self._state(now),
            "sha256": sha256,
            "stat": [stat.st_size, stat.st_mtime_ns],
            "fetched": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_json_atomically(self._seal, seal)
        return seal

    def _read_seal(self) -> dict[str, Any] | None:
        """The seal, if it is of this URL and format and the copy is what was sealed."""
        if not self._seal.exists() and not self._data.exists():
            return None
        seal = _read_json(self._seal)
        fault = "is not whole"
        if seal is not None and seal.get("format") != CACHE_FORMAT:
            fault = "was written by another version"
        elif seal is not None and seal.get("url") != self._shown:
            fault = "is of another file"
        elif seal is not None and seal.keys() >= _SEALED and self._data.is_file():
            stat = self._data.stat()
            if seal.get("stat") == [stat.st_size, stat.st_mtime_ns]:
                return seal
            if seal.get("sha256") == sha256_of(self._data):
                return seal
            fault = "was changed on the disk"
        self._notes.append(f"{self._shown}: the copy in the cache {fault}; fetched again.")
        return None

    def _state(self, now: Validators) -> dict[str, Any]:
        return {"format": CACHE_FORMAT, "url": self._shown, "validators": asdict(now)}

    def _as_file(self, seal: dict[str, Any]) -> CachedFile:
        return CachedFile(self._data, self._shown, seal["sha256"], tuple(self._notes))

    def _unreachable(self, fault: RemoteFault) -> DataError:
        if fault.is_missing:
            return DataError(f"{self._shown}: cannot be read; {fault.reason}. Check the address.")
        return DataError(
            f"{self._shown}: cannot be reached; found {fault.reason!r}. Check the address, your "
            "rights and the network."
        )

    def _broken(self, reason: str, now: Validators) -> DataError:
        kept = self._partial.stat().st_size if self._partial.is_file() else 0
        of = "" if now.size is None else f" of {now.size:,}"
        return DataError(
            f"{self._shown}: broke off; found {reason!r} after {kept:,}{of} bytes, which are kept. "
            "Type the same command again to go on."
        )


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
