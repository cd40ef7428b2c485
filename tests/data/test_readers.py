import csv
import io
import json
import re
import shlex

import pytest

from levertune.data.readers import read_records
from levertune.data.reading_keys import ReadingKeys
from levertune.data.records import Message
from levertune.errors import DataError

TWO_ROWS = [{"prompt": "a", "completion": "b"}, {"prompt": "c", "completion": "d"}]


@pytest.fixture
def write(tmp_path):
    def _write(name, content, encoding="utf-8"):
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, str):
            path.write_bytes(content.encode(encoding))
        else:
            path.write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
        return str(path)

    return _write


def plain(file):
    return [([(m.role, m.content) for m in r.prompt], r.completion) for r in file.records]


def user(text):
    return [("user", text)]


@pytest.mark.parametrize(
    ("row", "schema", "prompt", "completion"),
    [
        ({"prompt": "p", "completion": "c"}, "prompt/completion", user("p"), "c"),
        ({"prompt": "p", "response": "c"}, "prompt/response", user("p"), "c"),
        ({"Prompt": "p", "Response": "c"}, "prompt/response", user("p"), "c"),
        ({"instruction": "p", "output": "c"}, "instruction/output", user("p"), "c"),
        (
            {"instruction": "p", "input": "x", "output": "c"},
            "instruction/output",
            user("p\n\nx"),
            "c",
        ),
        ({"instruction": "p", "input": "", "output": "c"}, "instruction/output", user("p"), "c"),
        ({"query": "p", "response": "c"}, "query/response", user("p"), "c"),
        ({"question": "p", "answer": "c"}, "question/answer", user("p"), "c"),
        ({"input": "p", "output": "c"}, "input/output", user("p"), "c"),
        (
            {"prompt": "p", "completion": "c", "system": "s"},
            "prompt/completion",
            [("system", "s"), ("user", "p")],
            "c",
        ),
        (
            {"prompt": "p", "completion": "c", "system": " ", "text": "p c"},
            "prompt/completion",
            user("p"),
            "c",
        ),
        (
            {"messages": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "c"}]},
            "messages",
            user("p"),
            "c",
        ),
        (
            {
                "conversations": [
                    {"from": "system", "value": ""},
                    {"from": "human", "value": "p"},
                    {"from": "gpt", "value": "q"},
                    {"from": "human", "value": "r"},
                    {"from": "gpt", "value": "c"},
                ]
            },
            "conversations",
            [("user", "p"), ("assistant", "q"), ("user", "r")],
            "c",
        ),
        (
            {
                "prompt": [
                    {"role": "system", "content": "s"},
                    {"role": "user", "content": "p"},
                ],
                "completion": [{"role": "assistant", "content": "c"}],
            },
            "prompt/completion",
            [("system", "s"), ("user", "p")],
            "c",
        ),
    ],
)
def test_schemas_people_have_are_recognised(write, row, schema, prompt, completion):
    file = read_records(write("rows.jsonl", [row, {**row, "id": "second"}]))
    assert file.schema == schema
    assert plain(file)[0] == (prompt, completion)
    assert [record.id for record in file.records] == ["1", "second"]


def test_every_format_gives_the_same_records(write, tmp_path):
    import openpyxl
    import pyarrow
    from pyarrow import parquet

    rows = [
        {"prompt": 'say "a", then\nbreak', "completion": "ja, þú", "task": "t"},
        {"prompt": "c", "completion": "d", "task": "u"},
    ]
    for name, delimiter in (("r.csv", ","), ("r.tsv", "\t"), ("s.csv", ";")):
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
        write(name, text.getvalue())
    write("r.jsonl", rows)
    write("r.json", json.dumps(rows))
    write("data.json", json.dumps({"data": rows}))
    table = pyarrow.Table.from_pylist(rows)
    parquet.write_table(table, tmp_path / "r.parquet")
    with pyarrow.ipc.new_file(tmp_path / "file.arrow", table.schema) as sink:
        sink.write_table(table)
    with pyarrow.ipc.new_stream(tmp_path / "stream.arrow", table.schema) as sink:
        sink.write_table(table)
    book = openpyxl.Workbook()
    for cells in (list(rows[0]), *(list(row.values()) for row in rows), [None, None, None]):
        book.active.append(cells)
    book.save(tmp_path / "r.xlsx")

    expected = [(user(row["prompt"]), row["completion"]) for row in rows]
    for path in sorted(tmp_path.iterdir()):
        file = read_records(str(path))
        assert plain(file) == expected, path.name
        assert [record.stratum for record in file.records] == ["t", "u"]
        assert len(file.sha256) == 64


