from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.data.near_duplicates import group_near_duplicates


def jaccard(left, right):
    def shingles(text):
        text = text.ljust(5, "\0")
        return {text[i : i + 5] for i in range(len(text) - 4)}

    return len(shingles(left) & shingles(right)) / len(shingles(left) | shingles(right))


LONG = "the parcel that i ordered for my sister two weeks ago has still not arrived"
TEXTS = st.lists(
    st.one_of(
        st.text("ab ", max_size=12),
        st.builds(
            lambda cut, end: LONG[cut:] + end, st.integers(0, 25), st.text("xyz", max_size=3)
        ),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=60)
@given(TEXTS)
def test_groups_are_the_chains_of_pairs_at_the_threshold(texts):
    groups = group_near_duplicates(texts)
    expected = list(range(len(texts)))
    for i, left in enumerate(texts):
        for j in range(i):
            if jaccard(left, texts[j]) >= 0.8:
                low, high = sorted((expected[i], expected[j]))
                expected = [low if group == high else group for group in expected]
    # MinHash may overlook a pair in a thousand, but never joins what does not belong together.
    assert all(expected[i] == expected[j] for i, j in enumerate(groups))
    assert len(set(groups)) <= len(set(expected)) + 1


def test_few_texts_are_groups_of_their_own():
    assert group_near_duplicates(["one text"]) == [0]
    assert group_near_duplicates(["", "", "a"]) == [0, 0, 2]


def test_thousands_of_alike_rows_are_grouped_quickly():
    texts = [f"{LONG}, says customer number {i:04d}" for i in range(3000)]
    assert len(set(group_near_duplicates(texts))) == 1
