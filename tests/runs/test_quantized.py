"""Whole runs on a base model in 4 bits; what trains is skipped where bitsandbytes is missing."""

import contextlib
import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from levertune.cli.main import main
from levertune.data.readers import read_records
from levertune.errors import ModelError, RecipeError, RunError
from levertune.models import quantization
from levertune.models.adapters import CARD_FILE, read_card
from levertune.models.resolve import fingerprint_model, resolve_model
from levertune.recipes.loading import load_recipe, recipe_from_mapping
from levertune.results.files import read_json
from levertune.runs.quantization import require_quantization
from levertune.runs.run import run_recipe
from levertune.runs.train_cell import check_adapter
from levertune.runs.tuned import fingerprint_tuning
from levertune.serving.adapter import Assistant

RUN = Path("runs/whole")
CELL = RUN / "arms" / "tell" / "seed-0"
NF4 = {"model__quantization": "nf4", "arms": ["base", "tell"]}

needs_bitsandbytes = pytest.mark.skipif(
    find_spec("bitsandbytes") is None, reason="needs levertune[quantized]"
)


@pytest.fixture(scope="module")
def quantized(tmp_path_factory, new_project, like_anywhere):
    """A finished run on a base model in 4 bits; leave its folder as it is."""
    project = new_project(tmp_path_factory.mktemp("quantized"))
    with like_anywhere(), contextlib.chdir(project.folder):
        outcome = run_recipe(project.recipe(**NF4))
    return project, outcome


@pytest.fixture
def copied(project, quantized):
    """The same, copied into this test's project."""
    shutil.copytree(quantized[0].folder / RUN, project.folder / RUN)
    return project


@pytest.fixture
def trained_in(finished, quantized):
    """The cells `tell` of a run in 4 bits and of one without, otherwise alike."""
    return {"nf4": quantized[0].folder / CELL, None: finished[0].folder / CELL}


@needs_bitsandbytes
def test_a_run_says_everywhere_what_its_base_was_kept_in(copied, quantized):
    assert quantized[1].result.model.quantization == "nf4"
    assert read_json(RUN / "result.json")["model"]["quantization"] == "nf4"
    assert read_json(CELL / "manifest.json")["training"]["quantization"] == "nf4"
    assert read_card(RUN / "best").quantization == "nf4"
    assert load_recipe(RUN / "recipe.yaml").model.quantization == "nf4"
    assert "nf4 computed in float32" in (RUN / "report.html").read_text("utf-8")


@needs_bitsandbytes
def test_its_adapter_is_served_as_it_was_tested(copied, trained_in):
    assistant = Assistant.load(CELL / "adapter", device="cpu", base=str(copied.model))
    rows = [json.loads(line) for line in (CELL / "predictions.jsonl").read_text().splitlines()]
    records = read_records("test.jsonl").records
    assert [a.text for a in assistant.answer_many(records)] == [row["prediction"] for row in rows]
    assert assistant.model.get_base_model().is_loaded_in_4bit


@needs_bitsandbytes
def test_the_printed_lines_load_the_base_as_it_was_trained_on(quantized, monkeypatch):
    project, outcome = quantized
    monkeypatch.chdir(project.folder)
    lines = [line.strip() for line in outcome.lines if line.startswith("  ")]
    # What it repacks on some CPUs has no layers as small as these.
    monkeypatch.setattr("bitsandbytes.nn.modules.has_avx512bf16", lambda: False)
    loaded = {}
    exec("\n".join(line for line in lines if "anchor" not in line), loaded)
    ours = Assistant.load("runs/whole", device="cpu", base=str(project.model)).model
    ids = torch.arange(9)[None]
    with torch.no_grad():
        left, right = ours(input_ids=ids).logits, loaded["model"](input_ids=ids).logits
    assert torch.allclose(left, right, atol=0.05 * right.std())
    assert loaded["base"].is_loaded_in_4bit


@needs_bitsandbytes
def test_a_second_call_trains_nothing_and_other_bits_are_another_run(copied, modified, snapshot):
    before, times = snapshot(RUN), modified(RUN)
    run_recipe(copied.recipe(**NF4))
    assert modified(RUN) == times
    with pytest.raises(RunError, match=r"changed: model\.quantization: 'nf4' -> None\. "):
        run_recipe(copied.recipe(arms=["base", "tell"]))
    assert snapshot(RUN) == before