def test_lines_are_physical_lines_and_name_rows_without_id(write):
    file = read_records(write("r.csv", 'prompt,completion\n"a\nb",c\n\nd,e\n'))
    assert [(r.id, r.line) for r in file.records] == [("2", 2), ("5", 5)]
    file = read_records(write("r.jsonl", '\n{"prompt": "a\u2028b", "completion": "c"}\r\n'))
    assert [(r.id, r.line) for r in file.records] == [("2", 2)]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8"])
def test_utf_8_is_read_with_and_without_byte_order_mark(write, encoding):
    path = write("r.jsonl", '{"prompt": "ß", "completion": "é"}\n', encoding)
    assert plain(read_records(path)) == [(user("ß"), "é")]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_other_encodings_are_read_by_name(write, encoding):
    path = write("r.jsonl", '{"prompt": "ß", "completion": "é"}\n', encoding)
    assert plain(read_records(path, encoding=encoding)) == [(user("ß"), "é")]
    with pytest.raises(DataError, match="task.encoding="):
        read_records(path)


def test_references_stratum_and_unused_columns_are_told(write):
    row = {"prompt": "a", "completion": "b", "references": ["c"], "family": "f", "note": 1}
    file = read_records(write("r.jsonl", [row]), source="general")
    assert file.unused_columns == ("note",)
    record = file.records[0]
    assert (record.references, record.stratum, record.source) == (("c",), "f", "general")
    path = write("r.csv", 'prompt,completion,references\na,b,"[""c""]"\nd,e,\n')
    assert [r.references for r in read_records(path).records] == [("c",), ()]


def test_templates_build_prompt_and_completion_from_columns(write):
    rows = [{"premise": "a {claim}", "claim": "b", "label": 3}]
    path = write("r.jsonl", rows)
    file = read_records(path, prompt="P: {premise}\nC: {claim}", completion="{{{label}}}")
    assert plain(file) == [(user("P: a {claim}\nC: b"), "{3}")]
    assert (file.schema, file.unused_columns) == ("template", ())
    path = write("r.csv", "message,answer,x\na,b,c\n")
    file = read_records(path, prompt="{message}")
    assert plain(file) == [(user("a"), "b")]
    assert file.unused_columns == ("x",)
    with pytest.raises(DataError, match="cannot tell which column is the completion"):
        read_records(write("s.csv", "message,code\na,b\n"), prompt="{message}")


def test_text_rows_are_general_data_only(write):
    path = write("r.jsonl", [{"text": "all of it"}])
    file = read_records(path, source="g", allow_text=True)
    assert plain(file) == [([], "all of it")]
    assert file.records[0].is_text
    with pytest.raises(DataError, match="line 1: a task row needs a prompt and a completion"):
        read_records(path)


def test_shipped_tasks_are_read_by_name():
    train = read_records("embedded:ticket_codes")
    test = read_records("embedded:ticket_codes@test")
    assert (train.path, len(train.records) >= 300) == ("embedded:ticket_codes", True)
    assert len(test.records) >= 400
    with pytest.raises(DataError, match="has the splits 'train' and 'test'; found 'dev'"):
        read_records("embedded:ticket_codes@dev")


