import errno
import json
import os
import re
import stat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.errors import RunError
from levertune.results import files
from levertune.results.files import (
    open_atomically,
    read_json,
    read_jsonl,
    write_json_atomically,
    write_jsonl_atomically,
    write_text_atomically,
)

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def raise_os_error(code):
    def fail(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    return fail


def names_in(folder):
    return sorted(entry.name for entry in folder.iterdir())


def test_text_is_written_as_it_is_and_leaves_nothing_else(tmp_path):
    write_text_atomically(tmp_path / "new" / "a.txt", "halló\nheimur\n")
    assert (tmp_path / "new" / "a.txt").read_bytes() == "halló\nheimur\n".encode()
    assert names_in(tmp_path / "new") == ["a.txt"]


def test_file_follows_the_umask_rather_than_being_private(tmp_path):
    previous = os.umask(0o022)
    try:
        write_text_atomically(tmp_path / "a.txt", "x")
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o644


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_full_disk_is_a_run_error_and_leaves_no_partial_file(tmp_path, monkeypatch, call, code):
    monkeypatch.setattr(files.os, call, raise_os_error(code))
    with pytest.raises(RunError, match=re.escape(f"{tmp_path / 'a.json'}: the disk is full")):
        write_json_atomically(tmp_path / "a.json", {"a": 1})
    assert names_in(tmp_path) == []


def test_full_disk_while_rows_are_written_keeps_the_earlier_file(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_jsonl_atomically(path, [{"a": 1}])

    def rows():
        yield {"a": 2}
        raise_os_error(errno.ENOSPC)()

    with pytest.raises(RunError, match="the disk is full"):
        write_jsonl_atomically(path, rows())
    assert read_jsonl(path) == [{"a": 1}]
    assert names_in(tmp_path) == ["rows.jsonl"]


def test_fault_of_another_file_keeps_its_own_error(tmp_path):
    def rows():
        yield {"a": (tmp_path / "missing.txt").read_text()}

    with pytest.raises(FileNotFoundError, match="missing.txt"):
        write_jsonl_atomically(tmp_path / "a.jsonl", rows())
    assert names_in(tmp_path) == []


def test_place_that_cannot_be_written_is_a_run_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match=r"file/a.txt: cannot be written; .+\. Choose another"):
        write_text_atomically(tmp_path / "file" / "a.txt", "x")


@pytest.mark.parametrize("fault", [KeyboardInterrupt, ZeroDivisionError])
def test_interrupted_writer_leaves_nothing(tmp_path, fault):
    def write():
        with open_atomically(tmp_path / "a.txt") as handle:
            handle.write("half")
            raise fault

    with pytest.raises(fault):
        write()
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_nan_and_infinity_are_refused(tmp_path, number):
    with pytest.raises(ValueError, match=r"a.json: cannot be written as JSON; .*A missing number"):
        write_json_atomically(tmp_path / "a.json", {"score": number})
    with pytest.raises(ValueError, match=r"a.jsonl, line 2: cannot be written as JSON"):
        write_jsonl_atomically(tmp_path / "a.jsonl", [{"a": 1.0}, {"a": [number]}])
    assert names_in(tmp_path) == []


@settings(max_examples=40)
@given(st.lists(st.dictionaries(st.text(), JSON_VALUES, max_size=3), max_size=4))
def test_rows_come_back_as_they_were_written(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    write_jsonl_atomically(path, rows)
    assert read_jsonl(path) == rows


def test_line_separators_inside_a_string_do_not_break_a_row(tmp_path):
    rows = [{"a": "x\u2028y\u0085z\x0bw"}, {"a": "b"}]
    write_jsonl_atomically(tmp_path / "a.jsonl", rows)
    assert read_jsonl(tmp_path / "a.jsonl") == rows


def test_half_a_surrogate_pair_is_stored_as_its_escape(tmp_path):
    write_json_atomically(tmp_path / "a.json", {"a": "\ud800"})
    assert "\\ud800" in (tmp_path / "a.json").read_text(encoding="utf-8")
    assert read_json(tmp_path / "a.json") == {"a": "\ud800"}


def test_json_is_readable_by_people(tmp_path):
    write_json_atomically(tmp_path / "a.json", {"b": "ó", "a": [1]})
    assert (tmp_path / "a.json").read_text(encoding="utf-8").startswith('{\n  "b": "ó"')


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1}\n\n{"a":\n', "line 3: not valid JSON; Expecting value"),
        (b'{"a": 1}\n[2]\n', "line 2: not a JSON object; found list"),
        (b'{"a": "\xff"}\n', "not UTF-8; found byte 0xff at offset 7"),
        (b"[" * 200_000, "line 1: not valid JSON; nested too deeply"),
    ],
)
def test_bad_line_names_file_line_and_fault(tmp_path, content, message):
    (tmp_path / "a.jsonl").write_bytes(content)
    with pytest.raises(RunError, match=re.escape(message)):
        read_jsonl(tmp_path / "a.jsonl")


def test_missing_file_and_folder_are_run_errors(tmp_path):
    with pytest.raises(RunError, match=r"none.json: no such file\. Run the stage"):
        read_json(tmp_path / "none.json")
    with pytest.raises(RunError, match="cannot be read"):
        read_json(tmp_path)


def test_json_file_must_hold_one_object(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps([1]))
    with pytest.raises(RunError, match=r"a.json: not a JSON object; found list"):
        read_json(tmp_path / "a.json")
