"""Whole runs with an anchor that is shortened: trained, tested, served, exported, resumed."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from levertune.data.records import Message, Record
from levertune.models.adapters import read_card
from levertune.progress import SilentProgress
from levertune.results.schema import read_result
from levertune.runs.arms import ARMS
from levertune.runs.cells import CellPlan
from levertune.runs.prepare import prepare_run
from levertune.runs.run import run_recipe
from levertune.runs.stages import mix_stage
from levertune.runs.train_cell import train_cell
from levertune.serving.adapter import Assistant

RUN = Path("runs/whole")
INSTRUCTION = "Say which colour is meant here, please. Write one word and nothing else."
LAST = "Be of use."
"""What the tiny model's template says where a row has no system turn."""


@pytest.fixture
def annealed(project):
    """A recipe whose rows share an instruction, which is dropped at times and shortened."""
    lines = (project.folder / "task.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    project.write("task.jsonl", [(f"{INSTRUCTION}\n{r['prompt']}", r["completion"]) for r in rows])

    def make(**changes):
        settings = {
            "task__test": "cv:2",
            "task__exposures": 4,
            "anchor__schedule": "anneal",
            "anchor__served_tokens": 6,
            "anchor__dropout": 0.25,
            "arms": ["tell"],
        }
        return project.recipe(**{**settings, **changes})

    return make


def test_every_fold_is_tested_and_the_last_adapter_served_with_the_short_form(annealed):
    run_recipe(annealed())
    card = read_card(RUN / "best")
    short = card.anchor.text
    assert INSTRUCTION.startswith(short)
    assert len(short) < len("Say which colour is meant here, please.")
    for fold in (0, 1):
        lines = (RUN / f"arms/tell/seed-0/fold-{fold}/predictions.jsonl").read_text("utf-8")
        prompts = [json.loads(line)["prompt"] for line in lines.splitlines()]
        assert len(prompts) == 6
        assert all(prompt.startswith(f"{short}\n") for prompt in prompts)
        assert not any("here" in prompt for prompt in prompts)
    assert read_card(RUN / "final/tell/seed-0/adapter") == card
    shown = read_result(RUN).anchor
    assert (shown.text, shown.dropout) == (INSTRUCTION, 0.25)
    assert 0 < shown.served_tokens <= 6 < shown.tokens
    assert f"served with {shown.served_tokens}" in (RUN / "report.html").read_text("utf-8")
    # A request that still carries the whole instruction gets the short form alone, once.
    assistant = Assistant.load(RUN / "best", base=annealed().model.model_name_or_path)
    for asked in (f"{INSTRUCTION}\na lemon", "a lemon"):
        example = assistant.prepare(Record("1", "asked", (Message("user", asked),), ""))
        assert [turn.content for turn in example.messages] == [f"{short}\na lemon"]


def test_a_system_turn_is_shortened_and_goes_at_the_end_with_its_lead_in(annealed):
    recipe = annealed(
        anchor__placement="system",
        anchor__served_tokens=0,
        anchor__lead_in="It is",
        anchor__dropout=0.0,
    )
    prepared = prepare_run(recipe)
    cell = prepared.build(CellPlan(ARMS["tell"], 0, 0))
    seen = []
    for row in cell.rows:
        text = prepared.workspace.tokenizer.decode_all(row.input_ids)
        if row.source == "task":
            system = text.split("<|im_start|>system\n")[1].split("<|im_end|>")[0]
            assert ("assistant\nIt is" in text) == (system != LAST)
            seen.append(system)
    assert seen[0] == INSTRUCTION
    assert seen[-1] == LAST
    forms = list(dict.fromkeys(seen))
    assert forms[-1] == LAST
    assert all(INSTRUCTION.startswith(form) for form in forms[:-1])
    assert all(len(after) < len(before) for before, after in pairwise(forms[:-1]))
    assert len(forms) >= 3


def test_an_export_holds_the_form_of_each_position(annealed):
    recipe = annealed(task__test="test.jsonl")
    folder = mix_stage(recipe, arm="tell", to="jsonl")[-1]
    lines = (folder / "mixture.jsonl").read_text("utf-8").splitlines()
    prepared = prepare_run(recipe)
    cell = prepared.build(CellPlan(ARMS["tell"], 0))
    tokenizer = prepared.workspace.tokenizer
    assert len(lines) == len(cell.rows)
    shown = set()
    for line, row in zip(map(json.loads, lines), cell.rows, strict=True):
        [turn] = line["prompt"]
        assert f"user\n{turn['content']}<|im_end|>" in tokenizer.decode_all(row.input_ids)
        if line["source"] == "task":
            assert line["anchored"] == ("\n" in turn["content"])
            shown.add(turn["content"].rpartition("\n")[0])
    stages = [stage.anchor.text for stage in cell.choice.stages]
    assert shown == {"", *stages}
    readme = (folder / "README.md").read_text("utf-8")
    last = cell.choice.stages[-1]
    assert f"| anchor from {last.start:.0%} | `{last.anchor.text}` |" in readme


def test_an_interrupted_training_ends_with_the_bits_of_an_unbroken_one(annealed, breaker):
    recipe = annealed(task__test="test.jsonl")

    def interrupt():
        raise KeyboardInterrupt

    def train(folder, progress):
        prepared = prepare_run(recipe)
        cell = prepared.build(CellPlan(ARMS["tell"], 0))
        return train_cell(prepared.recipe, prepared.workspace, cell, Path(folder), progress)

    train("unbroken", SilentProgress())
    with pytest.raises(KeyboardInterrupt):
        train("broken", breaker("train tell", 8, interrupt))  # the second form has begun
    assert train("broken", SilentProgress()).resumed_from in (7, 8)
    for name in ("adapter/adapter_model.safetensors", "adapter/levertune.json", "manifest.json"):
        assert Path("broken", name).read_bytes() == Path("unbroken", name).read_bytes()


def test_an_anchor_that_is_short_already_is_not_said_to_be_shortened(annealed):
    short = chosen(annealed, 200)
    assert short.served == short.anchor
    assert short.reason.endswith("; short enough to be served whole")
    assert "; shortened while training to " in chosen(annealed, 6).reason


def chosen(annealed, served):
    prepared = prepare_run(annealed(anchor__served_tokens=served))
    return prepared.build(CellPlan(ARMS["tell"], 0, 0)).choice