GOOD = '{"prompt": "a", "completion": "b"}\n'
TURN_A = {"role": "user", "content": "a"}
TURN_B = {"role": "assistant", "content": "b"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("r.jsonl", "", "the file is empty"),
        ("r.jsonl", "\n \n", "the file holds no rows"),
        ("r.csv", "prompt,completion\n", "the file holds no rows"),
        ("r.json", " ", "the file holds no rows"),
        ("r.txt", "x", "unknown file format; found the ending '.txt'"),
        ("r.jsonl", GOOD.encode() + b"\0", "line 2: holds a NUL byte"),
        ("r.jsonl", b"PK\x03\x04", "looks like a zip or xlsx file"),
        (
            "r.jsonl",
            GOOD.encode() + b'{"prompt": "\xe9"}',
            "line 2: is not UTF-8 text; found byte 0xe9",
        ),
        ("r.jsonl", b"\xff\xfea\0", "opens like UTF-16. .* as task.encoding=utf-16"),
        ("r.jsonl", GOOD + '{"prompt": "a"', "line 2: not valid JSON; found .* at column 15"),
        ("r.jsonl", "[" * 100_000, "line 1: the JSON is nested too deeply"),
        ("r.json", '{"data": ' + "[" * 100_000, "nested too deeply"),
        ("r.json", '[\n{"prompt": }]', "found 'Expecting value' at line 2, column 12"),
        ("r.json", '{"rows": []}', "must hold an array of objects"),
        ("r.json", "[1]", "row 1: must be a JSON object; found a number"),
        ("r.jsonl", GOOD + '["a", "b"]', "line 2: must be a JSON object; found a list"),
        ("r.jsonl", '{"prompt": NaN, "completion": "b"}', "NaN is not JSON"),
        ("r.jsonl", '{"prompt": "a", "prompt": "b"}', "the name 'prompt' stands twice"),
        ("r.jsonl", '{"prompt": ' + "9" * 5000 + "}", "not valid JSON; found 'Exceeds the limit"),
        ("r.jsonl", '{"prompt": "\\ud800", "completion": "b"}', "half a character"),
        ("r.jsonl", '{"prompt": "\\u0000", "completion": "b"}', "holds a NUL character"),
        (
            "r.jsonl",
            [{"prompt": 1, "completion": "b"}],
            "line 1: field 'prompt' must be text; found a number",
        ),
        (
            "r.jsonl",
            [{"prompt": "a", "completion": {}}],
            "'completion' must be text; found an object",
        ),
        ("r.jsonl", [{"prompt": "a", "completion": True}], "found true or false"),
        (
            "r.jsonl",
            [*TWO_ROWS, {"prompt": "a"}],
            "line 3: no completion, field 'completion' is missing",
        ),
        (
            "r.jsonl",
            [*TWO_ROWS, {"completion": "a"}],
            "line 3: no prompt, field 'prompt' is missing",
        ),
        ("r.jsonl", [*TWO_ROWS, {"prompt": "a", "completion": None}], "'completion' is null"),
        ("r.jsonl", [{"prompt": "a"}], "line 1: no completion in the row; found \\['prompt'\\]"),
        ("r.jsonl", [{"prompt": "a", "completion": " \n"}], "field 'completion' is blank"),
        ("r.jsonl", [{"prompt": "", "completion": "a"}], "field 'prompt' is blank"),
        (
            "r.jsonl",
            [*TWO_ROWS, {"query": "a", "response": "b"}],
            "line 3: mixed schemas; found query/response here and prompt/completion at line 1",
        ),
        (
            "r.jsonl",
            [{"prompt": "a", "completion": "b", "response": "c"}],
            "fit more than one schema, prompt/completion and prompt/response",
        ),
        (
            "r.jsonl",
            [{"foo": "a"}],
            "follow no known schema; found \\['foo'\\]. Accepted: messages",
        ),
        (
            "r.jsonl",
            [{**TWO_ROWS[0], "id": 7}, {**TWO_ROWS[1], "id": "7"}],
            "line 2: id '7' already stands on line 1",
        ),
        ("r.jsonl", [{**TWO_ROWS[0], "id": 1.5}], "field 'id' must be text or a whole number"),
        ("r.jsonl", [{**TWO_ROWS[0], "id": ""}], "field 'id' is blank"),
        ("r.jsonl", [{**TWO_ROWS[0], "references": "c"}], "'references' must be a list of texts"),
        ("r.jsonl", [{"messages": "a"}], "'messages' must be a list of turns; found a string"),
        ("r.jsonl", [{"messages": ["a"]}], "turn 1: must be an object"),
        ("r.jsonl", [{"messages": [{"role": "user"}]}], "must have 'role' and 'content'"),
        ("r.jsonl", [{"messages": [{"role": "tool", "content": "a"}]}], "'role' must be one of"),
        ("r.jsonl", [{"messages": [{"role": [], "content": "a"}]}], "'role' must be one of"),
        ("r.jsonl", [{"messages": [TURN_A]}], "must end with the assistant's turn"),
        ("r.jsonl", [{"messages": []}], "found no turn"),
        ("r.jsonl", [{"messages": [TURN_B]}], "must end with a user turn before"),
        ("r.jsonl", [{"messages": [TURN_A, TURN_A, TURN_B]}], "must alternate user and assistant"),
        ("r.jsonl", [{"prompt": [TURN_A, TURN_B], "completion": "c"}], "must end with a user turn"),
        (
            "r.jsonl",
            [{"prompt": "a", "completion": [TURN_A, TURN_B]}],
            "must hold one assistant turn",
        ),
        (
            "r.jsonl",
            [{"system": "s", "messages": [{"role": "system", "content": "t"}, TURN_A, TURN_B]}],
            "has a system turn in 'messages' and a field 'system'",
        ),
        (
            "r.csv",
            'prompt,completion\n"a\nb",c\nd\n',
            "line 4: must have 2 columns as the header has; found 1",
        ),
        ("r.csv", 'prompt,completion\n"a"b,c\n', "line 2: broken quoting"),
        ("r.csv", 'prompt,completion\n"a,c\n', "line 2: broken quoting"),
        ("r.csv", "prompt,prompt\na,b\n", "column name 'prompt' stands there twice"),
        ("r.csv", "prompt,completion,references\na,b,[c\n", "field 'references': not valid JSON"),
        ("r.xlsx", b"x", "is no readable xlsx workbook"),
        ("r.parquet", b"x", "is no readable parquet file"),
        ("r.arrow", b"x", "is no readable arrow file or stream"),
        ("r.jsonl", b"\x1f\x8bxyz", "looks like a gzip file. Unpack it"),
        ("r.jsonl.gz", b"\x1f\x8bxyz", "is a packed file; found the ending '.gz'. Unpack it"),
        ("r.jsonl", '[\n{"prompt": "a"},\n{}]', "holds one JSON array, .* Name the file .*r.json"),
        ("r.jsonl", '[{"prompt": "a", "completion": "b"}]', "holds one JSON array"),
        ("r.jsonl", '{\n"prompt": "a"\n}\n{\n"b": 1}', "pretty-printed JSON; found an object over"),
        ("r.jsonl", '{"a": 1} {"b": 2}', "line 1: not valid JSON; found 'Extra data'"),
        ("r.json", '{"train": [{}]}', "found such an array as 'train'. Save the array you mean"),
        ("r.json", '{"train": [{}], "test": []}', "found arrays as 'train', 'test'"),
        ("r.csv", "prompt,completion,,\na,b,,c\n", "line 2: column 4 has no name in the header"),
        ("r.csv", "prompt,,completion,,\na,,b\n", "must have 5 columns as the header has; found 3"),
        ("r.csv", "a,,b,,c\n1,2,3,4,5\n", "column name '' stands there twice"),
        ("r.arrow", b"ARROW1xxxxxxxxxxxx", "is no readable arrow file or stream"),
    ],
)
def test_bad_input_is_one_line_that_names_place_and_fault(write, name, content, message):
    path = write(name, content)
    with pytest.raises(DataError, match=message) as caught:
        read_records(path)
    text = str(caught.value)
    assert text.startswith(path)
    assert "\n" not in text
    assert re.search(r"\.$|\)$", text)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("gr\u00fc\u00dfe", "cp1252"),
        ("gr\u00fc\x81", "latin-1"),  # no such character in cp1252
        ("hello there, this is long enough", "utf-16-le"),
        ("hello there, this is long enough", "utf-16-be"),
    ],
)
def test_the_encoding_named_is_one_that_reads_the_file(write, text, encoding):
    row = json.dumps({"prompt": text, "completion": "b"}, ensure_ascii=False)
    path = write("r.jsonl", row.encode(encoding))
    with pytest.raises(DataError, match=f"as task.encoding={encoding}") as caught:
        read_records(path)
    assert "\n" not in str(caught.value)
    assert plain(read_records(path, encoding=encoding)) == [(user(text), "b")]


