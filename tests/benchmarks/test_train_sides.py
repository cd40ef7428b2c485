"""The sides of the training benchmark: the same rows and settings for each."""

import contextlib
import json
import shutil
import subprocess
import sys
import time

import pytest
import yaml
from benchmarks.train.bench import Bench, Work
from benchmarks.train.measuring import FailedError, Measured, TreeMemory, run_together
from benchmarks.train.mixtures import CASES, export, read_rows, write_recipe
from benchmarks.train.sides import SIDES, find_sides, write_config

STEPS = 3


@pytest.fixture(scope="module")
def model(tmp_path_factory, tiny_model_folder):
    """The tiny model with room for rows counted in bytes."""
    folder = tmp_path_factory.mktemp("roomy") / "tiny"
    shutil.copytree(tiny_model_folder, folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["max_position_embeddings"] = 8192
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    return folder


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, model, tiny_tokenizer):
    folder = tmp_path_factory.mktemp("bench") / "short"
    return write_recipe(
        CASES["short"], STEPS, folder, model=model, dtype="float32", tokenizer=tiny_tokenizer
    )


@pytest.fixture(scope="module")
def work(recipe, like_anywhere):
    with like_anywhere():
        return Work(recipe, read_rows(recipe), CASES["short"].batch)


def left(work, **changes):
    """What one process of a side leaves."""
    return {
        "ends": [10.0 + 2 * n for n in range(STEPS)],
        "losses": {"1": 4.0, str(STEPS): 3.0},
        "tokens": [{"real": sum(len(row.input_ids) for row in step)} for step in work.steps],
        "peak_device_bytes": None,
        **changes,
    }


@pytest.mark.parametrize("name", CASES)
def test_a_case_fills_its_steps_exactly(name, tmp_path, model, tiny_tokenizer):
    case = CASES[name]
    recipe = write_recipe(
        case, 2, tmp_path / name, model=model, dtype="float32", tokenizer=tiny_tokenizer
    )
    settings = yaml.safe_load(recipe.read_text("utf-8"))
    task, general = (
        [json.loads(line) for line in (recipe.parent / f"{kind}.jsonl").open(encoding="utf-8")]
        for kind in ("task", "general")
    )
    rows = len(task) * settings["task"]["exposures"] + len(general)
    assert rows == 2 * case.batch == 2 * settings["training"]["effective_batch_size"]
    assert 2 % settings["training"]["logging_steps"] == 0
    for row in general:
        assert [turn["role"] for turn in row["messages"]] == ["system", "user", "assistant"]
        text = " ".join(turn["content"] for turn in row["messages"])
        assert len(tiny_tokenizer.encode(text)) >= (case.general_tokens or 1)


def test_more_steps_than_there_are_rows_are_refused(tmp_path, model, tiny_tokenizer):
    with pytest.raises(SystemExit, match="--steps 200: the shipped rows are too few"):
        write_recipe(
            CASES["short"], 200, tmp_path / "x", model=model, dtype="float32",
            tokenizer=tiny_tokenizer,
        )  # fmt: skip


def test_every_trainer_is_given_the_rows_in_one_order(
    work, tmp_path, tiny_tokenizer, like_anywhere
):
    with like_anywhere():
        folder = export(work.recipe, "ms-swift", tmp_path / "out")
    answers = [
        json.loads(line)["messages"][-1]["content"] for line in (folder / "train.jsonl").open()
    ]
    ours = [tiny_tokenizer.decode_all(row.input_ids) for row in work.rows]
    assert len(answers) == len(ours) == STEPS * 8
    assert all(f"{answer}<|im_end|>" in text for answer, text in zip(answers, ours, strict=True))


def test_a_side_is_set_as_exported_but_for_what_it_names(work, tmp_path, like_anywhere):
    with like_anywhere():
        configs = {
            name: yaml.safe_load(
                write_config(
                    SIDES[name], work.recipe, tmp_path / name, use_cpu=True
                ).read_text("utf-8")
            )
            for name in ("levertune", "trl-defaults", "trl-tuned", "ms-swift")
        }  # fmt: skip
    tuned, defaults = configs["trl-tuned"], configs["trl-defaults"]
    assert tuned["gradient_checkpointing"] is False
    changed = {"dtype", "bf16", "fp16", "gradient_checkpointing"}
    assert {key: value for key, value in tuned.items() if key not in changed} == defaults
    assert configs["ms-swift"]["template"] == "chatml"
    assert all(configs[n]["logging_first_step"] for n in configs if n != "levertune")
    assert configs["levertune"]["output_dir"].startswith(str(tmp_path))


