"""Files of a model or adapter folder, read so that a damaged one is named in one line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from levertune.errors import ModelError
from levertune.models.templates import one_line


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file.

    Args:
        path: The file.

    Raises:
        ModelError: If it cannot be read, or holds anything else.
    """
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise ModelError(
            f"{_shown(path)}: is not valid JSON; {one_line(error)}. Copy or download it again."
        ) from error
    if not isinstance(content, dict):
        raise ModelError(
            f"{_shown(path)}: must hold a JSON object; found {type(content).__name__}. Copy or "
            "download it again."
        )
    return content


def read_text(path: Path) -> str:
    """Read a text file.

    Args:
        path: The file.

    Raises:
        ModelError: If it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{_shown(path)}: cannot be read; {one_line(error)}. Copy or download it again."
        ) from error


@contextmanager
def open_weights(path: Path) -> Iterator[Any]:
    """Open a file of weights; nothing but its header is read, which tells a file cut short.

    Args:
        path: The file.

    Yields:
        What `safetensors.safe_open` gives.

    Raises:
        ModelError: If it is no whole safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        file = safe_open(path, framework="numpy")
    except (OSError, ValueError, SafetensorError) as error:
        size = path.stat().st_size if path.is_file() else 0
        raise ModelError(
            f"{_shown(path)}: is no whole safetensors file; found {size} bytes, "
            f"{one_line(error)}. Copy or download it again."
        ) from error
    with file as opened:
        yield opened


def _shown(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
