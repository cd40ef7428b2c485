"""Where levertune keeps what it can make or fetch again: remote files, decoded rows, models."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Levertune's cache: `$LEVERTUNE_CACHE`, or the user's cache folder."""
    from platformdirs import user_cache_dir

    return Path(os.environ.get("LEVERTUNE_CACHE") or user_cache_dir("levertune", appauthor=False))
