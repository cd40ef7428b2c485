import dataclasses

import pytest

from levertune.anchors.pool import contribute
from levertune.anchors.pool.contribute import add_evidence, build_contribution, name_examples
from levertune.data.records import Message, Record
from levertune.errors import DataError
from levertune.results.schema import read_result

WORDS = {
    "entry_id": "city-codes", "kind": "code-lookup", "task": "Give the code of a city.",
    "languages": ["en"], "licence": "CC0-1.0", "author": "A person",
}  # fmt: skip


def rows(num=7):
    return [
        Record(f"r{i}", "task", (Message("user", f"Give the code.\nCity number {i}"),), f"C{i}")
        for i in range(num)
    ]


def test_an_entry_is_made_of_a_run_and_the_rows_named(run, measured):
    named = [f"r{i}" for i in (6, 1, 2, 3, 4)]
    examples = name_examples(rows(), named, instruction="Give the code.")
    verified = dataclasses.replace(measured, verified=True)
    entry = build_contribution(read_result(run), examples, evidence=[verified], **WORDS)
    assert (entry.id, entry.text, entry.answer) == (
        "city-codes",
        read_result(run).anchor.text,
        "label",
    )
    assert [e.prompt for e in entry.examples] == [f"City number {i}" for i in (6, 1, 2, 3, 4)]
    assert entry.evidence == (measured,)
    assert entry.votes == 0


def test_the_kind_of_answer_can_be_named(run):
    examples = name_examples(rows(), [f"r{i}" for i in range(5)])
    assert build_contribution(read_result(run), examples, answer="code", **WORDS).answer == "code"


def test_no_row_is_published_unasked():
    with pytest.raises(DataError, match="name at least 5 rows to publish; found 0. No row"):
        name_examples(rows(), [])
    with pytest.raises(DataError, match="row 'r1' is named twice"):
        name_examples(rows(), ["r0", "r1", "r2", "r3", "r1"])
    with pytest.raises(DataError, match=r"there is no row 'x'; found 7 rows with ids such as"):
        name_examples(rows(), ["r0", "r1", "r2", "r3", "x"])
    turns = (Message("user", "a"), Message("assistant", "b"), Message("user", "c"))
    talk = [*rows(), Record("talk", "task", turns, "d")]
    with pytest.raises(DataError, match="row 'talk' has 3 turns before its answer"):
        name_examples(talk, ["r0", "r1", "r2", "r3", "talk"])


def test_a_run_without_an_anchor_has_nothing_to_contribute(run):
    result = dataclasses.replace(read_result(run), anchor=None)
    with pytest.raises(DataError, match="run 'codes': had no anchor"):
        build_contribution(result, (), **WORDS)


def test_evidence_of_a_run_is_added_once(run, measured, make_entry, make_evidence, monkeypatch):
    entry = make_entry(evidence=(make_evidence(),))
    once = add_evidence(entry, run, against=("sft", "base"))
    assert [e.gain for e in once.evidence] == [4.0, 30.0, 87.5]
    monkeypatch.setattr(contribute, "measure_evidence", lambda run_dir, against: measured)
    assert [e.gain for e in add_evidence(once, run).evidence] == [4.0, 87.5, 30.0]
    with pytest.raises(DataError, match="used another text"):
        add_evidence(make_entry(text="Another."), run)


def test_evidence_that_was_verified_stays_so_when_its_run_is_added_again(run, measured, make_entry):
    verified = dataclasses.replace(measured, verified=True)
    assert add_evidence(make_entry(evidence=(verified,)), run).evidence == (verified,)
    edited = dataclasses.replace(verified, gain=60.0)
    assert add_evidence(make_entry(evidence=(edited,)), run).evidence == (measured,)
