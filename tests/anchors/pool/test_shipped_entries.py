"""The anchors that levertune ships, read as plain YAML: schema, answers, and what must not leak."""

import json
import math
import re
from collections import Counter
from importlib import resources
from pathlib import Path

import pytest
import yaml

from levertune.anchors.pool.rules import control_token

FOLDER = Path(str(resources.files("levertune.anchors"))) / "pool" / "entries"
KEYS = [
    "id",
    "text",
    "kind",
    "answer",
    "task",
    "languages",
    "licence",
    "author",
    "examples",
    "evidence",
    "votes",
]
ANSWERS = {"label", "json", "number", "code", "text"}
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

PATHS = sorted(FOLDER.glob("*.yaml"))
ENTRIES = {path.stem: yaml.safe_load(path.read_text("utf-8")) for path in PATHS}


def entries_of(answer):
    chosen = {stem: entry for stem, entry in ENTRIES.items() if entry["answer"] == answer}
    return [pytest.param(entry, id=stem) for stem, entry in chosen.items()]


every_entry = pytest.mark.parametrize(
    ("stem", "entry"), [pytest.param(stem, entry, id=stem) for stem, entry in ENTRIES.items()]
)


def test_at_least_forty_anchors_over_fifteen_kinds_are_shipped():
    assert len(ENTRIES) >= 40
    assert len({entry["kind"] for entry in ENTRIES.values()}) >= 15


def test_every_form_of_answer_and_several_languages_are_covered():
    assert {entry["answer"] for entry in ENTRIES.values()} == ANSWERS
    assert len({code for entry in ENTRIES.values() for code in entry["languages"]}) >= 5


def test_folder_holds_nothing_but_entries():
    assert [path for path in FOLDER.iterdir() if path.suffix != ".yaml"] == []


def test_no_two_anchors_share_a_text():
    texts = Counter(" ".join(entry["text"].lower().split()) for entry in ENTRIES.values())
    assert [text for text, count in texts.items() if count > 1] == []


@every_entry
def test_keys_and_their_order_are_those_of_the_schema(stem, entry):
    assert list(entry) == KEYS


@every_entry
def test_id_is_a_slug_and_the_file_stem(stem, entry):
    assert entry["id"] == stem
    assert SLUG.fullmatch(stem)
    assert len(stem) <= 60
    assert SLUG.fullmatch(entry["kind"])


@every_entry
def test_text_is_an_instruction_that_ends_in_a_sentence_mark(stem, entry):
    text = entry["text"]
    assert text == text.strip()
    assert text.endswith((".", "?"))
    assert 20 <= len(text) <= 1200
    assert control_token(text) is None
    assert not re.search(r"<\||\|>", text)  # half a token


@every_entry
def test_other_fields_are_filled_and_nothing_unmeasured_is_claimed(stem, entry):
    assert entry["answer"] in ANSWERS
    assert entry["task"].endswith(".")
    assert "\n" not in entry["task"]
    assert entry["languages"]
    assert all(re.fullmatch(r"[a-z]{2,3}", code) for code in entry["languages"])
    assert entry["licence"] == "CC0-1.0"
    assert entry["author"] == "The levertune authors"
    assert entry["evidence"] == []
    assert entry["votes"] == 0


@every_entry
def test_five_to_eight_examples_have_prompt_and_completion_and_differ(stem, entry):
    examples = entry["examples"]
    assert 5 <= len(examples) <= 8
    for example in examples:
        assert list(example) == ["prompt", "completion"]
        assert all(isinstance(value, str) and value.strip() for value in example.values())
    assert len({example["prompt"] for example in examples}) == len(examples)


@every_entry
def test_anchor_gives_no_example_away(stem, entry):
    text = entry["text"].lower()
    for example in entry["examples"]:
        assert example["prompt"].lower() not in text
        answer = example["completion"].lower()
        assert len(answer.split()) < 5 or answer not in text


@pytest.mark.parametrize("entry", entries_of("json"))
def test_json_answers_parse_and_are_written_one_way(entry):
    for example in entry["examples"]:
        value = json.loads(example["completion"])
        assert json.dumps(value, ensure_ascii=False) == example["completion"]


@pytest.mark.parametrize("entry", entries_of("number"))
def test_number_answers_are_bare_numbers(entry):
    assert all(math.isfinite(float(example["completion"])) for example in entry["examples"])


@pytest.mark.parametrize("entry", entries_of("label"))
def test_labels_recur_or_are_listed_in_the_text(entry):
    counts = Counter(example["completion"] for example in entry["examples"])
    assert len(counts) >= 2
    for label, count in counts.items():
        listed = re.search(rf"(?<!\w){re.escape(label)}(?!\w)", entry["text"])
        assert count > 1 or listed, label
