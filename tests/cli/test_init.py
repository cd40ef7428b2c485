import json

import pytest

from levertune.cli.init import _is_offline
from levertune.cli.machine import BASE_MODELS, GIB, Machine
from levertune.cli.main import main
from levertune.recipes.loading import load_recipe, recipe_for_task


@pytest.fixture
def rows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [
        json.dumps({"prompt": f"Give the code of this note.\nNote: number {i}", "completion": code})
        for i, code in enumerate(["A1", "B2"] * 10)
    ]
    (tmp_path / "notes.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def test_init_writes_a_recipe_that_reads_back_as_the_default(rows, capsys):
    assert main(["init", "notes.jsonl"]) == 0
    out, err = capsys.readouterr()
    assert out == "wrote recipe.yaml\n"
    assert load_recipe("recipe.yaml") == recipe_for_task("notes.jsonl")
    assert "next: levertune check recipe.yaml" in err


def test_init_says_what_it_recognised_in_the_rows(rows):
    main(["init", "notes.jsonl", "-o", "r.yaml"])
    text = " ".join((rows / "r.yaml").read_text(encoding="utf-8").replace("#", "").split())
    assert "Here: 20 rows of jsonl, schema prompt/completion." in text
    assert "auto is macro_f1: kind label" in text
    assert 'auto is "Give the code of this note."' in text
    assert "auto is 32: for 20 task rows" in text
    assert "Here: works offline" in text


def test_init_keeps_settings_and_says_nothing_of_auto_for_them(rows):
    main(["init", "notes.jsonl", "task.exposures=7", "--quiet", "anchor.text=null"])
    assert load_recipe("recipe.yaml").task.exposures == 7
    text = (rows / "recipe.yaml").read_text(encoding="utf-8")
    assert "auto is 32" not in text
    assert "Give the code" not in text


def test_init_does_not_replace_a_file_unless_forced(rows, capsys):
    (rows / "recipe.yaml").write_text("mine", encoding="utf-8")
    assert main(["init", "notes.jsonl"]) == 2
    assert "recipe.yaml: is there already. Name another with -o, or add --force." in (
        capsys.readouterr().err
    )
    assert (rows / "recipe.yaml").read_text(encoding="utf-8") == "mine"
    assert main(["init", "notes.jsonl", "--force"]) == 0


def test_init_dry_run_prints_and_writes_nothing(rows, capsys):
    assert main(["init", "notes.jsonl", "--dry-run"]) == 0
    assert "version: 1\n" in capsys.readouterr().out
    assert not (rows / "recipe.yaml").exists()


def test_init_json_names_the_file_and_the_notes(rows, capsys):
    assert main(["init", "notes.jsonl", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["recipe"] == "recipe.yaml"
    assert found["notes"]["task.path"] == "20 rows of jsonl, schema prompt/completion"


SMALL = "for this machine (2 cores, 16 GiB) none larger is proposed"
LARGE = (
    "for this machine (GPU) a larger one fits too; it comes from the Hub, which needs a network:"
)


@pytest.mark.parametrize(
    ("machine", "lines", "models"),
    [
        (Machine(2, 16 * GIB), [SMALL], []),
        (
            Machine(8, 64 * GIB, "GPU", 24 * GIB),
            [
                LARGE,
                "model.model_name_or_path=HuggingFaceTB/SmolLM2-1.7B-Instruct (1.7B, English, "
                "Apache-2.0)",
                "model.model_name_or_path=Qwen/Qwen2.5-1.5B-Instruct (1.5B, 29 languages, "
                "Apache-2.0)",
            ],
            ["HuggingFaceTB/SmolLM2-1.7B-Instruct", "Qwen/Qwen2.5-1.5B-Instruct"],
        ),
    ],
    ids=["small", "large"],
)
def test_init_proposes_base_models_for_the_machine_it_finds(
    rows, capsys, monkeypatch, machine, lines, models
):
    monkeypatch.setattr("levertune.cli.machine.read_machine", lambda: machine)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    assert main(["init", "notes.jsonl", "--json"]) == 0
    out, err = capsys.readouterr()
    shown = err.splitlines()
    start = shown.index("base model: HuggingFaceTB/SmolLM2-135M-Instruct") + 1
    assert [line.strip() for line in shown[start:-1]] == lines
    found = json.loads(out)
    assert found["models"] == models
    note = "works offline" + "".join(
        f"; larger, over the network: {name} (Apache-2.0)" for name in models
    )
    assert found["notes"]["model.model_name_or_path"] == note
    written = (rows / "recipe.yaml").read_text(encoding="utf-8").replace("#", "")
    assert f"Here: {note}." in " ".join(written.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["missing.jsonl"], "missing.jsonl: there is no such file"),
        (["notes.jsonl", "training.lora_r=0"], "training.lora_r: must be"),
        (["notes.jsonl", "task.promt=x"], "Did you mean task.prompt?"),
    ],
)
def test_init_that_fails_writes_nothing(rows, capsys, words, message):
    assert main(["init", *words]) == 2
    assert message in capsys.readouterr().err
    assert not (rows / "recipe.yaml").exists()


def test_init_says_when_the_hub_is_switched_off(rows, monkeypatch, capsys):
    monkeypatch.setattr("levertune.cli.machine.propose_models", lambda machine: BASE_MODELS[-1:])
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    main(["init", "notes.jsonl"])
    err = capsys.readouterr().err
    assert (
        "model.model_name_or_path=Qwen/Qwen2.5-7B-Instruct (7.6B, 29 languages, Apache-2.0)" in err
    )
    assert "HF_HUB_OFFLINE is set" in err
    assert not _is_offline({})
