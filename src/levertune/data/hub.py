"""Rows of a Hub dataset, named as `hub:NAME[:CONFIG][@SPLIT]`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from levertune.data.text_files import NumberedRow
from levertune.errors import DataError

HUB_PREFIX = "hub:"
_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")


@dataclass(frozen=True, slots=True)
class HubName:
    """A dataset on the Hub.

    Args:
        name: The repository, as `owner/name`.
        config: The configuration, or None for the only one.
        split: The split.
    """

    name: str
    config: str | None
    split: str


def parse_hub_name(text: str) -> HubName:
    """Take `hub:NAME[:CONFIG][@SPLIT]` apart.

    Args:
        text: The name as the user gave it.

    Returns:
        Its parts; the split is `train` unless named.

    Raises:
        DataError: If the text has another form.
    """
    rest, at, split = text.removeprefix(HUB_PREFIX).partition("@")
    name, colon, config = rest.partition(":")
    if not _NAME.fullmatch(name) or (colon and not config) or (at and not split):
        raise DataError(
            f"{text!r}: is no Hub dataset name. Write hub:OWNER/NAME, hub:OWNER/NAME@SPLIT or "
            "hub:OWNER/NAME:CONFIG@SPLIT."
        )
    return HubName(name, config or None, split or "train")


@dataclass(frozen=True, slots=True)
class HubRows:
    """A split of a Hub dataset, opened but not yet read.

    Args:
        dataset: The `datasets.Dataset`.
        row_numbers: The rows wanted, counted from 0, rising; None for all.
    """

    dataset: Any
    row_numbers: tuple[int, ...] | None

    def __iter__(self) -> Iterator[NumberedRow]:
        if self.row_numbers is None:
            numbers: Any = range(1, len(self.dataset) + 1)
            rows = self.dataset
        else:
            numbers = (number + 1 for number in self.row_numbers)
            rows = self.dataset.select(self.row_numbers)
        yield from zip(numbers, rows, strict=True)

    def sha256(self) -> str:
        """Hash of the canonical JSON of the rows."""
        digest = hashlib.sha256()
        for _, row in self:
            line = json.dumps(row, sort_keys=True, ensure_ascii=True, default=str)
            digest.update(line.encode("ascii") + b"\n")
        return digest.hexdigest()


def open_hub(text: str, *, max_rows: int | None = None, seed: int = 0) -> HubRows:
    """Open a split of a Hub dataset, downloading it where needed.

    Args:
        text: `hub:NAME[:CONFIG][@SPLIT]`.
        max_rows: Draw at most this many rows, or None for all.
        seed: Seed of the draw.

    Returns:
        The rows.

    Raises:
        DataError: If the name is malformed, the dataset cannot be had, or has no such split.
    """
    hub_name = parse_hub_name(text)
    import datasets

    try:
        splits = datasets.load_dataset(hub_name.name, hub_name.config)
    # The library raises errors of a dozen unrelated classes (its own, fsspec's, httpx's, plain
    # ValueError for a missing configuration); each is the user's to mend, by name or by network.
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(
            f"{text}: the dataset cannot be loaded; found {reason!r}. Check name, configuration "
            "and network, or download it and name the file."
        ) from error
    if hub_name.split not in splits:
        raise DataError(
            f"{text}: has no split {hub_name.split!r}; found {sorted(map(str, splits))}. "
            f"Name one of them, as hub:{hub_name.name}@{sorted(map(str, splits))[0]}."
        )
    dataset = splits[hub_name.split]
    if max_rows is None or max_rows >= len(dataset):
        return HubRows(dataset, None)
    import numpy as np

    # The front of one permutation, so that more rows contain the fewer.
    drawn = np.random.default_rng(seed).permutation(len(dataset))[:max_rows]
    return HubRows(dataset, tuple(sorted(int(number) for number in drawn)))
