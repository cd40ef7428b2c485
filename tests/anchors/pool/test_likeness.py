"""What the share of words from which on an entry counts as alike lets through, and what not."""

import dataclasses
import random

import pytest

from levertune.anchors.pool.merge import merge_pools
from levertune.anchors.pool.search import MIN_WORDS, find_similar
from levertune.data.general import read_general
from levertune.data.records import Message, Record


@pytest.fixture(scope="module", name="entries")
def shipped():
    return merge_pools().entries


@pytest.fixture(scope="module", name="likeness")
def held_out_likeness(entries):
    """Likeness of each entry to the rows of each, the row that asks taken out of its entry."""
    sums = {}
    for number in range(8):
        without = [without_example(entry, number) for entry in entries]
        for entry in entries[::2]:  # the others would say the same and take as long again
            if number < len(entry.examples):
                row = entry.examples[number]
                asked = Record("r", "task", (Message("user", row.prompt),), row.completion)
                for match in find_similar(without, [asked], num=None):
                    key = entry.id, match.entry.id
                    sums.setdefault(key, []).append(match.words)
    return {key: sum(found) / len(found) for key, found in sums.items()}


def without_example(entry, number):
    if number >= len(entry.examples):
        return entry
    kept = entry.examples[:number] + entry.examples[number + 1 :]
    # Five are needed; the task's own sentence, which is compared anyway, stands in for one.
    filler = dataclasses.replace(entry.examples[0], prompt=entry.task, completion=entry.kind)
    return dataclasses.replace(entry, examples=(*kept, filler) if len(kept) < 5 else kept)


def test_most_entries_are_found_by_their_own_rows_and_hardly_one_of_another_kind(entries, likeness):
    kinds = {entry.id: entry.kind for entry in entries}
    own = [found for (asked, entry), found in likeness.items() if asked == entry]
    other = [found for (a, entry), found in likeness.items() if kinds[a] != kinds[entry]]
    assert sum(found >= MIN_WORDS for found in own) >= 0.75 * len(own)
    assert sum(found >= MIN_WORDS for found in other) <= 0.02 * len(other)


@pytest.mark.parametrize("source", ["embedded-self", "embedded-skills"])
def test_rows_of_no_task_find_nothing_alike(entries, source):
    [file] = read_general(source)
    for seed in range(5):
        rows = random.Random(seed).sample(file.records, 48)
        assert not any(match.is_alike for match in find_similar(entries, rows, num=None))
