"""BM25: how much two texts share of the words that few texts have.

BM25 is that of Robertson and Zaragoza ("The probabilistic relevance framework", 2009, section 3.4)
with the never negative document frequency weight Lucene uses. Only words some query has are
indexed, so a pool of millions costs one pass and what its texts share with the queries.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from levertune.data.row_texts import split_words

Array = np.ndarray[Any, np.dtype[Any]]

K1 = 1.2
B = 0.75


class Bm25:
    """BM25 scores of candidates, with each task row as a query.

    Each distinct word of a task row counts once.

    Args:
        task_texts: The queries.
        candidate_texts: The documents; read once, in order.
        k1: How soon more of the same word stops counting.
        b: How far long documents are marked down.
    """

    floor = 0.0  # no word in common

    def __init__(
        self,
        task_texts: Sequence[str],
        candidate_texts: Iterable[str],
        *,
        k1: float = K1,
        b: float = B,
    ) -> None:
        from scipy import sparse

        queries = [sorted(set(split_words(text))) for text in task_texts]
        vocabulary = {
            w: i for i, w in enumerate(sorted({word for query in queries for word in query}))
        }
        words, counts, starts, lengths = array("i"), array("i"), array("q", [0]), array("q")
        for text in candidate_texts:
            document = split_words(text)
            lengths.append(len(document))
            found = Counter(vocabulary[word] for word in document if word in vocabulary)
            for word in sorted(found):  # a fixed order of the sum below
                words.append(word)
                counts.append(found[word])
            starts.append(len(words))
        columns = np.frombuffer(words, dtype=np.int32) if words else np.empty(0, dtype=np.int32)
        frequency = np.array(counts, dtype=np.float64)
        bounds, length = np.array(starts), np.array(lengths, dtype=np.float64)
        in_documents = np.bincount(columns, minlength=len(vocabulary))
        rarity = np.log1p((len(length) - in_documents + 0.5) / (in_documents + 0.5))
        mean_length = length.sum() / max(1, len(length)) or 1.0
        norm = k1 * (1 - b + b * length / mean_length)
        weights = frequency * (k1 + 1) / (frequency + np.repeat(norm, np.diff(bounds)))
        self._weights = sparse.csr_matrix(
            (weights * rarity[columns], columns, bounds), shape=(len(length), len(vocabulary))
        )
        asked = [[vocabulary[word] for word in query] for query in queries]
        self._queries = sparse.csr_matrix(
            (
                np.ones(sum(map(len, asked))),
                np.array([i for query in asked for i in query], dtype=np.int32),
                np.cumsum([0, *map(len, asked)]),
            ),
            shape=(len(asked), len(vocabulary)),
        ).T.tocsr()
        self.num_task, self.num_candidates = len(queries), len(length)

    def block(self, start: int, stop: int) -> Array:
        """Scores `[task rows, stop - start]` of the candidates from `start` to `stop`."""
        scores: Array = (self._weights[start:stop] @ self._queries).toarray().T
        return scores
