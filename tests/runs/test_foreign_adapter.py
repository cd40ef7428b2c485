"""An adapter on another base model than its own is refused, in a run too, and nothing changes."""

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from levertune.cli.main import main
from levertune.runs import together as train_module

RUN = Path("runs/whole")
TELL = RUN / "arms/tell/seed-0"
STAGES = ("run", "train", "eval")


@pytest.fixture
def recipe(finished_copy):
    """The finished run as one on a copy of the base model, which a test may change."""
    shutil.copytree(finished_copy.model, "tiny-llama")
    path = RUN / "recipe.yaml"
    text = path.read_text("utf-8")
    assert str(finished_copy.model) in text
    path.write_text(text.replace(str(finished_copy.model), "./tiny-llama"), "utf-8")
    return finished_copy.recipe_file(model__model_name_or_path="./tiny-llama")


@pytest.fixture
def refused(recipe, capsys, monkeypatch):
    """The one line a command is refused with; nothing is trained, and no file changes."""

    def train(*args, **kwargs):
        raise AssertionError("something is trained")

    monkeypatch.setattr(train_module, "train_adapter", train)

    def contents():
        return {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}

    def _refused(verb):
        before = contents()
        assert main([verb, recipe]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        lines = [line for line in err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1
        assert "Traceback" not in err
        assert contents() == before
        return lines[0]

    return _refused


def change_card(folder, **changes):
    path = folder / "adapter/levertune.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **changes}), "utf-8")


def change_base_weights():
    path = Path("tiny-llama/model.safetensors")
    weights = load_file(path)
    weights["model.norm.weight"] += 1
    save_file(weights, path, metadata={"format": "pt"})


def test_a_run_on_a_copy_of_its_base_model_is_done(recipe, monkeypatch, capsys):
    """So what the other tests here see is refused for its base model, not for the copy."""
    monkeypatch.setattr(train_module, "train_adapter", None)
    assert main(["run", recipe, "--quiet"]) == 0


@pytest.mark.parametrize("verb", STAGES)
def test_base_weights_that_have_changed_since_the_training_are_refused(refused, verb):
    change_base_weights()
    line = refused(verb)
    assert "model_hash" in line or "was trained on 'tiny-llama'" in line


@pytest.mark.parametrize("verb", STAGES)
@pytest.mark.parametrize("is_done", [True, False], ids=["done", "not evaluated"])
def test_an_adapter_of_another_base_model_in_a_cell_is_refused(refused, verb, is_done):
    change_card(TELL, base_sha256="0" * 64)
    if not is_done:
        (TELL / "cell.json").unlink()
    assert refused(verb).startswith(
        f"error: {TELL}/adapter: was trained on 'tiny-llama' (hash 000000000000); found a base "
    )


@pytest.mark.parametrize("verb", STAGES)
def test_the_adapter_of_another_cell_is_refused(refused, verb):
    (TELL / "cell.json").unlink()
    shutil.rmtree(TELL / "adapter")
    shutil.copytree(RUN / "arms/sft-steps/seed-0/adapter", TELL / "adapter")
    line = refused(verb)
    assert line.startswith(f"error: {TELL}/adapter: was trained for another cell (arm 'sft-steps'")
    assert line.endswith("or choose another output_dir.")
