from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.data import near_index
from levertune.data.near_index import MAX_TWINS, NearIndex

LONG = "the parcel that i ordered for my sister two weeks ago has still not arrived"
TEXTS = st.lists(
    st.one_of(
        st.text("ab ", max_size=20),
        st.builds(
            lambda cut, end: LONG[cut:] + end, st.integers(0, 40), st.text("xyz", max_size=4)
        ),
    ),
    max_size=20,
)


def shingles(text):
    return {text[i : i + 5] for i in range(len(text) - 4)}


def alike(rows, likes):
    """Every pair's Jaccard index, without the shingles that most of `likes` share."""
    unique = {like for like in likes if len(like) >= 12}
    counts = Counter(shingle for like in unique for shingle in shingles(like))
    usual = {shingle for shingle, count in counts.items() if count > max(10, len(unique) // 10)}
    found = {}
    for i, row in enumerate(rows):
        for j, like in enumerate(likes):
            left, right = shingles(row) - usual, shingles(like) - usual
            if like in unique and len(right) >= 8:
                found[i, j] = round(len(left & right) / len(left | right), 9)
    return found


def near(rows, likes, parts=1):
    index = NearIndex(likes)
    size = max(1, -(-len(rows) // parts))
    touched = set()
    for first in range(0, len(rows), size):
        touched |= index.add(rows[first : first + size], first)
    pairs = {(row, like): round(similarity, 9) for row, like, similarity in index.pairs()}
    assert {row for row, _ in pairs} <= touched
    return pairs


@settings(max_examples=80)
@given(TEXTS, TEXTS, st.integers(1, 4))
def test_every_pair_at_the_threshold_is_found_and_no_other(rows, likes, parts):
    expected = {pair: index for pair, index in alike(rows, likes).items() if index >= 0.6}
    crowded_likes = {
        like for like in likes
        if len({rows[i] for i, j in expected if likes[j] == like}) > MAX_TWINS
    }  # fmt: skip
    open_pairs = {p: s for p, s in expected.items() if likes[p[1]] not in crowded_likes}
    crowded_rows = {
        row for row in rows
        if len({likes[j] for i, j in open_pairs if rows[i] == row}) > MAX_TWINS
    }  # fmt: skip
    assert near(rows, likes, parts) == {
        p: s for p, s in open_pairs.items() if s >= 0.8 and rows[p[0]] not in crowded_rows
    }


def test_a_text_with_many_different_twins_comes_from_a_template_and_copies_count_once():
    twins = [LONG + end for end in "abcdefghijk"]
    assert near(twins, [LONG]) == {}
    assert len(near(twins[:10], [LONG])) == 10
    assert len(near([LONG + "a"] * 40, [LONG])) == 40


def test_pairs_are_the_same_however_few_are_looked_at_together(monkeypatch):
    rows = [f"{LONG[i % 7 :]} number {i % 11}" for i in range(60)]
    likes = [f"{LONG[i % 3 :]} number {i}" for i in range(20)]
    expected = near(rows, likes)
    monkeypatch.setattr(near_index, "_MAX_PAIRS", 5)
    assert near(rows, likes, parts=3) == expected


def test_a_text_alike_to_too_many_is_given_up(monkeypatch):
    monkeypatch.setattr(near_index, "_MAX_CANDIDATES", 3)
    assert near([LONG] * 3, [LONG]) != {}
    assert near([LONG] * 4, [LONG]) == {}
