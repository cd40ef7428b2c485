"""Keeps the memory of a process on a CPU near what it really uses."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import sys
from collections.abc import Callable, Iterator
from functools import cache

_KERNELS_KEPT = "128"
"""oneDNN keeps 1,024 kernels by default, near a megabyte each. Rows of ever other lengths need ever
other ones, so nearly all are kept in vain; the layers of a pass share about 40 (LOG.md 2026-11-22).
"""


def limit_kernel_cache() -> None:
    """Have oneDNN keep fewer kernels, unless the user chose a number.

    It is read when the first kernel is made, so this must come before.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", _KERNELS_KEPT)


def release_unused_memory() -> None:
    """Give memory back that is free inside this process, where the C library can (glibc).

    Tensors of many sizes leave gaps that it would otherwise keep to itself.
    """
    gc.collect()
    trim = _find_trim()
    if trim is not None:
        trim(0)


@contextlib.contextmanager
def settled_objects() -> Iterator[None]:
    """Spare the garbage collector what is there already, while the context lasts.

    Libraries and a model are a few hundred thousand objects that stay; looking through all of them
    at each collection takes a fifth of a second.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@cache
def _find_trim() -> Callable[[int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
        return trim
    except (AttributeError, OSError):  # another C library, such as musl
        return None
