"""The shipped tasks: sizes, balance, and no wording of the test in training."""

import json
import re
from collections import Counter

import command_wordings
import notation_wordings
import pytest
import ticket_test_wordings
import ticket_train_wordings
from commands import ARGUMENT_ORDER
from tickets import CODES

TASKS = ("ticket_codes", "command_json", "house_notation")


def word_runs(text, length):
    words = re.findall(r"[a-z0-9{}']+", text.lower())
    return {tuple(words[i : i + length]) for i in range(len(words) - length + 1)}


@pytest.fixture(params=TASKS)
def task(request):
    return request.param


def splits(rows_of, task):
    return rows_of(f"tasks/{task}/train.jsonl"), rows_of(f"tasks/{task}/test.jsonl")


def test_each_task_has_enough_rows_with_unique_ids_and_the_expected_fields(rows_of, task):
    train, test = splits(rows_of, task)
    assert len(train) >= 300
    assert len(test) >= 400
    assert len({row["id"] for row in train + test}) == len(train) + len(test)
    for row in train + test:
        assert list(row) == ["id", "prompt", "response", "pattern"]
        assert row["prompt"].strip() == row["prompt"]
        assert row["response"].strip()


def test_no_pattern_and_no_prompt_of_the_test_occurs_in_training(rows_of, task):
    train, test = splits(rows_of, task)
    assert not {r["pattern"] for r in train} & {r["pattern"] for r in test}
    assert not {r["prompt"].lower() for r in train} & {r["prompt"].lower() for r in test}
    assert len({r["prompt"] for r in train + test}) == len(train) + len(test)


def test_prompts_are_short(rows_of, task):
    for row in sum(splits(rows_of, task), []):
        assert 3 <= len(row["prompt"].split()) <= 45


@pytest.mark.parametrize(
    ("train", "test"),
    [
        (
            sum(ticket_train_wordings.WORDINGS.values(), ()),
            sum(ticket_test_wordings.WORDINGS.values(), ()),
        ),
        (
            [text for group in command_wordings.TRAIN.values() for text, _ in group],
            [text for group in command_wordings.TEST.values() for text, _ in group],
        ),
        (notation_wordings.TRAIN, notation_wordings.TEST),
    ],
    ids=TASKS,
)
def test_no_five_words_in_a_row_are_shared_by_training_and_test_wordings(train, test):
    train_runs = {run: text for text in train for run in word_runs(text, 5)}
    shared = [
        (train_runs[run], text) for text in test for run in word_runs(text, 5) & set(train_runs)
    ]
    assert shared == []


def test_optional_parts_of_commands_differ_between_training_and_test():
    for command, parts in command_wordings.TRAIN_PARTS.items():
        assert not {p for p, _ in parts} & {p for p, _ in command_wordings.TEST_PARTS[command]}


def test_every_ticket_code_is_equally_frequent_and_its_prompts_share_the_instruction(rows_of):
    for rows in splits(rows_of, "ticket_codes"):
        assert set(Counter(row["response"] for row in rows)) == set(CODES.values())
        assert len(set(Counter(row["response"] for row in rows).values())) == 1
        first_lines = {row["prompt"].split("\n")[0] for row in rows}
        assert first_lines == {"Give the ticket code for this message."}


def test_commands_are_valid_json_in_the_fixed_order_and_prompts_share_no_first_words(rows_of):
    for rows in splits(rows_of, "command_json"):
        for row in rows:
            command = json.loads(row["response"])
            names = list(command)
            assert names[0] == "do"
            assert names[1:] == sorted(names[1:], key=ARGUMENT_ORDER.index)
            assert json.dumps(command) == row["response"]
        assert Counter(r["prompt"].split()[0] for r in rows).most_common(1)[0][1] < len(rows) / 5


def test_house_notation_keeps_the_words_around_the_values(rows_of):
    for rows in splits(rows_of, "house_notation"):
        for row in rows:
            plain = row["prompt"].removeprefix("Rewrite the text in house notation.\nText: ")
            pieces = re.split(
                r"D:(?:\d{4}\.)?\d\d\.\d\d|T:\d\d:\d\d|Q:[\d.]+[a-z]+|M:\d+\.\d\d[epd]|L:\w+",
                row["response"],
            )
            assert len(pieces) > 1
            assert re.fullmatch(".+".join(map(re.escape, pieces)), plain), row


def test_digital_times_in_house_notation_are_the_hour_that_was_said(rows_of):
    checked = 0
    for row in sum(splits(rows_of, "house_notation"), []):
        said = re.findall(r"(\d+):(\d\d) (am|pm)", row["prompt"])
        if said:
            hour, minute, half = said[0]
            expected = int(hour) % 12 + (12 if half == "pm" else 0)
            assert f"T:{expected:02d}:{minute}" in row["response"]
            checked += 1
    assert checked > 50
