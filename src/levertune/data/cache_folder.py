"""Where levertune keeps what it can make or fetch again: remote files, decoded rows, models."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def cache_folder() -> Path:
    """Levertune's cache: `$LEVERTUNE_CACHE`, or the user's cache folder."""
    from platformdirs import user_cache_dir

    return Path(os.environ.get("LEVERTUNE_CACHE") or user_cache_dir("levertune", appauthor=False))


def sha256_of(path: Path) -> str:
    """Hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
