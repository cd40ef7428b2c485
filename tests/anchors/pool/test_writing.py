import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.anchors.pool.entry import PoolEntry, PoolExample, build_entry
from levertune.anchors.pool.reading import parse_document, read_entry
from levertune.anchors.pool.rules import control_token
from levertune.anchors.pool.writing import format_entry, write_entry
from levertune.errors import DataError


def is_allowed(text):
    return bool(text.strip()) and control_token(text) is None


characters = st.characters(exclude_categories=("Cc", "Cs"))
awkward = st.sampled_from(list("\n\t :#-'\"\\|>{}[]&*!%@`,?~") + ["\u2028", "\xa0", "\ufeff"])
lines = st.text(characters | awkward.filter(lambda c: c not in "\n\t"), max_size=60)
bodies = st.lists(characters | awkward, max_size=60).map("".join)


@settings(max_examples=40)
@given(
    text=bodies.map(str.strip).filter(is_allowed),
    task=lines.filter(is_allowed),
    prompt=bodies.filter(is_allowed),
    completion=bodies.filter(is_allowed),
)
def test_every_text_is_read_back_character_by_character(text, task, prompt, completion):
    examples = (PoolExample(prompt, completion), *(PoolExample(prompt, f"{i}") for i in range(5)))
    entry = PoolEntry(
        "an-id", text, "kind", "text", task, ("no",), "MIT", task, tuple(dict.fromkeys(examples))
    )
    document = parse_document(format_entry(entry).encode("utf-8"), where="x")
    assert build_entry(document.value, where="x", stem="an-id") == entry


@pytest.mark.parametrize(
    "text",
    [
        "plain", "a\nb", "a\n\nb", "a\n  b", "a\n \nb", "a \nb ", "a\tb\nc", "yes: no", "# a\n- b",
        "1e5", "~", "'a'", "--- a\n--- b", "a\n\u2028b", "\u4f60\u597d\n\u4f60",
        "\U0001f600\nb", "a\nb\u200f",
    ],
)  # fmt: skip
def test_texts_that_yaml_trips_over_come_back(make_entry, text):
    examples = tuple(PoolExample(f"{text}{i}", text + "\n" * i) for i in range(5))
    examples += (PoolExample("null", "null"),)  # no anchor's text may be a setting's word
    entry = make_entry(text=text.strip(), examples=examples)
    document = parse_document(format_entry(entry).encode("utf-8"), where="x")
    assert build_entry(document.value, where="x") == entry


def test_lines_stay_lines_where_a_person_reviews_them(make_entry):
    text = format_entry(make_entry())
    assert "text: |-\n  Give the three-letter code" in text
    assert '  - prompt: "Which code has Oslo?"\n    completion: OSL\n' in text
    assert 'languages: [en, "no"]\n' in text
    assert "evidence: []\nvotes: 0\n" in text


def test_an_entry_is_written_under_its_id_and_read_back(tmp_path, make_entry, make_evidence):
    entry = make_entry(evidence=(make_evidence(), make_evidence(run="1" * 64, gain=-1.25)))
    path = write_entry(tmp_path / "new", entry)
    assert path.name == "city-to-code.yaml"
    assert read_entry(path) == entry
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_another_text_under_a_known_id_is_not_overwritten(tmp_path, make_entry):
    write_entry(tmp_path, make_entry())
    write_entry(tmp_path, make_entry(votes=3))
    other = make_entry(text="Another.")
    with pytest.raises(DataError, match="holds another text under the id 'city-to-code'"):
        write_entry(tmp_path, other)
    assert read_entry(tmp_path / "city-to-code.yaml").votes == 3
    write_entry(tmp_path, other, overwrite=True)
    assert read_entry(tmp_path / "city-to-code.yaml") == other


def test_evidence_that_is_there_is_not_overwritten(tmp_path, make_entry, make_evidence):
    first, second = make_evidence(), make_evidence(run="1" * 64)
    path = write_entry(tmp_path, make_entry(evidence=(first,)))
    with pytest.raises(DataError, match="measured gains that would be lost; found 1"):
        write_entry(tmp_path, make_entry(evidence=(second,)))
    assert read_entry(path).evidence == (first,)
    write_entry(tmp_path, make_entry(evidence=(first, second)))
    write_entry(tmp_path, make_entry(), overwrite=True)
    assert read_entry(path).evidence == ()


def test_an_entry_too_large_to_be_read_is_not_written(tmp_path, make_entry):
    examples = tuple(PoolExample(f"{i}", "word " * 4_000) for i in range(5))
    with pytest.raises(DataError, match="would be too large; found 100,"):
        write_entry(tmp_path, dataclasses.replace(make_entry(), examples=examples))
    assert not list(tmp_path.iterdir())
