from hypothesis import given
from hypothesis import strategies as st

from levertune.data.row_texts import split_tokens
from levertune.data.word_hashes import (
    has_digit,
    hash_shortened,
    hash_texts,
    hash_windows,
    hash_words,
)

TEXTS = st.lists(
    st.lists(st.sampled_from(["a", "b", "cat", "7", "42nd", "\u0663", "x\u00b2"]), max_size=6),
    max_size=5,
)


def hashed(texts):
    return hash_words([" ".join(words) for words in texts], str.split)


@given(TEXTS)
def test_words_of_each_text_are_hashed_in_order_and_numbers_masked_alike(texts):
    words = hashed(texts)
    flat = [word for text in texts for word in text]
    values, masked = words.values.tolist(), words.masked.tolist()
    assert [text for text, size in enumerate(words.sizes) for _ in range(size)] == list(words.texts)
    assert words.sizes.tolist() == [len(text) for text in texts]
    assert values == [hash(word) % 2**64 for word in flat]
    is_number = [has_digit(word) for word in flat]
    assert len({code for code, number in zip(masked, is_number, strict=True) if number}) <= 1
    assert [m for m, n in zip(masked, is_number, strict=True) if not n] == [
        v for v, n in zip(values, is_number, strict=True) if not n
    ]
    assert words.text_of(range(len(flat))).tolist() == words.texts.tolist()


@given(TEXTS, st.integers(1, 4))
def test_runs_hash_alike_exactly_where_their_words_are_equal(texts, length):
    flat = [word for text in texts for word in text]
    runs = [tuple(flat[i : i + length]) for i in range(len(flat) - length + 1)]
    hashes = hash_windows(hashed(texts).values, length).tolist()
    assert len(hashes) == len(runs)
    assert len(set(hashes)) == len(set(runs)) == len(set(zip(hashes, runs, strict=True)))


@given(TEXTS)
def test_a_text_without_a_word_hashes_as_the_text_of_the_others(texts):
    words = hashed(texts)
    shortened = [text[:i] + text[i + 1 :] for text in texts for i in range(len(text))]
    whole = hashed(shortened)
    assert hash_shortened(words.values, words).tolist() == hash_texts(whole.values, whole).tolist()


def test_words_of_any_script_that_hold_a_digit_are_numbers():
    assert [has_digit(word) for word in ("7", "a7", "\u0663", "\u00b2", "a", "\u4e00")] == [
        True, True, True, True, False, False,
    ]  # fmt: skip
    words = hash_words(["room \u0663 of 9"], split_tokens)
    assert words.masked[1] == words.masked[3] != words.values[1]
