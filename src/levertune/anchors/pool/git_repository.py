"""Entries out of a git repository: fetched shallow, read as blobs, never checked out.

No work tree is made, so no hook, filter or link of the repository comes to life.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from levertune.anchors.pool.reading import ENDING, ENTRIES_FOLDER, MAX_BYTES, MISNAMED_ENDING
from levertune.data.home_folder import expand_home
from levertune.data.url_names import split_url
from levertune.errors import DataError
from levertune.results.files import write_text_atomically
from levertune.results.url_secrets import hide_secrets, without_url_secrets

GIT_PREFIX = "git+"
TIMEOUT_SECONDS = 120.0

_PROTOCOLS = ("https", "ssh", "file")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_MAX_ENTRIES = 10_000


@dataclass(frozen=True, slots=True)
class GitPlace:
    """A repository and what of it is wanted.

    Args:
        url: Its URL, or the absolute path of a local one.
        revision: A branch, tag or full commit; None for the default branch.
    """

    url: str
    revision: str | None

    @property
    def shown(self) -> str:
        """What to call it: without passwords."""
        at = f"@{self.revision}" if self.revision else ""
        return f"{GIT_PREFIX}{without_url_secrets(self.url)}{at}"


class _GitFault(Exception):
    """A git command failed; the message says why, without secrets."""


def parse_git_place(text: str) -> GitPlace:
    """Take `git+URL[@REVISION]` apart.

    Args:
        text: The place as the user gave it; a path may stand for the URL.

    Returns:
        The repository; of a `file://` URL or a path, its absolute path.

    Raises:
        DataError: If the protocol is not https, ssh or file, or the revision is malformed.
    """
    rest = text.removeprefix(GIT_PREFIX)
    # As in pip: what follows the last `@` of the path. That before the host is a user's name.
    scheme, mark, behind = rest.partition("://")
    host, slash, path = behind.partition("/") if mark else ("", "", rest)
    path, at, revision = path.rpartition("@") if "@" in path else (path, "", "")
    shown = without_url_secrets(text)
    if mark and scheme not in _PROTOCOLS:
        raise DataError(
            f"{shown}: pools come by {', '.join(_PROTOCOLS)} alone; found {scheme!r}. Use one of "
            "them, or clone the repository and name its folder."
        )
    if not path or (mark and scheme != "file" and not host.rpartition("@")[2]):
        raise DataError(f"{shown}: names no repository. Write git+https://HOST/PATH[@REVISION].")
    if at and (not _REVISION.fullmatch(revision) or ".." in revision):
        raise DataError(
            f"{shown}: the revision must be a branch, a tag or a full commit; found {revision!r}. "
            "Write it after the last @."
        )
    url = f"{scheme}://{host}{slash}{path}"
    if not mark:
        url = str(expand_home(path).resolve())
    elif scheme == "file":
        url = unquote(split_url(url).path)
    return GitPlace(url, revision or None)


def is_bare_repository(folder: Path) -> bool:
    """Whether a folder is a git repository without a work tree; one that is shut is none."""
    try:
        return (folder / "HEAD").is_file() and (folder / "objects").is_dir()
    except PermissionError:
        return False


def fetch_git(
    place: GitPlace, cache: Path, *, timeout: float = TIMEOUT_SECONDS
) -> tuple[Path, tuple[str, ...]]:
    """Copy the entries of a repository into a folder of the cache.

    Args:
        place: The repository.
        cache: The cache's folder for pools.
        timeout: Seconds a git command may take.

    Returns:
        The folder, named by the commit, and what a reader should know: that an earlier copy stands
        in, where the repository cannot be reached.

    Raises:
        DataError: If git is missing, the repository cannot be had and there is no earlier copy, or
            it holds no entry.
    """
    # A saved recipe has lost its passwords: the copy had with them stands in for it.
    home = cache / f"git-{_digest(str(without_url_secrets(place.url)))}"
    pointer = home / f"{_digest(place.revision or '')}.commit"
    if place.revision and _COMMIT.fullmatch(place.revision) and (home / place.revision).is_dir():
        return home / place.revision, ()
    work = home / f".tmp-{secrets.token_hex(8)}"
    try:
        work.mkdir(parents=True)
        commit = _fetch(place, work, timeout)
        folder = home / commit
        if not folder.is_dir():
            _extract(place, work, timeout)
            _move(work / ENTRIES_FOLDER, folder)
        write_text_atomically(pointer, commit)
        return folder, ()
    except _GitFault as fault:
        known = pointer.read_text("utf-8").strip() if pointer.is_file() else ""
        if _COMMIT.fullmatch(known) and (home / known).is_dir():
            note = f"{place.shown} cannot be reached ({fault}); the copy of {known[:12]} stands in."
            return home / known, (note,)
        raise DataError(
            f"{place.shown}: the repository cannot be fetched; found {str(fault)!r}. Check the "
            "address, the revision, your rights and the network."
        ) from None
    except OSError as error:
        raise DataError(
            f"{place.shown}: cannot be kept in {home}; {error.strerror}. Set LEVERTUNE_CACHE to a "
            "folder you may write to."
        ) from None
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _fetch(place: GitPlace, work: Path, timeout: float) -> str:
    """The commit, its files fetched into the bare repository `work/git`."""
    _git(place, work, ["init", "--quiet", "--bare", "--template=", "--", "git"], timeout)
    arguments = ["fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules"]
    repository = work / "git"
    _git(place, repository, [*arguments, "--", place.url, place.revision or "HEAD"], timeout)
    commit = _git(place, repository, ["rev-parse", "--verify", "FETCH_HEAD^{commit}"], timeout)
    return commit.decode("ascii").strip()


def _extract(place: GitPlace, work: Path, timeout: float) -> None:
    """Write the entries of the fetched commit into `work/entries`."""
    repository = work / "git"
    listed = _list_blobs(place, repository, timeout, f"{ENTRIES_FOLDER}/")
    listed = listed or _list_blobs(place, repository, timeout)
    if not listed:
        raise DataError(
            f"{place.shown}: the pool is empty: no {ENDING} file in the repository's folder "
            f"{ENTRIES_FOLDER} or beside it. Put an entry into it, or name another."
        )
    asked = "".join(f"{blob}\n" for _, blob in listed).encode("ascii")
    answer = _git(place, repository, ["cat-file", "--batch"], timeout, given=asked)
    (work / ENTRIES_FOLDER).mkdir()
    start = 0
    for name, _ in listed:
        end = answer.index(b"\n", start)
        size = int(answer[start:end].split()[-1])
        (work / ENTRIES_FOLDER / name).write_bytes(answer[end + 1 : end + 1 + size])
        start = end + size + 2


def _list_blobs(
    place: GitPlace, repository: Path, timeout: float, *folder: str
) -> list[tuple[str, str]]:
    """Name and object of each entry file in the root, or the folder, of the fetched commit."""
    arguments = ["ls-tree", "-z", "-l", "FETCH_HEAD", "--", *folder]
    listed = _git(place, repository, arguments, timeout).decode("utf-8", "replace")
    found = []
    for line in filter(None, listed.split("\0")):
        about, _, path = line.partition("\t")
        mode, _, blob, size = about.split()
        name = PurePosixPath(path).name
        if not name.lower().endswith((ENDING, MISNAMED_ENDING)) or name.startswith("."):
            continue
        if mode not in ("100644", "100755"):
            raise DataError(
                f"{place.shown}: {path} is no plain file; found mode {mode}. Put the file itself "
                "there."
            )
        if int(size) > MAX_BYTES:
            raise DataError(
                f"{place.shown}: {path} is too large; found {int(size):,} bytes of at most "
                f"{MAX_BYTES:,}. Keep fewer or shorter examples."
            )
        found.append((name, blob))
    if len(found) > _MAX_ENTRIES:
        raise DataError(
            f"{place.shown}: holds too many entries; found {len(found):,} of at most "
            f"{_MAX_ENTRIES:,}. Split it into several pools."
        )
    return found


def _git(
    place: GitPlace,
    folder: Path,
    arguments: Sequence[str],
    timeout: float,
    *,
    given: bytes = b"",
) -> bytes:
    """Output of a git command that asks for nothing and runs no hook."""
    # Variables such as GIT_DIR, set while a hook runs us, would lead git to another repository.
    kept = ("GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSL_CAINFO", "GIT_PROXY_SSL_CAINFO")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_") or k in kept}
    environment |= {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": ":".join(_PROTOCOLS),
        "LC_ALL": "C",
    }
    command = ["git", "-c", f"core.hooksPath={os.devnull}", "-C", str(folder), *arguments]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # without a terminal nothing can ask for a password
        )
    except FileNotFoundError:
        raise DataError(
            f"{place.shown}: needs the program git, which is not installed. Install it, or "
            "download the pool and name its folder."
        ) from None
    try:
        output, errors = process.communicate(given, timeout=timeout)
    except BaseException as error:
        _kill(process)
        if isinstance(error, subprocess.TimeoutExpired):
            raise _GitFault(f"no answer within {timeout:g} s") from None
        raise
    if process.returncode:
        raise _GitFault(_reason(errors.decode("utf-8", "replace"), place))
    return output


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End git and the helpers it started."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.communicate()


def _reason(errors: str, place: GitPlace) -> str:
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(("fatal:", "error:", "ERROR:"))]
    text = (told or lines or ["git failed without a word"])[0]
    return hide_secrets(text, place.url)[:200] if "://" in place.url else text[:200]


def _move(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError:
        if not target.is_dir():  # else another process was faster, with the same content
            raise


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]
