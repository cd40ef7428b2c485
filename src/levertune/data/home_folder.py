"""Paths as users write them: `~` stands for a home folder."""

from __future__ import annotations

from pathlib import Path

from levertune.errors import DataError, UserError


def expand_home(path: str | Path, *, error: type[UserError] = DataError) -> Path:
    """A path with `~` or `~NAME` at its beginning replaced by that home folder.

    Args:
        path: The path as the user gave it.
        error: What to raise.

    Raises:
        UserError: If there is no such user, or nothing says where the home folder is; of the class
            that is given.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise error(
            f"{path}: the home folder is not known; found {Path(path).parts[0]!r}. Check the "
            f"user's name, or write the whole path (./{path} for a name that begins so)."
        ) from None
