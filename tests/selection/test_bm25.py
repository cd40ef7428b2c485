import math
import random
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.data.bm25 import K1, B, Bm25
from levertune.selection.bm25 import select_bm25
from levertune.selection.dissimilar import select_dissimilar
from levertune.selection.selection import Budget, Diversity

words = st.lists(st.sampled_from(["red", "green", "blue", "sea", "sky"]), max_size=6)
texts = st.lists(words.map(" ".join), min_size=1, max_size=8)


def reference(query, documents):
    """BM25 as its formula reads."""
    documents = [re.findall(r"\w+", d.casefold()) for d in documents]
    mean = sum(map(len, documents)) / len(documents) or 1.0
    scores = []
    for document in documents:
        score = 0.0
        for word in set(re.findall(r"\w+", query.casefold())):
            n = sum(word in other for other in documents)
            idf = math.log(1 + (len(documents) - n + 0.5) / (n + 0.5))
            f = document.count(word)
            score += idf * f * (K1 + 1) / (f + K1 * (1 - B + B * len(document) / mean))
        scores.append(score)
    return scores


@settings(max_examples=40)
@given(queries=texts, documents=texts)
def test_scores_are_those_of_the_formula(queries, documents):
    scores = Bm25(queries, documents).block(0, len(documents))
    assert scores.shape == (len(queries), len(documents))
    np.testing.assert_allclose(scores, [reference(query, documents) for query in queries])


@settings(max_examples=40)
@given(query=st.lists(st.sampled_from(["red", "sea", "fog"]), min_size=1, max_size=6))
def test_a_row_s_own_score_is_that_of_a_candidate_that_says_the_same(query):
    text = " ".join(query)
    documents = ["red green", text, "sea sky sea", "blue"]
    bm25 = Bm25([text], documents)
    np.testing.assert_allclose(bm25.own_scores(), bm25.block(1, 2)[:, 0])


def test_each_task_row_gets_the_row_that_shares_its_words(fruit_task, pool):
    chosen = select_bm25(fruit_task, pool, Budget(3), seed=0)
    assert chosen.selector == "bm25"
    assert [row.nearest for row in chosen.rows] == ["t0", "t1", "t2"]
    assert chosen.ids[0] == ("garden", "garden-0")
    assert {row.source for row in chosen.rows} == {"garden", "travel", "music"}
    assert all(score > 0 for score in chosen.scores)
    assert chosen.by_source() == {"garden": 1, "music": 1, "travel": 1}
    assert [record.id for record in chosen.pick(pool)] == [row.id for row in chosen.rows]


@settings(max_examples=20)
@given(order=st.randoms(use_true_random=False), limit=st.integers(1, 12))
def test_the_order_of_the_candidates_and_the_block_change_nothing(fruit_task, pool, order, limit):
    shuffled = list(pool)
    order.shuffle(shuffled)
    chosen = select_bm25(fruit_task, pool, Budget(limit), seed=3)
    again = select_bm25(fruit_task, shuffled, Budget(limit), seed=3, block_rows=order.randint(1, 5))
    assert (chosen.rows, chosen.notes) == (again.rows, again.notes)
    farthest = select_dissimilar(fruit_task, pool, Budget(limit), seed=3)
    assert farthest.rows == select_dissimilar(fruit_task, shuffled, Budget(limit), seed=3).rows


def test_equal_scores_are_decided_by_the_seed(make_row):
    task = [make_row("t", "red", "x", "task")]
    rows = [make_row(i, f"red {chr(97 + i) * 5}") for i in range(20)]
    firsts = {select_bm25(task, rows, Budget(1), seed=seed).ids for seed in range(8)}
    assert len(firsts) > 3


def test_the_control_takes_what_bm25_would_take_last(fruit_task, pool):
    near = set(select_bm25(fruit_task, pool, Budget(5), seed=0).ids)
    far = select_dissimilar(fruit_task, pool, Budget(5), seed=0)
    assert not near & set(far.ids)
    assert list(far.scores) == sorted(far.scores)
    assert {row.nearest for row in far.rows} <= {"t0", "t1", "t2"}
    assert select_dissimilar([], pool, Budget(5), seed=0).rows == ()


def test_a_pool_that_shares_no_word_is_still_drawn_from_and_it_is_said(make_row):
    task = [make_row("t", "red", "x", "task")]
    rows = [make_row(i, f"{chr(97 + i) * 6} only", "y") for i in range(3)]
    chosen = select_bm25(task, rows, Budget(2), seed=0)
    assert len(chosen.rows) == 2
    assert "nothing in common" in chosen.notes[0]


def test_each_source_has_its_share(make_row):
    task = [make_row("t", "red sea", "x", "task")]
    near = [make_row(f"n{i}", f"red sea {chr(97 + i) * 7}", source="near") for i in range(9)]
    far = [make_row(f"f{i}", f"red {chr(97 + i) * 7}", source=s) for i, s in enumerate("bcbcbc")]
    chosen = select_bm25(task, near + far, Budget(8), seed=0)
    assert chosen.by_source()["near"] == 4
    free = Diversity(max_source_share=1.0)
    chosen = select_bm25(task, near + far, Budget(8), seed=0, diversity=free)
    assert chosen.by_source() == {"near": 8}


@pytest.mark.parametrize("size", [400])
def test_text_rows_and_words_of_any_case_are_read(make_row, size):
    from dataclasses import replace

    task = [make_row("t", "RED", "x", "task")]
    noise = [make_row(i, " ".join(random.Random(i).choices("xyz", k=4))) for i in range(size)]
    text_row = replace(make_row("text", ""), prompt=(), completion="The red one")
    assert select_bm25(task, [*noise, text_row], Budget(1), seed=0).ids == (("a", "text"),)
