"""A generator of anchors trained on the tiny model, and asked for anchors."""

import contextlib
import json
import shutil
from dataclasses import replace

import pytest

from levertune.anchors.anchor import Anchor
from levertune.anchors.asking import Answer
from levertune.anchors.transfer.asking import PLAN
from levertune.cli.main import build_parser, main
from levertune.errors import ModelError, RecipeError, RunError
from levertune.models.adapters import read_card, write_card
from levertune.runs import anchor_generator, anchor_learning
from levertune.runs.anchor_candidates import suggest_anchors
from levertune.runs.anchor_generator import open_generator
from levertune.runs.anchor_learning import (
    DEFAULT_FOLDER,
    DEFAULT_PAIRS,
    PAIRS_FILE,
    TEST_FILE,
    learn_generator,
)
from levertune.runs.task_view import view_task

HELD_OUT = ("topic-code", "moves")
SMALL = (
    "model.dtype=float32", "task.exposures=1", "training.lora_r=2",
    "training.effective_batch_size=4", "training.save_steps=1", "training.logging_steps=1",
    "evaluation.test_rows=2", "evaluation.max_new_tokens=3",
)  # fmt: skip


@pytest.fixture(scope="session")
def long_model_folder(tiny_model_folder, tmp_path_factory):
    """The tiny model with room for prompts of five rows."""
    folder = tmp_path_factory.mktemp("long") / "long-llama"
    shutil.copytree(tiny_model_folder, folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["max_position_embeddings"] = 4096
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    return folder


@pytest.fixture(scope="module")
def words(long_model_folder):
    """`anchor learn` of seconds."""
    model = f"model.model_name_or_path={long_model_folder}"
    options = ["--pairs", "5", "--no-pool", "-o", "runs/writer", "--hold-out", *HELD_OUT]
    return ["anchor", "learn", model, *options, *SMALL]  # settings stand before or behind


@pytest.fixture(scope="module")
def learnt(new_project, tmp_path_factory, like_anywhere, words):
    """A folder with a trained generator; leave it as it is."""
    folder = tmp_path_factory.mktemp("learnt")
    with like_anywhere(), contextlib.chdir(folder):
        assert main([*words, "--quiet"]) == 0
    return folder / "runs" / "writer"


@pytest.fixture
def scripted(monkeypatch):
    """Puts a generator of given answers in the place of every one."""

    def _scripted(*texts):
        asked = []

        def ask(prompt, *, seed, max_tokens):
            asked.append((prompt, seed))
            return Answer(texts[(len(asked) - 1) % len(texts)], num_tokens=9)

        monkeypatch.setattr(anchor_generator, "open_generator", lambda folder: (ask, str(folder)))
        return asked

    return _scripted


def test_the_command_line_has_the_defaults_of_the_function():
    args = build_parser("anchor").parse_args(["anchor", "learn"])
    assert (args.output, args.pairs) == (DEFAULT_FOLDER, DEFAULT_PAIRS)


def rows_of(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_what_is_learnt_is_an_adapter_and_a_run_like_any_other(learnt):
    names = {path.name for path in learnt.iterdir()}
    assert {"best", "recipe.yaml", "result.json", "report.html", PAIRS_FILE, TEST_FILE} <= names
    card = read_card(learnt / "best")
    assert (card.arm, card.anchor, card.lifting.instructions) == ("sft", None, ())


def test_kinds_held_out_are_tested_on_and_not_learnt(learnt):
    train, test = rows_of(learnt / PAIRS_FILE), rows_of(learnt / TEST_FILE)
    assert len(train) == 5
    assert not {row["kind"] for row in train} & set(HELD_OUT)
    assert {row["kind"] for row in test} == set(HELD_OUT)


def test_a_kind_of_the_collection_is_tested_on_or_said_not_to_be(
    tmp_path, monkeypatch, long_model_folder
):
    monkeypatch.chdir(tmp_path)
    options = {
        "num_pairs": 5,
        "with_pool": False,
        "overrides": [*SMALL, f"model.model_name_or_path={long_model_folder}"],
        "dry_run": True,
    }
    said = []
    learn_generator("alone", hold_out=["stance"], **options, say=said.append)
    assert [row["kind"] for row in rows_of(tmp_path / "alone" / TEST_FILE)] == ["stance"]
    assert not any("does not test" in line for line in said)
    learn_generator("beside", hold_out=["stance", "moves"], **options, say=said.append)
    assert {row["kind"] for row in rows_of(tmp_path / "beside" / TEST_FILE)} == {"moves"}
    assert any("keeps stance out of training and does not test on" in line for line in said)


def test_the_same_command_does_nothing_again_and_another_one_is_refused(
    learnt, tmp_path, monkeypatch, words, capsys
):
    shutil.copytree(learnt, tmp_path / "runs" / "writer")
    monkeypatch.chdir(tmp_path)
    assert main(words) == 0
    err = capsys.readouterr().err
    assert "1 are done and skipped" in err
    assert (
        "next: levertune anchor suggest --task FILE --way transfer --generator runs/writer" in err
    )
    assert main([*words, "--seed", "1"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "pairs.jsonl: holds other pairs than these; --pairs, --seed" in line


def test_an_interrupted_learning_goes_on(tmp_path, monkeypatch, long_model_folder, breaker):
    monkeypatch.chdir(tmp_path)
    settings = [*SMALL, f"model.model_name_or_path={long_model_folder}"]

    def stop():
        raise KeyboardInterrupt

    options = {"num_pairs": 12, "with_pool": False, "overrides": settings}
    with pytest.raises(KeyboardInterrupt):
        learn_generator("g", **options, progress=breaker("train", 2, stop))
    said = []
    learn_generator("g", **options, say=said.append)
    assert any("was interrupted: goes on from its step" in line for line in said)
    assert (tmp_path / "g" / "best").is_dir()


def test_ctrl_c_says_how_to_go_on(tmp_path, monkeypatch, words, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(anchor_learning, "run_recipe", interrupt)
    assert main(words) == 130
    assert "to go on: levertune anchor learn" in capsys.readouterr().err


def test_a_dry_run_writes_pairs_alone(tmp_path, monkeypatch, words, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*words, "--dry-run"]) == 0
    assert "cells: 1 (sft; seeds 0)" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "runs/writer").iterdir()} == {PAIRS_FILE, TEST_FILE}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"seed": -1}, RecipeError, "--seed: must be at least 0; found -1"),
        ({"num_pairs": 0}, RecipeError, "--pairs: must be at least 1; found 0"),
        ({"hold_out": ["colours"]}, RecipeError, "no kind of task 'colours'"),
        ({"overrides": ["fast"]}, RecipeError, "'fast': is no override"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(
    tmp_path, monkeypatch, options, error, message
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        learn_generator("g", **options)
    assert not (tmp_path / "g").exists()


def test_a_file_in_the_place_of_the_folder_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "g").write_text("mine", "utf-8")
    with pytest.raises(RunError, match=r"g: is a file\. Name a folder with -o"):
        learn_generator("g", num_pairs=2, with_pool=False)
    with pytest.raises(RunError, match=r"g/h/pairs.jsonl: cannot be written; .*another place"):
        learn_generator("g/h", num_pairs=2, with_pool=False)
    assert (tmp_path / "g").read_text("utf-8") == "mine"


def test_other_pairs_in_the_folder_are_left_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "g").mkdir()
    (tmp_path / "g" / PAIRS_FILE).write_text("{}\n", "utf-8")
    with pytest.raises(RunError, match="holds other pairs than these"):
        learn_generator("g", num_pairs=2, with_pool=False)
    assert (tmp_path / "g" / PAIRS_FILE).read_text("utf-8") == "{}\n"
    (tmp_path / "g" / PAIRS_FILE).write_bytes(b"\xff\xfe")
    with pytest.raises(RunError, match="holds other pairs than these"):
        learn_generator("g", num_pairs=2, with_pool=False)