def test_a_setting_the_user_does_not_have_is_not_named(write):
    keys = ReadingKeys(prompt="--prompt")
    with pytest.raises(DataError, match=r"0xe9 at byte 0\. Save it as UTF-8\.$"):
        read_records(write("r.jsonl", b"\xe9"), keys=keys)
    path = write("r.csv", "message,who\na,b\n")
    with pytest.raises(DataError, match=r'Name it, as --prompt "\{message\}"\.$'):
        read_records(path, require_completion=False, keys=keys)
    with pytest.raises(DataError, match=r"Accepted: [\w/, ]*input/output\.$"):
        read_records(path, keys=keys)


@pytest.mark.parametrize(
    ("row", "hint"),
    [
        ({"text": "a", "label": "b"}, 'task.prompt="{text}" task.completion="{label}"'),
        ({"label": 1, "id": "x", "Text": "a"}, 'task.prompt="{Text}" task.completion="{label}"'),
        ({"foo": "a", "bar": "b"}, 'task.prompt="{foo}" task.completion="{bar}"'),
        ({"a": [1], "b {": "x", "c": "y", "d": "z"}, 'task.prompt="{c}" task.completion="{d}"'),
        ({"cost in $": "x", "tag": "y"}, "task.prompt='{cost in $}' task.completion=\"{tag}\""),
        ({"prompt": "a", "label": "b"}, 'task.prompt="{prompt}" task.completion="{label}"'),
        ({"prompt": "a", "answer": "b", "completion": "c", "question": "d"},
         'task.prompt="{prompt}" task.completion="{completion}"'),
    ],
)  # fmt: skip
def test_columns_of_other_names_are_named_in_the_settings_that_read_them(write, row, hint):
    path = write("r.jsonl", [row])
    with pytest.raises(DataError, match=re.escape(hint) + r"\.$"):
        read_records(path)
    settings = dict(word.split("=", 1) for word in shlex.split(hint))
    settings = {key.removeprefix("task."): value for key, value in settings.items()}
    assert read_records(path, **settings).schema == "template"


