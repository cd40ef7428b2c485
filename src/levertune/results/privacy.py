"""Take folder names out of text before it is written to a file that may be shared."""

from __future__ import annotations

import re
from typing import Any

# An absolute path of at least two parts, POSIX (also `~/…` and `file:///…`) or Windows. What
# comes before it must not be part of a word, so dates (1/2/3), URLs and `key/value` stay. A
# folder with a blank in its name keeps what follows the blank.
_PATH = re.compile(
    r"(?<![\w./:\\-])(?:file://)?(?:~|[A-Za-z]:)?[\\/](?:[^\s\\/'\"`<>|:,;]+[\\/])+"
    r"(?P<last>[^\s\\/'\"`<>|:,;]*)"
)


def without_folders(value: Any) -> Any:
    """`value` with each absolute path in its strings cut to the last part.

    Args:
        value: A string, or JSON made of lists and dictionaries; other values are kept.

    Returns:
        The same shape: `--task /data/x/tickets.csv` becomes `--task tickets.csv`.
    """
    if isinstance(value, str):
        return _PATH.sub(lambda match: match["last"] or "(folder)", value)
    if isinstance(value, dict):
        return {key: without_folders(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(item) for item in value]
    return value
