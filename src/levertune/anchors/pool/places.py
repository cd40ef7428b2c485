"""Where pools lie: the shipped one, folders, git repositories and Hub datasets, as folders here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from levertune.anchors.pool.git_repository import (
    GIT_PREFIX,
    fetch_git,
    is_bare_repository,
    parse_git_place,
)
from levertune.anchors.pool.reading import ENDING, ENTRIES_FOLDER
from levertune.data.cache_folder import cache_folder
from levertune.data.home_folder import expand_home
from levertune.data.hub import HUB_PREFIX
from levertune.errors import DataError
from levertune.results.url_secrets import without_url_secrets

SHIPPED = "shipped"
"""Name of the pool that comes with levertune."""

_HUB_NAME = re.compile(r"(?P<name>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>\w[\w./-]*))?")


@dataclass(frozen=True, slots=True)
class Located:
    """A pool that lies in a folder of this machine.

    Args:
        folder: The folder.
        shown: What to call it.
        root: The folder that links in it may not lead out of.
        notes: What a reader should know of how it was had, one sentence each.
    """

    folder: Path
    shown: str
    root: Path
    notes: tuple[str, ...] = ()


def locate(place: str, *, cache: Path | None = None) -> Located:
    """Find a pool, fetching it where needed.

    Args:
        place: `shipped`, a folder, the path of a bare git repository, `git+URL[@REVISION]` or
            `hub:OWNER/NAME[@REVISION]`.
        cache: Where copies of repositories are kept; levertune's cache unless given.

    Returns:
        The folder it lies in.

    Raises:
        DataError: If the place is malformed or cannot be had.
    """
    if place == SHIPPED:
        folder = shipped_folder()
        return Located(folder, SHIPPED, folder)
    if place.startswith(HUB_PREFIX):
        return _locate_hub(place)
    folder = expand_home(place)
    if place.startswith(GIT_PREFIX) or is_bare_repository(folder):
        repository = parse_git_place(place)
        copy, notes = fetch_git(repository, cache or cache_folder() / "pools")
        return Located(copy, repository.shown, copy, notes)
    if "://" in place:
        shown = without_url_secrets(place)
        raise DataError(
            f"{shown}: is no pool; found an address. Write {GIT_PREFIX}https://HOST/PATH for a "
            f"repository, {HUB_PREFIX}OWNER/NAME for a Hub dataset, or name a folder."
        )
    return Located(folder, place, folder)


def shipped_folder() -> Path:
    """Folder of the entries that come with levertune."""
    return Path(str(resources.files("levertune.anchors.pool"))) / ENTRIES_FOLDER


def _locate_hub(place: str) -> Located:
    parts = _HUB_NAME.fullmatch(place.removeprefix(HUB_PREFIX))
    if parts is None:
        raise DataError(
            f"{place}: is no Hub dataset name. Write {HUB_PREFIX}OWNER/NAME or "
            f"{HUB_PREFIX}OWNER/NAME@REVISION."
        )
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(
            parts["name"],
            repo_type="dataset",
            revision=parts["revision"],
            allow_patterns=f"*{ENDING}",
        )
    # Errors of a dozen unrelated classes; each is the user's to mend, by name or by network.
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(
            f"{place}: the dataset cannot be loaded; found {reason!r}. Check name, revision and "
            "network, or download it and name the folder."
        ) from None
    # A snapshot is made of links into the dataset's own store, two folders up.
    return Located(Path(folder), place, Path(folder).parents[1])
