import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.data.length_filter import LengthLimits, count_characters, keep_within
from levertune.data.records import Message, Record, RecordFile
from levertune.errors import DataError


def make_file(lengths):
    records = tuple(
        Record(str(i), "a", (Message("system", "s"), Message("user", "")), "x" * (length - 1))
        for i, length in enumerate(lengths)
    )
    return RecordFile(records, "a.jsonl", "jsonl", "prompt/completion", "0")


bounds = st.one_of(st.none(), st.integers(1, 20))


@settings(max_examples=60)
@given(lengths=st.lists(st.integers(1, 20), max_size=20), low=bounds, high=bounds)
def test_every_row_is_kept_or_listed_and_all_are_counted(lengths, low, high):
    if low is not None and high is not None and low > high:
        low, high = high, low
    file = make_file(lengths)
    [found] = keep_within([file], LengthLimits(low, high))
    fits = [(low or 0) <= length <= (high or 99) for length in lengths]
    assert [r.id for r in found.records] == [str(i) for i, fit in enumerate(fits) if fit]
    assert [row["id"] for row in found.dropped] == [str(i) for i, fit in enumerate(fits) if not fit]
    assert bool(found.notes) == bool(found.dropped)


def test_all_turns_and_the_completion_count():
    record = Record("1", "a", (Message("system", "12"), Message("user", "345")), "67")
    assert count_characters(record) == 7


def test_what_was_left_out_is_said_with_its_reasons():
    [found] = keep_within([make_file([1, 5, 9, 9])], LengthLimits(2, 8))
    assert found.notes == (
        "a: 3 of 4 rows left out by length: 1 shorter than min_characters 2, 2 longer than "
        "max_characters 8.",
    )
    assert [row["reason"] for row in found.dropped] == [
        "1 characters, fewer than min_characters 2",
        "9 characters, more than max_characters 8",
        "9 characters, more than max_characters 8",
    ]


def test_files_of_one_source_share_a_note():
    files = [make_file([5]), make_file([1, 5]), make_file([9, 9]), make_file([1])]
    found = keep_within(files, LengthLimits(2, 8))
    assert [len(file.records) for file in found] == [1, 1, 0, 0]
    assert [note for file in found for note in file.notes] == [
        "a and 2 more files: 4 of 5 rows left out by length: 2 shorter than min_characters 2, 2 "
        "longer than max_characters 8."
    ]
    [_, pair] = keep_within(files[:2], LengthLimits(2, 8))
    assert keep_within(files[:1], LengthLimits(2, 8)) == files[:1]
    assert pair.notes[0].startswith("a: 1 of 2 rows")


def test_limits_that_nothing_meets_are_refused():
    with pytest.raises(DataError, match="must not be above max_characters; found 3 and 2"):
        LengthLimits(3, 2)
