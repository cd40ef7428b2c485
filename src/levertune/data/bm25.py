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

        self._task_words = [Counter(split_words(text)) for text in task_texts]
        queries = [sorted(words) for words in self._task_words]
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
        self._k1, self._b = k1, b
        self._mean_length = length.sum() / max(1, len(length)) or 1.0
        self._rarity = dict(zip(vocabulary, rarity, strict=True))
        norm = self._norm(length)
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

    def own_scores(self) -> Array:
        """Score of each task row against itself as a candidate, as rare as the others' words are.

        A candidate that says the same and no more has this score, so that a score can be read as a
        share of it.
        """
        scores = []
        for counts in self._task_words:
            norm = self._norm(counts.total())
            scores.append(
                sum(
                    self._rarity[word] * counts[word] * (self._k1 + 1) / (counts[word] + norm)
                    for word in sorted(counts)  # a fixed order of the sum
                )
            )
        return np.array(scores, dtype=np.float64)

    def _norm(self, length: Any) -> Any:
        """What a text's length adds to the count of a word."""
        return self._k1 * (1 - self._b + self._b * length / self._mean_length)
