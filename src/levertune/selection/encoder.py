"""Rows to vectors by the base model, each text once: vectors are kept in a cache between tasks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from levertune.data.records import Record
from levertune.models.rendering import ChatTokenizer
from levertune.progress import Progress, SilentProgress
from levertune.selection.selection import row_text
from levertune.selection.state_cache import StateCache

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from levertune.models.hardware import Hardware
    from levertune.models.micro_batch_limit import MicroBatchLimit

Array = np.ndarray[Any, np.dtype[Any]]

MAX_TOKENS = 64
LAYER_SHARE = 2 / 3

_VERSION = 1  # raise when the same text gets another vector
_BLOCK_ROWS = 512
# Products of whole numbers up to here add up exactly in float64, in whatever order BLAS adds them.
_SCALE = 2**15
_ROWS_AT_A_TIME = 4096


class Encoder:
    """Gives rows their vectors.

    A row's text is its turns (the system's aside) and its answer, bare: a chat template would spend
    a good part of the first tokens on words that all rows share.

    Args:
        load_model: Gives the base model; called only if some row has no vector yet.
        tokenizer: Its tokenizer.
        hardware: Device and precision.
        identity: Hash of weights and tokenizer.
        folder: Where vectors are kept; a folder in it is used for this model and these settings.
        max_tokens: Tokens of a row that are looked at, the first.
        layer_share: Share of the layers that is run, the lowest.
    """

    def __init__(
        self,
        load_model: Callable[[], PreTrainedModel],
        tokenizer: ChatTokenizer,
        hardware: Hardware,
        *,
        identity: str,
        folder: Path,
        max_tokens: int = MAX_TOKENS,
        layer_share: float = LAYER_SHARE,
    ) -> None:
        self.tokens_run = 0
        self._load_model = load_model
        self._tokenizer = tokenizer
        self._hardware = hardware
        self._identity = identity
        self._folder = folder
        self._max_tokens = max_tokens
        self._layer_share = layer_share
        settings = {
            "version": _VERSION,
            "model": identity,
            "max_tokens": max_tokens,
            "layer_share": layer_share,
            "dtype": hardware.dtype_name,
        }
        name = hashlib.sha256(repr(tuple(settings.values())).encode()).hexdigest()[:24]
        self._cache = StateCache(folder / name, settings)
        self._keys: dict[Record, int] = {}
        self._limit: MicroBatchLimit | None = None

    def at_full_depth(self) -> Encoder:
        """The same with every layer."""
        return Encoder(
            self._load_model,
            self._tokenizer,
            self._hardware,
            identity=self._identity,
            folder=self._folder,
            max_tokens=self._max_tokens,
            layer_share=1.0,
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know of the vectors kept."""
        removed = self._cache.num_removed
        if not removed:
            return ()
        return (
            f"{removed:,} blocks of states in the cache were not as they had been written; their "
            "rows were computed again.",
        )

    @property
    def all_layers(self) -> int:
        """Layers of the model."""
        from levertune.selection.states import count_layers

        return count_layers(self._load_model())

    @property
    def num_layers(self) -> int:
        """Layers that are run."""
        return max(1, round(self._layer_share * self.all_layers))

    def encode(
        self, records: Sequence[Record], *, progress: Progress | None = None, label: str = "states"
    ) -> Array:
        """See that every row has its vector.

        Rows are taken in the order of their hashes, a block at a time, and each block is kept when
        it is done: a killed run goes on with the next, in the same batches.

        Args:
            records: The rows.
            progress: Where to show progress.
            label: Name of the stage.

        Returns:
            The keys of the rows, for `take`.

        Raises:
            RunError: If memory runs out at a single row.
        """
        keys = np.array([self._key(record) for record in records], dtype=np.uint64)
        unique, firsts = np.unique(keys, return_index=True)
        is_there = self._cache.holds(unique)
        with (progress or SilentProgress()).stage(label, int((~is_there).sum()), "row") as stage:
            for start in range(0, len(unique), _BLOCK_ROWS):
                block = slice(start, start + _BLOCK_ROWS)
                missing = ~is_there[block]
                if missing.any():
                    rows = [records[i] for i in firsts[block][missing]]
                    self._cache.add(unique[block][missing], self._run(rows))
                    stage.advance(len(rows))
        return keys

    def take(self, keys: Array) -> Array:
        """Vectors by their keys, in float16."""
        return self._cache.take(keys)

    def _key(self, record: Record) -> int:
        key = self._keys.get(record)
        if key is None:
            digest = hashlib.blake2b(row_text(record).encode("utf-8", "replace"), digest_size=8)
            key = self._keys[record] = int.from_bytes(digest.digest(), "little")
        return key

    def _tokens(self, record: Record) -> list[int]:
        ids = self._tokenizer.encode(row_text(record))[: self._max_tokens]
        return ids or [self._tokenizer.pad_id]

    def _run(self, records: list[Record]) -> Array:
        from levertune.models.micro_batch_limit import MicroBatchLimit
        from levertune.selection.states import pool_states

        rows = [self._tokens(record) for record in records]
        self.tokens_run += sum(map(len, rows))
        self._limit = self._limit or MicroBatchLimit()  # it stays for the blocks that follow
        return pool_states(
            self._load_model(),
            rows,
            num_layers=self.num_layers,
            hardware=self._hardware,
            pad_id=self._tokenizer.pad_id,
            names=[(record.source, record.id) for record in records],
            limit=self._limit,
        )


class CosineSimilarity:
    """Cosines between the vectors of task rows and candidates, the same however they are blocked.

    Unit vectors are rounded to whole multiples of 2^-15, so that every sum is exact.

    Args:
        task: Vectors of the task rows.
        num_candidates: Candidates.
        take: Gives the vectors of the candidates from one index to another.
    """

    floor = None

    def __init__(self, task: Array, num_candidates: int, take: Callable[[int, int], Array]) -> None:
        self._task = _to_whole(task)
        self._take = take
        self.num_task, self.num_candidates = len(task), num_candidates

    def block(self, start: int, stop: int) -> Array:
        """Cosines `[task rows, stop - start]` of the candidates from `start` to `stop`."""
        scores = np.empty((self.num_task, stop - start))
        for first in range(start, stop, _ROWS_AT_A_TIME):
            last = min(first + _ROWS_AT_A_TIME, stop)
            products = self._task @ _to_whole(self._take(first, last)).T
            scores[:, first - start : last - start] = products / _SCALE**2
        return scores


def _to_whole(vectors: Array) -> Array:
    wide = vectors.astype(np.float64)
    # Summed row by row, in an order of numpy's own, so that no other row has a part in it.
    norms = np.sqrt((wide * wide).sum(axis=1, keepdims=True))
    return np.rint(wide / np.maximum(norms, 1e-30) * _SCALE)


def encode_similarity(
    encoder: Encoder,
    task: Sequence[Record],
    candidates: Sequence[Record],
    *,
    progress: Progress | None = None,
) -> CosineSimilarity:
    """Cosines between the vectors an encoder gives task rows and candidates.

    Args:
        encoder: The encoder.
        task: The task rows.
        candidates: The candidates.
        progress: Where to show progress.
    """
    asked = encoder.encode(task, progress=progress, label="states of task rows")
    keys = encoder.encode(candidates, progress=progress, label="states of general rows")
    return CosineSimilarity(
        encoder.take(asked), len(candidates), lambda start, stop: encoder.take(keys[start:stop])
    )
