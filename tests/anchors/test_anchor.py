import dataclasses
import json
import re

import pytest

from levertune.anchors.anchor import Anchor, plain_example
from levertune.data.records import Message, Record
from levertune.errors import RecipeError

TURNS = (
    Message("system", "Be brief."),
    Message("user", "Hi"),
    Message("assistant", "Hello"),
    Message("user", "Where is my card?"),
)
RECORD = Record("7", "task", TURNS, "H3B")


def contents(anchor, record=RECORD):
    return [message.content for message in anchor.apply(record).messages]


@pytest.mark.parametrize(
    ("placement", "position", "content"),
    [
        ("prefix", 3, "Give the code.\nWhere is my card?"),
        ("suffix", 3, "Where is my card?\nGive the code."),
        ("system", 0, "Give the code.\nBe brief."),
    ],
)
def test_anchor_goes_where_it_is_placed_and_changes_no_other_turn(placement, position, content):
    found = contents(Anchor("Give the code.", placement))
    expected = [turn.content for turn in TURNS]
    expected[position] = content
    assert found == expected


def test_system_anchor_makes_a_system_turn_where_there_is_none():
    record = Record("1", "task", (Message("user", "Hi"),), "x")
    assert Anchor("Go.", "system").apply(record).messages == (
        Message("system", "Go."),
        Message("user", "Hi"),
    )


def test_separator_stands_between_anchor_and_text():
    assert contents(Anchor("Go.", separator=" "))[-1] == "Go. Where is my card?"


def test_example_carries_id_lead_in_and_that_it_is_anchored():
    example = Anchor("Go.", lead_in="Code: ").apply(RECORD)
    assert (example.id, example.source, example.completion) == ("7", "task", "H3B")
    assert (example.lead_in, example.is_anchored) == ("Code: ", True)
    assert plain_example(RECORD).is_anchored is False
    assert plain_example(RECORD).messages == TURNS


def test_id_follows_what_the_model_sees_and_not_the_dropout():
    anchor = Anchor("Go.")
    assert anchor.id == dataclasses.replace(anchor, dropout=0.5).id
    others = [
        {"text": "Go!"},
        {"placement": "suffix"},
        {"lead_in": "x"},
        {"separator": " "},
    ]
    assert len({anchor.id, *(dataclasses.replace(anchor, **other).id for other in others)}) == 5
    assert re.fullmatch("[0-9a-f]{12}", Anchor("\ud800 Þ").id)


def test_anchor_survives_json():
    anchor = Anchor("Þýða.", "suffix", "Svar: ", 0.1, "\n\n")
    assert Anchor.from_json(json.loads(json.dumps(anchor.to_json()))) == anchor
    assert anchor.to_json()["id"] == anchor.id


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": " \n"}, "anchor.text: is blank"),
        ({"placement": "middle"}, "anchor.placement: must be one of"),
        ({"dropout": 1.0}, "anchor.dropout: must be at least 0 and below 1; found 1.0"),
        ({"dropout": -0.1}, "anchor.dropout: must be at least 0 and below 1; found -0.1"),
        ({"dropout": float("nan")}, "anchor.dropout: must be at least 0 and below 1; found nan"),
        ({"separator": "::"}, "anchor.separator: must be white space; found '::'"),
    ],
)
def test_bad_anchor_names_setting_and_value(change, message):
    with pytest.raises(RecipeError, match=re.escape(message)):
        Anchor(**{"text": "Go.", **change})


def test_the_token_cost_is_that_of_text_and_lead_in_counted_apart():
    def count(text):
        return len(text.split())

    assert Anchor("Name the code.").token_cost(count) == 3
    assert Anchor("Name the code.", "suffix", separator="\n\n").token_cost(count) == 3
    # Together they would be one word less: they never meet.
    assert Anchor("Name the code:", lead_in="Code:").token_cost(count) == 4
    seen = []
    Anchor("a", lead_in=None).token_cost(lambda text: seen.append(text) or 0)
    assert seen == ["a"]
