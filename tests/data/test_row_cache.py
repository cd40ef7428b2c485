import json

import pyarrow
import pytest
from pyarrow import parquet

from levertune.data import row_cache
from levertune.data.readers import read_records
from levertune.data.row_cache import read_through_cache
from levertune.errors import DataError


@pytest.fixture(autouse=True)
def _keep_everything(monkeypatch, cache):
    monkeypatch.setattr(row_cache, "ROW_CACHE_BYTES", 1)
    monkeypatch.setattr(row_cache, "_BATCH_ROWS", 7)


@pytest.fixture
def parses(monkeypatch):
    """The files parsed, one entry each time."""
    seen = []

    def count(path, **settings):
        seen.append(path)
        return read_records(path, **settings)

    monkeypatch.setattr(row_cache, "read_records", count)
    return seen


@pytest.fixture
def rows(tmp_path):
    rows = [
        {"prompt": f"p{i}", "completion": "ü\n" * i + "c", "system": "s", "task": "ab"[i % 2],
         "references": ["r1", "r2"][: i % 3], "id": f"k{i}", "left": 1}
        for i in range(20)
    ]  # fmt: skip
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_the_second_time_nothing_is_parsed_and_the_rows_are_the_same(rows, parses):
    first = read_through_cache(str(rows), source="a")
    again = read_through_cache(str(rows), source="a")
    assert first == again == read_records(str(rows), source="a", allow_text=True)
    assert len(parses) == 1
    moved = rows.rename(rows.with_name("moved.jsonl"))
    other = read_through_cache(str(moved), source="b", shown="s3://x/moved.jsonl")
    assert (other.path, other.records[3].source) == ("s3://x/moved.jsonl", "b")
    assert other.records[3].completion == first.records[3].completion
    assert len(parses) == 1


def test_text_rows_and_tables_come_back_too(tmp_path):
    table = pyarrow.table({"text": ["one", "two"]})
    parquet.write_table(table, tmp_path / "a.parquet")
    files = [read_through_cache(str(tmp_path / "a.parquet"), source="a") for _ in range(2)]
    assert files[0] == files[1]
    assert files[1].records[1].is_text


def test_other_content_other_settings_or_another_reader_parse_again(rows, parses, monkeypatch):
    read_through_cache(str(rows), source="a")
    read_through_cache(str(rows), source="a", completion="{prompt}")
    read_through_cache(str(rows), source="a", require_completion=False)
    assert len(parses) == 3
    rows.write_text(rows.read_text(encoding="utf-8").replace("p1", "q1"), encoding="utf-8")
    assert read_through_cache(str(rows), source="a").records[1].user_text == "q1"
    assert len(parses) == 4
    monkeypatch.setattr(row_cache, "READER_VERSION", 0)
    read_through_cache(str(rows), source="a")
    assert len(parses) == 5


def test_a_kept_file_that_is_damaged_or_anothers_is_never_trusted_by_its_name(
    rows, parses, cache, tmp_path
):
    expected = read_through_cache(str(rows), source="a")
    (kept,) = (cache / "rows").glob("*.arrow")
    whole = kept.read_bytes()
    other = tmp_path / "other.jsonl"
    other.write_text('{"text": "x"}\n', encoding="utf-8")
    read_through_cache(str(other), source="a")
    (others,) = {*(cache / "rows").glob("*.arrow")} - {kept}
    for content in (whole[: len(whole) // 2], b"", b"junk" * 99, others.read_bytes()):
        kept.write_bytes(content)
        parses.clear()
        assert read_through_cache(str(rows), source="a") == expected
        assert len(parses) == 1
        assert kept.read_bytes() == whole


def test_one_flipped_byte_of_a_kept_row_is_found(rows, parses, cache):
    expected = read_through_cache(str(rows), source="a")
    (kept,) = (cache / "rows").glob("*.arrow")
    whole = kept.read_bytes()
    place = whole.index("ü\nc".encode())
    kept.write_bytes(whole[:place] + b"\xc4" + whole[place + 1 :])  # another letter, and no fault
    assert read_through_cache(str(rows), source="a") == expected
    assert (len(parses), kept.read_bytes()) == (2, whole)


def test_rows_whose_hash_is_missing_or_damaged_are_parsed_again(rows, parses, cache):
    expected = read_through_cache(str(rows), source="a")
    (hashed,) = (cache / "rows").glob("*.sha256")
    written = hashed.read_bytes()
    for content in (None, b"", b"\xff\xfe", written[:-9]):
        hashed.unlink() if content is None else hashed.write_bytes(content)
        parses.clear()
        assert read_through_cache(str(rows), source="a") == expected
        assert (len(parses), hashed.read_bytes()) == (1, written)
    parses.clear()
    read_through_cache(str(rows), source="a")
    assert parses == []


def test_where_the_cache_is_a_file_the_rows_are_read_all_the_same(rows, cache):
    cache.write_text("")
    assert len(read_through_cache(str(rows), source="a").records) == 20


def test_where_nothing_can_be_kept_the_rows_are_read_all_the_same(rows, cache, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pyarrow.ipc, "new_file", refuse)
    assert len(read_through_cache(str(rows), source="a").records) == 20
    assert not list((cache / "rows").iterdir())


def test_a_small_file_and_a_bad_one_leave_nothing(rows, cache, monkeypatch, tmp_path):
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"text": "x"}\n{"text": 3}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"bad\.jsonl, line 2"):
        read_through_cache(str(bad), source="a")
    monkeypatch.setattr(row_cache, "ROW_CACHE_BYTES", 1 << 20)
    read_through_cache(str(rows), source="a")
    assert not cache.exists()
