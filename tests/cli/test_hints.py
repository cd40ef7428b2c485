"""What an error tells a user to type works when it is typed."""

import json
import re
import shlex

import pytest

from levertune.cli.main import main

_HINT = re.compile(r"""(?:task|general|training)\.[\w.]+=(?:"[^"]*"|'[^']*'|[\w:{}-]+)""")
_TEXTS = ("my card is lost", "where is my money", "send me a new pin", "I was charged twice",
          "close the account", "a fee I do not know")  # fmt: skip


def table(*names):
    """A CSV file of texts and codes under these names."""
    return "\n".join([",".join(names), *(f"{text},{'AB'[i % 2]}" for i, text in enumerate(_TEXTS))])


def rows(**columns):
    """JSON lines; each column is a function of the row's number."""
    return "".join(
        json.dumps({name: value(i) for name, value in columns.items()}) + "\n" for i in range(6)
    )


def text(i):
    return _TEXTS[i]


def code(i):
    return "AB"[i % 2]


GOOD = rows(prompt=text, completion=code)
PAIRS = table("prompt", "completion")
CASES = {
    "cp1252": ("t.csv", PAIRS.replace("lost", "l\u00f6st").encode("cp1252"), []),
    "no cp1252": ("t.csv", PAIRS.replace("lost", "\x81").encode("latin-1"), []),
    "UTF-16": ("t.jsonl", GOOD.encode("utf-16"), []),
    "UTF-16 without a mark": ("t.jsonl", GOOD.encode("utf-16-le"), []),
    "text and label": ("t.csv", table("text", "label"), []),
    "names of no schema": ("t.csv", table("Meldung", "Kennung $"), []),
    "prompt and label": ("t.csv", table("prompt", "label"), []),
    "one template": ("t.csv", table("Meldung", "Kennung"), ["task.prompt={Meldung}"]),
    "the other template": ("t.csv", table("Meldung", "Kennung"), ["task.completion={Kennung}"]),
    "a number": ("t.jsonl", rows(prompt=text, completion=lambda i: i % 2), []),
    "two schemas": ("t.jsonl", rows(prompt=text, completion=code, question=text, answer=code), []),
    "an unknown field": ("t.csv", table("message", "code"), ["task.prompt={mesage}"]),
    "too many folds": ("t.jsonl", GOOD, ["task.test=cv:9"]),
    "a long row": ("t.jsonl", GOOD.replace("pin", "pin " * 40), ["training.max_length=150"]),
    "test rows in training": ("t.jsonl", GOOD, ["task.test=t.jsonl"]),
    "general rows in another encoding": (
        "g.csv", "text\nsch\u00f6n\nweit\n".encode("latin-1"), ["--general", "g.csv"]),
    "general rows of other names": (
        "g.csv", table("Frage", "Antwort").replace("my", "our"), ["--general", "g.csv"]),
    "general rows that leak": (
        "g.jsonl", GOOD + rows(prompt=lambda i: f"number {i}", completion=code),
        ["--general", "g.jsonl", "general.test_leaks=refuse"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_an_error_says_to_type_can_be_typed(
    case, tmp_path, tiny_model_folder, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    name, content, words = CASES[case]
    (tmp_path / "t.jsonl").write_text(GOOD, encoding="utf-8")
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    task = name if name.startswith("t.") else "t.jsonl"
    command = ["check", "--task", task, "--model", str(tiny_model_folder), *words]
    if "--general" not in words:
        command.append("general.sources=[]")
    for _ in range(3):  # one hint may lead to the next
        status = main(command)
        out, err = capsys.readouterr()
        if status == 0:
            break
        assert (status, out, err.count("\n")) == (2, "", 1)
        hints = [word for hint in _HINT.findall(err) for word in shlex.split(hint)]
        if "Did you mean {message}" in err:
            hints = ["task.prompt={message}"]
        assert hints, err
        replaced = {hint.split("=")[0] for hint in hints}
        command = [word for word in command if word.split("=")[0] not in replaced] + hints
    assert status == 0, err
