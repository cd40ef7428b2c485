import pytest

from levertune.anchors.sentences import describe_task
from levertune.data.records import Message, Record


def answers(*completions):
    return [Record("1", "task", (Message("user", "x"),), answer) for answer in completions]


TEXT = "Answer in the form that this task asks for."
CODE = "Write the code that the description asks for, and nothing else."
LABEL = "Answer with the label that fits, and nothing else."
JSON = "Answer with JSON, and nothing else."
JSON_A = 'Answer with a JSON object with the key "a", and nothing else.'


@pytest.mark.parametrize(
    ("kind", "completions", "labels", "sentence"),
    [
        ("text", ["a"], None, TEXT),
        ("unheard-of", ["a"], None, TEXT),
        ("code", ["x = 1"], None, CODE),
        (
            "label",
            ["yes"],
            ["yes", "no"],
            "Answer with one of these labels, and nothing else: yes, no.",
        ),
        ("label", ["a"], [f"L{n}" for n in range(13)], LABEL),
        ("label", ["a"], ["x" * 41, "y"], LABEL),
        ("label", ["a"], None, LABEL),
        (
            "json",
            ['{"b": 1, "a": 2, "c": 3}', '{"a": 1, "b": 2}'],
            None,
            'Answer with a JSON object with the keys "b" and "a", and nothing else.',
        ),
        ("json", ['{"a": 1}'], None, JSON_A),
        ("json", ['{"a": 1}', '{"b": 1}'], None, JSON),
        ("json", ['{"a": 1}', "[1]"], None, JSON),
        ("json", ['{"a": 1}', "{"], None, JSON),
        ("json", ["[" * 100_000], None, JSON),
    ],
)  # fmt: skip
def test_sentence_follows_from_what_is_known_of_the_task(kind, completions, labels, sentence):
    assert describe_task(kind, answers(*completions), labels) == sentence