def test_a_number_is_made_text_by_the_setting_named(write):
    path = write("r.jsonl", [{"prompt": "a", "completion": 1}])
    with pytest.raises(DataError, match=re.escape('with task.completion="{completion}".')):
        read_records(path)
    assert plain(read_records(path, completion="{completion}")) == [(user("a"), "1")]


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_a_csv_file_may_be_separated_by_other_marks(write, mark):
    text = f'prompt{mark}completion\n"a{mark}b"{mark}c, d\n'
    assert plain(read_records(write("r.csv", text))) == [(user(f"a{mark}b"), "c, d")]


def test_blank_columns_at_the_right_edge_are_no_columns(write):
    file = read_records(write("r.csv", "prompt,completion,,, \na,b,,,\nc,d, ,,\n"))
    assert plain(file) == [(user("a"), "b"), (user("c"), "d")]
    assert file.unused_columns == ()


def test_bytes_are_called_binary_data(tmp_path):
    import pyarrow
    from pyarrow import parquet

    path = tmp_path / "r.parquet"
    parquet.write_table(pyarrow.table({"prompt": [b"a"], "completion": ["b"]}), path)
    with pytest.raises(DataError, match="'prompt' must be text; found binary data. Write it as"):
        read_records(str(path))


def test_missing_file_and_folder_are_named(tmp_path):
    with pytest.raises(DataError, match="none.jsonl: there is no such file"):
        read_records(str(tmp_path / "none.jsonl"))
    with pytest.raises(DataError, match="is a folder"):
        read_records(str(tmp_path))
    with pytest.raises(DataError, match="is no regular file"):
        read_records("/dev/null")


def test_unknown_and_wrong_encodings_are_named(write):
    path = write("r.jsonl", GOOD)
    with pytest.raises(DataError, match="no text encoding has the name 'utf-9'"):
        read_records(path, encoding="utf-9")
    with pytest.raises(DataError, match="no text encoding has the name 'base64'"):
        read_records(path, encoding="base64")
    with pytest.raises(DataError, match="cannot be read as undefined; found .*encoding=utf-8"):
        read_records(path, encoding="undefined")
    with pytest.raises(DataError, match="is not ascii text; found byte 0xc3"):
        read_records(write("s.jsonl", '{"prompt": "é"}'), encoding="ascii")
    with pytest.raises(DataError, match="holds a NUL character when read as utf-8"):
        read_records(write("t.jsonl", b"a\0"), encoding="utf-8")


def test_xlsx_rows_are_counted_as_the_spreadsheet_shows_them(tmp_path):
    import openpyxl

    book = openpyxl.Workbook()
    for cells in (["prompt", "completion"], ["a", "b"], [None, None], ["c", 4]):
        book.active.append(cells)
    path = tmp_path / "r.xlsx"
    book.save(path)
    with pytest.raises(DataError, match="row 4: field 'completion' must be text; found a number"):
        read_records(str(path))
    file = read_records(str(path), completion="{completion}")
    assert [(r.line, r.completion) for r in file.records] == [(2, "b"), (4, "4")]


