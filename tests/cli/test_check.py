import json
import re
import subprocess
import sys

import pytest

from levertune.cli.main import main

PROMPT = "Give the code for this message.\nMessage: {}"
MESSAGES = ["my card is lost", "where is my money", "send me a new pin", "I was charged twice"]
MESSAGES += ["close the account", "a fee I do not know"]


@pytest.fixture
def tokenizer_folder(tmp_path):
    """A model folder with a tokenizer of whole words and a small chat template."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder = tmp_path / "model"
    folder.mkdir()
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0, "</s>": 1}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(["</s>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    template = (
        "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}</s>\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    config = {"chat_template": template, "eos_token": "</s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.fixture
def check(tokenizer_folder, tmp_path, capsys):
    def _check(*words, task=None):
        path = tmp_path / "task.jsonl"
        if task is None:
            task = [(PROMPT.format(text), "AB"[i % 2]) for i, text in enumerate(MESSAGES)]
        rows = [{"prompt": prompt, "completion": completion} for prompt, completion in task]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        status = main(
            ["check", "--task", str(path), "--model", str(tokenizer_folder)]
            + ["--general", "embedded-skills", *words]
        )
        return status, *capsys.readouterr()

    return _check


def test_report_is_a_readable_table(check):
    status, out, _ = check("task.test=cv:2")
    assert status == 0
    for words in (
        "prompt/completion",
        "embedded-skills",
        "under 10^4 task tokens",
        "Give the code for this message.",
        "Nothing to warn of.",
    ):
        assert words in out


def test_json_is_for_machines_alone(check):
    status, out, _ = check("--json", "--show", "2")
    report = json.loads(out)
    assert status == 0
    assert report["task"]["rows"] == 6
    assert report["labels"] == {"A": 3, "B": 3}
    assert report["instruction"] == "Give the code for this message."


def test_shown_rows_mark_anchor_and_supervised_tokens(check):
    _, out, _ = check("--show", "1")
    assert (
        "user: <<Give the code for this message.>>\nMessage: my card is lost</s>\n"
        "assistant: [[A</s>]]" in out
    )
    _, out, _ = check("--show", "1", "anchor.text=null")
    assert "<<Give" not in out
    assert "[[A</s>]]" in out
    _, out, _ = check("--show", "1", "anchor.text=Pick a code.")
    assert "<<Pick a code.>>\nGive the code for this message.\nMessage: my card" in out


def test_shown_rows_cannot_rewrite_the_screen(check):
    task = [("hello\x1b[2J there", "A"), ("second row", "B")]
    status, out, _ = check("--show", "1", "task.test=cv:2", task=task)
    assert (status, "\x1b" in out) == (0, False)


def test_unusable_data_is_one_line_and_status_2(check, tmp_path):
    status, out, err = check(task=[("a", "b")])
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "must hold at least two task rows" in err
    status, _, err = check("training.max_length=8")
    assert (status, re.search(r"all \d task rows are longer", err) is not None) == (2, True)
    status, _, err = check("--test", str(tmp_path / "task.jsonl"))
    assert (status, "6 of 6 test rows are training rows too" in err) == (2, True)
    status, out, err = check("--test", str(tmp_path / "task.jsonl"), "task.allow_overlap=true")
    assert (status, "6 test rows" in out) == (0, True)
    status, _, err = check("task.promt={x}")
    assert (status, "task.prompt" in err) == (2, True)
    status, _, err = check("--show", "some")
    assert (status, "must be a number of rows" in err) == (2, True)


def test_shipped_task_is_checked_with_its_test_rows(tokenizer_folder, capsys):
    words = ["check", "--task", "embedded:ticket_codes", "--model", str(tokenizer_folder), "--json"]
    assert main([*words, "--general", "embedded-skills"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["test"]["path"] == "embedded:ticket_codes@test"
    assert report["test"]["rows"] >= 400


def test_check_never_imports_torch(tokenizer_folder, tmp_path):
    path = tmp_path / "task.csv"
    path.write_text("prompt,completion\na b,c\nd e,f\n", encoding="utf-8")
    words = [
        "check",
        "--task",
        str(path),
        "--model",
        str(tokenizer_folder),
        "--show",
        "1",
        "task.test=cv:2",
    ]
    code = (
        "import sys; from levertune.cli.main import main; "
        f"status = main({[*words, '--general', 'embedded-skills']!r}); "
        "sys.exit(status or any(name in sys.modules for name in ('torch', 'transformers')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_typed_as_a_setting_counts_more_than_a_shorthand(check, tmp_path):
    (tmp_path / "general.csv").write_text("text,note\nsome words,x\nmore words,y\n", "utf-8")
    words = ("--general", str(tmp_path / "general.csv"), "general.sources.0.name=mine")
    status, out, _ = check(*words, "--json")
    assert (status, json.loads(out)["general"][0]["source"]) == (0, "mine")


def test_general_rows_are_compared_with_the_rows_a_run_will_hold_out(check, tmp_path):
    task = [(f"{word} is what I would like to ask about", "A") for word in WORDS]
    path = tmp_path / "general.jsonl"
    rows = [{"prompt": prompt, "completion": "Yes."} for prompt, _ in task]
    rows.append({"prompt": "zebra", "completion": "no"})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    status, out, _ = check("--json", "--general", str(path), "task.test=0.25", task=task)
    report = json.loads(out)
    assert status == 0
    assert len(report["general_in_test"]["leaks"]) == len(WORDS) // 4
    assert len(report["general_in_task"]["leaks"]) == len(WORDS) - len(WORDS) // 4


def test_near_duplicates_too_many_for_one_side_are_told(check):
    task = [
        (f"what is the fee for a transfer of {i} crowns to a bank abroad", "A") for i in range(9)
    ]
    _, out, _ = check("task.test=0.25", task=task)
    assert "Near duplicates, by chains: 9 rows" in " ".join(out.split())


WORDS = (
    "amber", "birch", "cedar", "dahlia", "elm", "fern", "gorse", "hazel", "iris", "juniper",
    "kale", "lilac", "maple", "nettle", "oak", "poplar",
)  # fmt: skip


def test_instructions_that_the_anchor_replaces_are_named(check):
    asked = ("Give the code for this message.", "Which code does the message get?")
    task = [
        (f"{asked[i % 2]}\n{text}, {word}", "AB"[i % 3 % 2])
        for word in ("please", "thanks", "now", "today")
        for i, text in enumerate(MESSAGES)
    ]
    _, out, _ = check("--show", "2", "task.test=cv:2", task=task)
    told = " ".join(out.split())
    assert "one of 2, which are taken out, and the anchor stands in their place" in told
    for text in asked:
        assert repr(text) in told
    assert "anchor.varied=keep" in told
    _, out, _ = check("task.test=cv:2", "anchor.varied=keep", task=task)
    assert "Varied" not in out


def test_test_rows_of_another_wording_are_counted(check):
    asked = "Give the code for this message."
    task = [(f"{asked}\n{text}", "AB"[i % 2]) for i, text in enumerate(MESSAGES)]
    task.append(("Which code does it get, my parcel?", "A"))
    _, out, _ = check("task.test=cv:2", task=task)
    told = " ".join(out.split())
    assert f"1 of {len(task)} test rows do not carry the instruction that is taken" in told
    _, out, _ = check("task.test=cv:2", task=task[:-1])
    assert "Other wordings" not in out


def test_a_test_anchor_of_its_own_is_told(check):
    _, out, _ = check("evaluation.anchor=null")
    assert "Test prompts of tell have no anchor (evaluation.anchor)" in " ".join(out.split())


def test_texts_that_rows_differ_in_stay_and_a_line_says_why(check):
    task = [
        (f"Translate this sentence into {language}.\n{text}, {word}", f"{language} {text}")
        for word in ("please", "thanks")
        for text in MESSAGES
        for language in ("French", "German")
    ]
    _, out, _ = check("--show", "2", "task.test=cv:2", task=task)
    told = " ".join(out.split())
    assert "2 texts, which stay in them, since without them equal prompts would have" in told
    assert "anchor.varied=always" in told
    asked = re.findall(r"into (\w+)\.\n", out)
    assert asked == re.findall(r"\[\[(French|German)", out)
    assert len(asked) == 2
    _, out, _ = check("task.test=cv:2", "anchor.varied=always", task=task)
    assert "which are taken out" in " ".join(out.split())