def test_a_side_without_an_interpreter_is_named_with_the_reason(tmp_path):
    swift, factory, own = find_sides(
        ["ms-swift", "llama-factory", "levertune"],
        {"ms_swift": None, "llamafactory": str(tmp_path / "none")},
    )
    assert swift.why_not == "--ms-swift names no Python that has it"
    assert factory.why_not == "--llamafactory: there is no such file"
    assert own.why_not is None
    [there] = find_sides(["ms-swift"], {"ms_swift": sys.executable})
    assert there.python == sys.executable


def test_throughput_is_that_of_the_steps_after_the_warm_up(work):
    timed = [row for step in work.steps[1:] for row in step]
    tokens = sum(len(row.input_ids) for row in timed)
    one = work.throughput(Measured([left(work)], 5, []), warmup=1)
    assert one["tokens_per_second"] == pytest.approx(tokens / 4)
    assert (one["first_loss"], one["final_loss"], one["peak_bytes"]) == (4.0, 3.0, 5)
    two = work.throughput(Measured([left(work), left(work)], 5, []), warmup=1)
    assert two["tokens_per_second"] == pytest.approx(tokens / 2)


def test_a_training_that_left_rows_out_is_not_counted(work):
    short = left(work, ends=[1.0, 2.0])
    with pytest.raises(FailedError, match="took 2 steps instead of 3"):
        work.throughput(Measured([short], 5, []), warmup=1)
    cut = left(work)
    cut["tokens"][1]["real"] -= 1
    with pytest.raises(FailedError, match=r"trained on \d+ tokens instead of \d+ in step 2"):
        work.throughput(Measured([cut], 5, []), warmup=1)


def test_sharing_leaves_the_rows_as_long_as_they_are(work):
    plain, shared = work.shapes(shared=False), work.shapes(shared=True)
    assert [step.lengths for step in plain] == [step.lengths for step in shared]
    assert all(step.tokens == sum(step.lengths) for step in plain)
    assert all(few.tokens < all_.tokens for few, all_ in zip(shared, plain, strict=True))


def test_a_process_that_fails_is_told_with_what_it_said_last():
    with pytest.raises(FailedError, match=r"(?s)ended with status 1:.*FileNotFoundError"):
        run_together(sys.executable, "losses", [("nowhere.json",)])


def test_memory_is_that_of_a_process_and_all_it_starts():
    held = 80_000_000
    child = f"import time; held = bytearray({held}); time.sleep(30)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    process = subprocess.Popen([sys.executable, "-c", parent], start_new_session=True)
    with contextlib.ExitStack() as stack:
        stack.callback(process.wait)
        stack.callback(_end, process)
        memory = stack.enter_context(TreeMemory([process.pid]))
        deadline = time.monotonic() + 20
        while memory.peak_bytes < held and time.monotonic() < deadline:
            time.sleep(0.05)
    assert memory.peak_bytes >= held


def _end(process):
    import psutil

    for child in psutil.Process(process.pid).children():
        child.kill()
    process.kill()


@pytest.mark.slow
def test_levertune_and_trl_begin_at_the_loss_of_the_base_model(
    model, tmp_path, monkeypatch, capsys
):
    """Two sides on the tiny model, through their own commands."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    bench = Bench(tmp_path / "work", model, "float32", "cpu", warmup=1)
    ready = find_sides(["levertune", "trl-tuned", "ms-swift"], {})
    result = bench.measure(CASES["short"], ready, rounds=1, steps=STEPS)
    assert "short, round 1, trl-tuned" in capsys.readouterr().out
    assert list(result.not_run) == ["ms-swift"]
    ours, trl = result.summaries
    assert (ours.tail, trl.tail) == (0, 8)  # the line end after each answer
    for row in (ours, trl):
        assert row.note == ""
        assert row.loss_difference == pytest.approx(0.0, abs=1e-4)
        assert row.peak_bytes > 10**8
    assert result.runs[0]["trainable"] == result.runs[1]["trainable"]


@pytest.mark.slow
def test_the_profile_names_the_operators_of_a_step(model, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    bench = Bench(tmp_path / "work", model, "float32", "cpu", warmup=1)
    [ready] = find_sides(["levertune"], {})
    assert "aten::" in bench.profile(CASES["short"], ready, STEPS + 1)
