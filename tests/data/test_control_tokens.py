from dataclasses import replace

import pytest

from levertune.data.control_tokens import ControlTokens
from levertune.data.records import Message, RecordFile
from levertune.errors import DataError

TOKENS = ControlTokens("tiny", ["<s>", "<s>x", "</s>"])


def file_of(records, schema="prompt/completion", file_format="jsonl"):
    return RecordFile(tuple(records), "rows", file_format, schema, "0" * 64)


def test_the_longest_token_is_found_and_none_where_there_are_none():
    assert TOKENS.find("a <s>x b</s>") == "<s>x"
    assert TOKENS.find("a < s > b") is None
    assert ControlTokens("plain", []).find("<s>") is None


@pytest.mark.parametrize(
    ("schema", "file_format", "place"),
    [
        ("question/answer", "csv", "rows, line 1, field 'answer': contains the control token"),
        ("messages", "jsonl", "rows, line 1, field 'messages'"),
        ("text", "parquet", "rows, row 1, field 'text'"),
        ("template", "json", "rows, row 1, the completion"),
        ("instruction/output", "jsonl", "rows, line 1, field 'output'"),
    ],
)
def test_a_row_is_named_by_line_and_field(rows, schema, file_format, place):
    file = file_of([replace(rows(("a", "b</s>"))[0], line=1)], schema, file_format)
    with pytest.raises(DataError, match=f"{place}.*'</s>' of tiny"):
        TOKENS.require_none_in(file)


def test_prompts_and_system_texts_are_looked_at(rows):
    record = replace(rows(("a", "b"))[0], line=1)
    TOKENS.require_none_in(file_of([record]))
    system = replace(record, prompt=(Message("system", "<s>"), *record.prompt))
    with pytest.raises(DataError, match="line 1, field 'system'"):
        TOKENS.require_none_in(file_of([system]))
    prompt = replace(record, prompt=(Message("user", "<s>"),))
    with pytest.raises(DataError, match="line 1, the prompt"):
        TOKENS.require_none_in(file_of([prompt], "instruction/output"))


def test_rows_left_out_are_listed_and_a_file_of_nothing_else_is_refused(rows):
    file = file_of(rows(("a", "b"), ("<s>", "c"), source="g"))
    kept, dropped = TOKENS.leave_out(file)
    assert [record.id for record in kept.records] == ["1"]
    assert dropped == [{"id": "2", "source": "g", "reason": "contains the control token '<s>'"}]
    assert TOKENS.leave_out(kept) == (kept, [])
    with pytest.raises(DataError, match="all 1 rows contain a control .* found '<s>' in row '2'"):
        TOKENS.leave_out(replace(file, records=file.records[1:]))
