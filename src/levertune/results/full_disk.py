"""A full disk, recognised in whatever the library that met it has made of it."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator

_CODES = (errno.ENOSPC, errno.EDQUOT)

# safetensors raises an error of its own, without a number: "... No space left on device (os error
# 28)"; other libraries put the system's words into a RuntimeError.
_WORDS = re.compile(
    "|".join(rf"{re.escape(os.strerror(code))}|os error {code}\b" for code in _CODES)
    + "|not enough space on the disk",  # Windows
    re.IGNORECASE,
)

# `torch.save` to a path gives no reason at all: "[enforce fail at inline_container.cc:672] .
# unexpected pos 576 vs 534", "PytorchStreamWriter failed writing file data/0: file write failed",
# or what the stream of the C++ library says, "basic_ios::clear: iostream error".
_TORCH_WORDS = re.compile(
    r"inline_container\.cc.*unexpected pos|PytorchStreamWriter failed writing"
    r"|(?:basic_ios|ios_base)::clear",
    re.DOTALL,
)


class FullDiskError(OSError):
    """A disk without room, or a quota used up; `strerror` says it in words for the user."""


def find_full_disk(error: BaseException) -> FullDiskError | None:
    """Tell whether an error means that a disk is full.

    The error itself and all it was raised from, or while handling, are looked at: system errors by
    their number, those of native libraries, which have none, by the system's words in their text. A
    file that `torch.save` could not write counts too: torch keeps the reason to itself, and for a
    path that could be opened lack of room is by far the likeliest.

    Args:
        error: Any error.

    Returns:
        The same as a system error with the file's name where it is known; None if the error means
        something else.
    """
    for link in _chain(error):
        if isinstance(link, FullDiskError):
            return link
        if isinstance(link, OSError) and link.errno in _CODES:
            return FullDiskError(link.errno, _say(link.errno), link.filename)
    texts = [str(link) for link in _chain(error)]
    if any(map(_WORDS.search, texts)):
        return FullDiskError(errno.ENOSPC, _say(errno.ENOSPC))
    if any(map(_TORCH_WORDS.search, texts)):
        words = f"a file could not be written whole, most likely because {_say(errno.ENOSPC)}"
        return FullDiskError(errno.ENOSPC, words)
    return None


def _say(code: int) -> str:
    return "the disk is full" + (" (your quota is used up)" if code == errno.EDQUOT else "")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, then what it was raised from or while handling, as a traceback would show them."""
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        if link.__cause__ is not None or link.__suppress_context__:
            link = link.__cause__
        else:
            link = link.__context__
