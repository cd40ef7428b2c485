import json
import re

import pyarrow
import pytest
from pyarrow import parquet

from levertune.data.general import read_general
from levertune.data.length_filter import LengthLimits
from levertune.errors import DataError


def rows(*texts):
    return "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()


def put(file_system, path, content):
    with file_system.open(path, "wb") as file:
        file.write(content)


def read(path, **settings):
    return {
        file.records[0].source: [record.completion for record in file.records]
        for file in read_general(path, **settings)
    }


def test_a_url_is_read_like_a_file_and_named_after_it(memory, web, cache):
    put(memory, "/box/notes.v2.jsonl", rows("a", "b"))
    assert read("memory://box/notes.v2.jsonl") == {"notes.v2": ["a", "b"]}
    web.files["/deep/x%20y.csv"] = b"text\nc\n"
    (file,) = read_general(f"http://{web.address}/deep/x%20y.csv?token=hunter2secret")
    assert (file.records[0].source, file.path) == ("x y", f"http://{web.address}/deep/x%20y.csv")
    web.files["/d%C3%A9j%C3%A0%20vu.jsonl"] = rows("d")
    assert read(f"http://{web.address}/d\u00e9j\u00e0 vu.jsonl?v=\u00e9") == {
        "d\u00e9j\u00e0 vu": ["d"]
    }
    assert web.requests[-1][0] == "/d%C3%A9j%C3%A0%20vu.jsonl?v=%C3%A9"
    assert read("memory://box/notes.v2.jsonl", name="mine") == {"mine": ["a", "b"]}


def test_folders_and_patterns_work_on_other_machines_too(memory, cache):
    for name in ("a.jsonl", "b.jsonl", "read me.txt"):
        put(memory, f"/box/{name}", rows(name))
    both = {"box/a": ["a.jsonl"], "box/b": ["b.jsonl"]}
    assert read("memory://box", name="box") == both
    assert read("memory://box/", name="box") == both
    assert read("memory://box/*.jsonl", name="box") == both
    assert read("memory://box/b*.jsonl") == {"b": ["b.jsonl"]}
    for path in ("memory://box/c*.jsonl", "memory://box/*.csv"):
        with pytest.raises(DataError, match="no file there is a data file"):
            read(path)


def test_a_file_url_is_a_file(tmp_path, cache):
    (tmp_path / "a b.jsonl").write_bytes(rows("x"))
    assert read(f"file://{tmp_path}/a%20b.jsonl") == {"a b": ["x"]}
    assert not cache.exists()


def test_errors_in_a_remote_file_name_the_url_and_the_line(memory, cache):
    put(memory, "/box/bad.jsonl", rows("a") + b"{\n")
    with pytest.raises(DataError, match=r"^memory://box/bad\.jsonl, line 2: "):
        read("memory://box/bad.jsonl")
    put(memory, "/box/empty.jsonl", b"")
    with pytest.raises(DataError, match=r"^memory://box/empty\.jsonl: the file is empty"):
        read("memory://box/empty.jsonl")
    with pytest.raises(DataError, match=r"is a packed file; found the ending '\.zip'\. Unpack"):
        read("https://nowhere.example/rows.zip")


@pytest.mark.parametrize("url", ["http://[::1/x.jsonl", "https://[bad]/x.jsonl", "file://[x/y.csv"])
def test_a_malformed_url_is_one_line(url, cache):
    with pytest.raises(DataError, match=f"^{re.escape(url)}: is a malformed URL; found ") as caught:
        read(url)
    assert "\n" not in str(caught.value)


def test_parquet_files_of_one_source_whose_columns_differ_are_refused(tmp_path, memory, cache):
    tables = {
        "a": {"text": ["x"], "n": [1]},
        "b": {"text": ["x"], "n": ["1"]},
        "c": {"text": ["x"], "m": [1]},
    }
    for name, columns in tables.items():
        parquet.write_table(pyarrow.table(columns), tmp_path / f"{name}.parquet")
        put(memory, f"/box/{name}.parquet", (tmp_path / f"{name}.parquet").read_bytes())
    line = (
        r"a\.parquet and .*b\.parquet: Parquet files of one source must have the same columns; "
        r"found that 'n' is int64 in the first and string in the second\. Write"
    )
    for path in (str(tmp_path), "memory://box/*.parquet"):
        with pytest.raises(DataError, match=line) as caught:
            read(path)
        assert str(cache) not in str(caught.value)
    (tmp_path / "b.parquet").unlink()
    with pytest.raises(DataError, match="'n' is int64 in the first and missing in the second; 'm'"):
        read(str(tmp_path))


def test_one_column_stored_in_two_ways_is_one_column(tmp_path):
    for name, kind in (
        ("a", pyarrow.string()),
        ("b", pyarrow.large_string()),
        ("c", pyarrow.dictionary(pyarrow.int8(), pyarrow.string())),
    ):
        column = pyarrow.array([name]).cast(kind)
        parquet.write_table(pyarrow.table({"text": column}), tmp_path / f"{name}.parquet")
    assert read(str(tmp_path)) == {"a": ["a"], "b": ["b"], "c": ["c"]}
    (tmp_path / "b.parquet").write_bytes(b"junk")
    with pytest.raises(DataError, match=r"b\.parquet: is no readable parquet file"):
        read(str(tmp_path))


def write_columns(folder, name, **columns):
    parquet.write_table(pyarrow.table(columns), folder / f"{name}.parquet")


def test_turns_stored_in_two_ways_are_one_column(tmp_path):
    turns = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]
    for name, text, in_list in (
        ("a", pyarrow.string(), pyarrow.list_),
        ("b", pyarrow.large_string(), pyarrow.large_list),
        ("c", pyarrow.dictionary(pyarrow.int32(), pyarrow.string()), pyarrow.list_),
    ):
        kind = in_list(pyarrow.struct({"role": text, "content": text}))
        write_columns(tmp_path, name, messages=pyarrow.array([turns], kind))
    assert read(str(tmp_path)) == {"a": ["y"], "b": ["y"], "c": ["y"]}


def test_a_column_that_a_file_leaves_empty_is_no_other_column(tmp_path):
    for name, note in (("a", None), ("b", "n"), ("c", None)):
        write_columns(tmp_path, name, text=[name], note=[note])
    assert read(str(tmp_path)) == {"a": ["a"], "b": ["b"], "c": ["c"]}
    write_columns(tmp_path, "d", text=["d"], note=[3])
    with pytest.raises(
        DataError,
        match=r"b\.parquet and .*d\.parquet: .* 'note' is string in the first and int64 in the sec",
    ):
        read(str(tmp_path))


def test_a_source_of_which_the_limits_leave_nothing_is_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(rows("one", "twofold"))
    assert read(str(path), limits=LengthLimits(4)) == {"a": ["twofold"]}
    with pytest.raises(DataError, match=r"no row of this source is left; found: a: 2 of 2 rows"):
        read(str(path), limits=LengthLimits(40))


@pytest.mark.parametrize("path", ["self:5", "self-answers:a.jsonl"])
def test_rows_the_model_must_write_cannot_be_read(path):
    with pytest.raises(DataError, match="can only be a general source of a run"):
        read(path)
