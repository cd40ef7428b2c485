import json
import re

import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from levertune.data.general import read_general, read_retention
from levertune.data.reading_keys import source_keys
from levertune.errors import DataError


@pytest.fixture
def folder(tmp_path):
    for name, count in (("jokes", 30), ("facts", 10)):
        rows = [
            {"prompt": f"{name} {i}", "response": "r", "family": "ab"[i % 2]} for i in range(count)
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"{name}.jsonl").write_text(text, encoding="utf-8")
    (tmp_path / "notes.md").write_text("not data", encoding="utf-8")
    return tmp_path


def sources(files):
    return [(file.records[0].source, len(file.records)) for file in files]


def test_each_file_of_a_folder_or_glob_is_a_source_of_its_own(folder):
    expected = [("facts", 10), ("jokes", 30)]
    assert sources(read_general(str(folder))) == expected
    assert sources(read_general(str(folder / "*.jsonl"))) == expected
    assert sources(read_general(str(folder / "jokes.jsonl"))) == [("jokes", 30)]


def test_an_encoding_is_refused_only_where_no_file_of_a_folder_is_text(tmp_path):
    rows = pa.table({"prompt": ["a", "b"], "response": ["x", "y"]})
    pq.write_table(rows, tmp_path / "a.parquet")
    message = (
        f"general.sources.0.encoding: is not used, since {tmp_path} holds no text file; found "
        "'cp1252'. Leave it out."
    )
    with pytest.raises(DataError, match=re.escape(message)):
        read_general(str(tmp_path), encoding="cp1252", keys=source_keys(0))
    (tmp_path / "b.csv").write_bytes("prompt,response\nn\u00e9e,x\n".encode("cp1252"))
    table, text = read_general(str(tmp_path), encoding="cp1252", keys=source_keys(0))
    assert table.records[0].prompt[0].content == "a"
    assert text.records[0].prompt[0].content == "n\u00e9e"


def test_name_replaces_the_name_of_one_file_and_precedes_those_of_several(folder):
    assert sources(read_general(str(folder / "jokes.jsonl"), name="fun")) == [("fun", 30)]
    assert sources(read_general(str(folder), name="fun")) == [("fun/facts", 10), ("fun/jokes", 30)]


def test_max_rows_is_drawn_in_proportion_and_kept_in_file_order(folder):
    files = read_general(str(folder), max_rows=20, seed=2)
    assert sources(files) == [("facts", 5), ("jokes", 15)]
    for file in files:
        assert [r.line for r in file.records] == sorted(r.line for r in file.records)
    fewer = read_general(str(folder), max_rows=8, seed=2)
    for few, more in zip(fewer, files, strict=True):
        assert set(few.records) < set(more.records)
    assert sources(read_general(str(folder), max_rows=99)) == [("facts", 10), ("jokes", 30)]


def test_shipped_sources_are_read_by_name():
    (file,) = read_general("embedded-skills", max_rows=50)
    assert (file.path, len(file.records)) == ("embedded-skills", 50)
    assert {(r.source, bool(r.stratum)) for r in file.records} == {("embedded-skills", True)}
    retention = read_retention()
    assert {record.source for record in retention.records} == {"embedded-retention"}
    assert retention.path == "embedded-retention"


def test_retention_is_refused_as_general_data():
    with pytest.raises(DataError, match="embedded-retention is the probe .* never mixed in"):
        read_general("embedded-retention")


def test_text_rows_and_templates_are_welcome(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "plain"}\n', encoding="utf-8")
    assert read_general(str(tmp_path / "a.jsonl"))[0].records[0].is_text
    (tmp_path / "b.csv").write_text("x,y\n1,2\n", encoding="utf-8")
    record = read_general(str(tmp_path / "b.csv"), prompt="{x}", completion="{y}")[0].records[0]
    assert (record.user_text, record.completion, record.source) == ("1", "2", "b")


def test_nothing_to_read_and_wrong_names_are_refused(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "deep").mkdir()
    text = (folder / "jokes.jsonl").read_text(encoding="utf-8")
    (tmp_path / "deep" / "jokes.jsonl").write_text(text, encoding="utf-8")
    (tmp_path / "task.jsonl").write_text(text, encoding="utf-8")
    cases = [
        ("none.jsonl", "there is no such file"),
        ("none*.jsonl", "no file matches this pattern"),
        ("empty", "the folder holds no data file"),
        ("**/jokes.jsonl", "2 files are called 'jokes'"),
        ("task.jsonl", "'task' is the name of the task rows"),
    ]
    for path, message in cases:
        with pytest.raises(DataError, match=message):
            read_general(str(tmp_path / path))
    with pytest.raises(DataError, match="embedded-skill: is no shipped source"):
        read_general("embedded-skill")
    with pytest.raises(DataError, match="max_rows of .* must be at least 1; found 0"):
        read_general(str(folder), max_rows=0)
