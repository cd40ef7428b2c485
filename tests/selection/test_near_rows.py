from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.selection.near_rows import NearRows, _shingles

texts = st.lists(st.text("ab ", min_size=0, max_size=24), max_size=12)


@settings(max_examples=50)
@given(texts=texts, threshold=st.sampled_from([0.5, 0.8, 1.0]))
def test_it_refuses_exactly_what_comparing_with_every_row_would(texts, threshold):
    near, chosen = NearRows(threshold), []
    for text in texts:
        shingles = _shingles(" ".join(text.casefold().split()))
        is_near = any(
            len(shingles & other) >= threshold * len(shingles | other) - 1e-9 for other in chosen
        )
        assert near.add_unless_near(text) is not is_near
        if not is_near:
            chosen.append(shingles)


def test_case_and_white_space_make_no_difference():
    near = NearRows(0.8)
    assert near.add_unless_near("Count to three.")
    assert not near.add_unless_near("count  to three.")
    assert near.add_unless_near("Name a colour.")


def test_rows_chosen_elsewhere_count_whatever_they_are_like():
    near = NearRows(0.8)
    for text in ("Count to three.", "count to three!"):
        near.add(text)
    assert not near.add_unless_near("Count to three.")
    assert near.add_unless_near("Name a colour.")