@needs_bitsandbytes
@pytest.mark.parametrize(("trained", "found"), [("nf4", None), (None, "nf4")])
def test_an_adapter_is_used_on_a_base_in_its_own_bits_alone(
    project, trained_in, trained, found, tmp_path
):
    """What a card says of the bits cannot be changed by hand either."""
    folder = tmp_path / "cell"
    shutil.copytree(trained_in[trained], folder)
    other = fingerprint_model(resolve_model(str(project.model)), quantization=found)
    with pytest.raises(ModelError, match="was trained on 'tiny-llama'" + " in nf4" * bool(trained)):
        check_adapter(folder, other)
    card = read_json(folder / "adapter" / CARD_FILE)
    (folder / "adapter" / CARD_FILE).write_text(json.dumps({**card, "quantization": found}))
    with pytest.raises(ModelError, match="found a base model with hash"):
        Assistant.load(folder / "adapter", device="cpu", base=str(project.model))


@needs_bitsandbytes
def test_a_run_in_4_bits_is_another_cell_than_one_without(trained_in):
    manifests = {kind: read_json(cell / "manifest.json") for kind, cell in trained_in.items()}
    assert "quantization" not in manifests[None]["training"]
    cards = {kind: read_json(cell / "adapter" / CARD_FILE) for kind, cell in trained_in.items()}
    assert cards["nf4"]["base_sha256"] != cards[None]["base_sha256"]
    assert cards["nf4"]["fingerprint"] != cards[None]["fingerprint"]


def test_what_was_made_before_there_were_4_bits_is_used_as_it_was(
    finished_copy, modified, monkeypatch
):
    times = modified(RUN)
    for path in [*RUN.rglob(CARD_FILE), RUN / "result.json"]:
        content = read_json(path)
        place = content["model"] if path.name == "result.json" else content
        assert place.pop("quantization") is None
        path.write_text(json.dumps(content), encoding="utf-8")
    lines = (RUN / "recipe.yaml").read_text("utf-8").splitlines(keepends=True)
    kept = [line for line in lines if "quantization" not in line]
    assert len(kept) == len(lines) - 1
    (RUN / "recipe.yaml").write_text("".join(kept), encoding="utf-8")
    run_recipe(finished_copy.recipe())
    assert modified(RUN) == times
    assert Assistant.load(CELL / "adapter", device="cpu", base=str(finished_copy.model))


def test_choices_tuned_before_there_were_4_bits_still_count():
    inputs = SimpleNamespace(task=SimpleNamespace(sha256="0" * 64), general=[])
    found = {
        quantization: fingerprint_tuning(
            recipe_from_mapping(
                {"task": {"path": "rows.jsonl"}, "model": {"quantization": quantization}}
            ),
            inputs,
            "1" * 64,
            ["training.learning_rate"],
        )
        for quantization in (None, "nf4")
    }
    # From the version before.
    assert found[None] == "547e71ee65b8cbc3fd7dea1aa14eac74985e5576a578ec6a495f82b60ca65591"
    assert found["nf4"] != found[None]


@pytest.mark.parametrize("verb", ["check", "run", "train", "mix"])
def test_without_bitsandbytes_nothing_begins(project, monkeypatch, capsys, verb):
    monkeypatch.setattr(quantization, "find_spec", lambda name: None)
    recipe = project.recipe_file(**NF4)
    before = project.files()
    assert main([verb, recipe]) == 2
    err = capsys.readouterr().err
    assert "model.quantization: nf4 needs bitsandbytes, which is not installed" in err
    assert 'pip install "levertune[quantized]"' in err
    assert err.count("\n") == 1
    assert project.files() == before


def test_an_adapter_in_4_bits_needs_bitsandbytes_too(finished_copy, monkeypatch):
    monkeypatch.setattr(quantization, "find_spec", lambda name: None)
    card = read_json(RUN / "best" / CARD_FILE)
    (RUN / "best" / CARD_FILE).write_text(json.dumps({**card, "quantization": "nf4"}))
    with pytest.raises(ModelError, match="best: its base model: nf4 needs bitsandbytes"):
        Assistant.load(RUN)


def test_vllm_would_answer_with_another_base(project):
    recipe = project.recipe(**NF4, evaluation__backend="vllm")
    with pytest.raises(RecipeError, match="vllm, which would answer with another base"):
        run_recipe(recipe)
    assert not RUN.exists()


def test_fsdp_spreads_no_weights_in_4_bits(project):
    environment = {"ACCELERATE_USE_FSDP": "true", "WORLD_SIZE": "2"}
    with pytest.raises(RecipeError, match="FSDP spreads no weights in 4 bits"):
        require_quantization(project.recipe(**NF4), environment)
    require_quantization(project.recipe(), environment)