@pytest.mark.parametrize("size", ["A1", "A1:B2", "A1:E900"])
def test_xlsx_rows_are_all_read_whatever_size_the_workbook_says_it_has(tmp_path, size):
    import zipfile

    import openpyxl

    book = openpyxl.Workbook()
    for cells in (["prompt", "completion", "id"], ["a", "b"], [None], ["c", "d", "e"]):
        book.active.append(cells)
    book.save(tmp_path / "whole.xlsx")
    path = tmp_path / "r.xlsx"
    with zipfile.ZipFile(tmp_path / "whole.xlsx") as whole, zipfile.ZipFile(path, "w") as stale:
        for name in whole.namelist():
            content = whole.read(name)
            stale.writestr(name, content.replace(b'ref="A1:C4"', f'ref="{size}"'.encode()))
        assert b'ref="A1:C4"' in whole.read("xl/worksheets/sheet1.xml")
    rows = read_records(str(path), prompt="{prompt}", completion="{completion}").records
    assert [(r.line, r.prompt[0].content, r.completion) for r in rows] == [
        (2, "a", "b"),
        (4, "c", "d"),
    ]


def test_xlsx_cells_without_a_column_name_are_refused_unless_blank(tmp_path):
    import openpyxl

    book = openpyxl.Workbook()
    path = tmp_path / "r.xlsx"
    for cells in (["prompt", "completion"], ["a", "b", None, " "], ["c", "d"]):
        book.active.append(cells)
    book.save(path)
    assert len(read_records(str(path)).records) == 2
    book.active.append(["e", "f", None, "see row 2"])
    book.save(path)
    message = "row 4: column 4 has no name in the header; found 'see row 2' in it. Name the column"
    with pytest.raises(DataError, match=message):
        read_records(str(path))


def test_multi_turn_prompt_keeps_every_turn_in_order(write):
    turns = [
        {"role": "system", "content": "s"},
        TURN_A,
        TURN_B,
        {"role": "user", "content": "c"},
        {"role": "assistant", "content": "d"},
    ]
    record = read_records(write("r.jsonl", [{"messages": turns}])).records[0]
    assert record.prompt[-1] == Message("user", "c")
    assert len(record.prompt) == 4
    assert record.completion == "d"


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        ({"prompt": "a"}, user("a")),
        ({"question": "a", "completion": None}, user("a")),
        ({"prompt": "a", "completion": "b", "input": "c"}, user("a")),
        ({"instruction": "a", "input": "b"}, user("a\n\nb")),
        ({"instruction": "a", "input": "b", "output": "c"}, user("a\n\nb")),
        ({"input": "a", "label": "x"}, user("a")),
        ({"prompt": "a", "system": "s"}, [("system", "s"), *user("a")]),
        ({"messages": [{"role": "user", "content": "a"}]}, user("a")),
        (
            {
                "messages": [
                    {"role": "user", "content": "a"},
                    {"role": "assistant", "content": "b"},
                ]
            },
            user("a"),
        ),
    ],
)
def test_prompts_are_read_with_or_without_a_completion(write, row, prompt):
    path = write("rows.jsonl", [{"id": "x", **row}])
    file = read_records(path, require_completion=False)
    assert plain(file) == [(prompt, "")]
    assert file.records[0].id == "x"
    assert file.unused_columns == ()


def test_prompts_of_one_file_need_not_all_have_a_completion(write):
    path = write("rows.jsonl", [{"prompt": "a"}, {"prompt": "b", "completion": "c"}])
    assert plain(read_records(path, require_completion=False)) == [
        (user("a"), ""),
        (user("b"), ""),
    ]
    with pytest.raises(DataError, match="line 1: no completion in the row"):
        read_records(path)


def test_a_template_says_what_the_prompt_is(write):
    path = write("rows.csv", "claim,question\nA,B\n")
    file = read_records(path, prompt="{claim}: {question}", require_completion=False)
    assert plain(file) == [(user("A: B"), "")]


@pytest.mark.parametrize(
    "row",
    [{"claim": "a"}, {"prompt": "a", "question": "b"}, {"text": "a"}, {"completion": "a"}],
)
def test_a_prompt_column_that_cannot_be_told_is_asked_for(write, row):
    path = write("rows.jsonl", [row])
    with pytest.raises(DataError, match="line 1: cannot tell which column is the prompt; found"):
        read_records(path, require_completion=False)


def test_a_conversation_without_a_user_turn_at_its_end_is_refused(write):
    path = write("rows.jsonl", [{"messages": [{"role": "assistant", "content": "a"}]}])
    with pytest.raises(DataError, match="must end with a user turn"):
        read_records(path, require_completion=False)