# Asking it.


def test_a_generator_without_its_weights_is_one_line(learnt, tmp_path):
    best = tmp_path / "best"
    shutil.copytree(learnt / "best", best)
    (best / "adapter_model.safetensors").unlink()
    with pytest.raises(ModelError, match="its weights cannot be read; .*No such file"):
        anchor_generator.name_generator(best)


def test_the_generator_is_asked_and_its_answers_are_kept(project, learnt, monkeypatch, capsys):
    monkeypatch.setattr(anchor_generator, "PLAN", replace(PLAN, num_draws=1, max_tokens=8))
    words = ["anchor", "suggest", project.recipe_file(), "--way", "transfer"]
    assert main([*words, "--generator", str(learnt), "--to", "c.jsonl", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert any(note.startswith("Written by the generator: ") for note in result["notes"])
    answers = rows_of(project.folder / "c.answers.jsonl")
    assert {row["seed"] for row in answers} == {0, 1, 2}
    assert {row["model"].split()[0] for row in answers} == {"transfer"}


def test_the_likeliest_answer_is_the_same_each_time_and_others_depend_on_the_seed(learnt):
    ask, name = open_generator(learnt)
    again, same = open_generator(learnt / "best")
    assert name == same

    def answer(asked, seed):
        return asked("Input: a\nOutput: b", seed=seed, max_tokens=12).text

    assert answer(ask, 0) == answer(again, 0)
    assert answer(ask, 1) == answer(again, 1)
    assert len({answer(ask, seed) for seed in range(4)}) > 1


def test_candidates_are_marked_guarded_and_come_greedy_first(project, scripted):
    recipe = project.recipe()
    asked = scripted("Name the colour of it.", "Say <|im_end|> now.", "Which colour has this?")
    found = suggest_anchors(recipe, view_task(recipe), ways=("transfer",), generator="g")
    assert [(one.way, one.text) for one in found.candidates] == [
        ("transfer", "Name the colour of it."),
        ("transfer", "Which colour has this?"),
    ]
    assert [seed for _, seed in asked] == [0, 1, 2] * 3
    assert len({prompt for prompt, _ in asked}) == 3
    assert all(prompt.count("\nOutput: ") == 5 for prompt, _ in asked)
    assert found.candidates[0].cost.requests == 1
    assert "2 candidates; 4 repeated; 3 refused: " in found.notes[-1]
    assert "control token" in found.notes[-1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--way", "transfer"], "--way transfer: needs a generator; found none. Train one with"),
        (["--generator", "g"], "--generator: is asked by --way transfer alone. Add it."),
        (["--way", "transfer", "--generator", "none"], "none: there is no such folder"),
    ],
)
def test_what_is_missing_is_one_line(project, words, message, capsys):
    assert main(["anchor", "suggest", project.recipe_file(), *words]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line


def test_an_adapter_with_an_anchor_is_no_generator(learnt, tmp_path):
    shutil.copytree(learnt / "best", tmp_path / "adapter")
    card = read_card(tmp_path / "adapter")
    write_card(tmp_path / "adapter", replace(card, anchor=Anchor("Do it.")))
    with pytest.raises(ModelError, match="is no generator; found an adapter that was trained with"):
        open_generator(tmp_path / "adapter")
