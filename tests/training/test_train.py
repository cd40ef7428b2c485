import copy
import json
import logging
import math
import socket
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from levertune.errors import ModelError, RunError
from levertune.models.hardware import Hardware
from levertune.models.load import load_base_model
from levertune.models.resolve import resolve_model
from levertune.training.train import (
    TrainingConfig,
    count_steps,
    read_summary,
    train_adapter,
)

CONFIG = TrainingConfig(
    learning_rate=5e-3, effective_batch_size=2, logging_steps=2, save_steps=4, lora_dropout=0.1
)
FINGERPRINT = {"data": "abc", "learning_rate": 5e-3}

# Trains as the tests do and is killed, without any clean-up, right after step 7.
KILLED = """
import os, pickle, sys
from pathlib import Path
import torch
from levertune.models.hardware import Hardware
from levertune.models.load import load_base_model
from levertune.models.resolve import resolve_model
from levertune.training.train import train_adapter
model_folder, folder, inputs = sys.argv[1:]
rows, config, fingerprint = pickle.loads(Path(inputs).read_bytes())
cpu = Hardware("cpu", torch.float32)
train_adapter(
    load_base_model(resolve_model(model_folder), cpu), rows, config, Path(folder), hardware=cpu,
    pad_id=2, fingerprint=fingerprint, on_step=lambda step, model: step == 7 and os._exit(9),
)
"""


@pytest.fixture
def train(rows, cpu):
    def train(model, folder, config=CONFIG, *, rows=rows, **options):
        settings = {"hardware": cpu, "pad_id": 2, "fingerprint": FINGERPRINT, **options}
        return train_adapter(model, rows, config, folder, **settings)

    return train


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, tiny_model_folder, rows, cpu):
    """The folder of a training that nothing interrupted."""
    folder = tmp_path_factory.mktemp("unbroken")
    base = load_base_model(resolve_model(str(tiny_model_folder)), cpu)
    train_adapter(base, rows, CONFIG, folder, hardware=cpu, pad_id=2, fingerprint=FINGERPRINT)
    return folder


def weights(folder) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter" / "adapter_model.safetensors")


def assert_same_training(folder, other):
    assert (folder / "train_log.jsonl").read_text() == (other / "train_log.jsonl").read_text()
    left, right = weights(folder), weights(other)
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


class Recorder:
    """A progress display that keeps what it is told."""

    def __init__(self):
        self.stages, self.warnings = [], []

    def warn(self, text):
        self.warnings.append(text)

    def stage(self, name, total, unit="step"):
        self.stages.append([name, total, 0])
        return self

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        return None

    def advance(self, n=1, **info):
        self.stages[-1][2] += n


def interrupt_at(step):
    def on_step(number, model):
        if number == step:
            raise KeyboardInterrupt
        return False

    return on_step


def test_training_lowers_the_loss_and_keeps_its_curve(tiny_model, train, tmp_path, rows):
    config = TrainingConfig(learning_rate=2e-2, effective_batch_size=4, logging_steps=1)
    summary = train(tiny_model, tmp_path, config, rows=rows * 5)
    assert summary.steps == summary.num_steps_planned == count_steps(95, 4) == 24
    assert summary.curve[-1]["loss"] < 0.8 * summary.curve[0]["loss"]
    lines = (tmp_path / "train_log.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == summary.curve
    assert [line["step"] for line in summary.curve] == list(range(1, 25))
    assert summary.curve[0].keys() == {
        "step", "loss", "task_loss", "general_loss", "learning_rate", "grad_norm"
    }  # fmt: skip
    assert summary.seconds > 0
    assert summary.peak_memory_bytes > 0
    assert summary.trainable_parameters > 0
    assert read_summary(tmp_path) == summary


def test_the_learning_rate_warms_up_and_follows_a_cosine(tiny_model, train, tmp_path, rows):
    config = TrainingConfig(
        learning_rate=1e-3, effective_batch_size=2, logging_steps=1, warmup_ratio=0.2
    )
    summary = train(tiny_model, tmp_path, config, rows=rows[:10] * 2)
    rates = [line["learning_rate"] for line in summary.curve]
    assert len(rates) == 10
    assert rates[:3] == pytest.approx([0.0, 5e-4, 1e-3])  # the rate each step was taken with
    cosine = [5e-4 * (1 + math.cos(math.pi * n / 8)) for n in range(8)]
    assert rates[2:] == pytest.approx(cosine)


def test_random_numbers_that_a_hook_draws_are_not_those_of_the_training(
    tiny_model, train, unbroken, tmp_path
):
    def draw(step, model):
        assert not model.training
        torch.rand(step)
        return False

    train(tiny_model, tmp_path / "drawn", on_step=draw)
    assert_same_training(tmp_path / "drawn", unbroken)


def test_the_first_step_is_told_before_it_is_taken(tiny_model, train, tmp_path):
    told = []

    def step_7(step, model):
        told.append(step)
        if step == 7:
            raise KeyboardInterrupt
        return False

    def start(step):
        told.append(("start", step))

    with pytest.raises(KeyboardInterrupt):
        train(tiny_model, tmp_path / "cell", on_step=step_7, on_start=start)
    train(tiny_model, tmp_path / "cell", on_start=start)
    assert told == [("start", 0), *range(1, 8), ("start", 4)]


def test_each_row_is_looked_up_when_its_step_is_taken(tiny_model, train, tmp_path, rows):
    class Rows(list):
        asked = []

        def __getitem__(self, index):
            self.asked.append(index)
            return super().__getitem__(index)

    changing = Rows(rows)
    seen = []

    def record(step, model):
        seen.append(list(Rows.asked))
        Rows.asked.clear()
        return False

    train(tiny_model, tmp_path / "cell", rows=changing, on_step=record)
    assert seen[1:] == [list(range(2 * s - 2, min(2 * s, len(rows)))) for s in range(2, 11)]


@pytest.mark.parametrize("step", [5, 9, 10])
def test_a_training_interrupted_and_resumed_ends_bit_for_bit_as_an_unbroken_one(
    tiny_model, train, unbroken, tmp_path, step
):
    with pytest.raises(KeyboardInterrupt):
        train(tiny_model, tmp_path / "broken", on_step=interrupt_at(step))
    progress = Recorder()
    summary = train(tiny_model, tmp_path / "broken", progress=progress, label="tell seed 0")
    assert summary.resumed_from == step // 4 * 4
    assert summary.seconds is None
    assert summary.steps == 10
    assert progress.stages == [["tell seed 0", 10, 10]]
    assert progress.warnings == []
    assert_same_training(tmp_path / "broken", unbroken)


def test_a_killed_process_leaves_a_training_that_ends_bit_for_bit_as_an_unbroken_one(
    tiny_model, tiny_model_folder, train, unbroken, tmp_path, rows
):
    import pickle

    (tmp_path / "inputs").write_bytes(pickle.dumps((rows, CONFIG, FINGERPRINT)))
    words = [str(tiny_model_folder), str(tmp_path / "killed"), str(tmp_path / "inputs")]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *words], capture_output=True, timeout=200, check=False
    )
    assert done.returncode == 9, done.stderr
    assert not (tmp_path / "killed" / "adapter").exists()
    assert train(tiny_model, tmp_path / "killed").resumed_from == 4
    assert_same_training(tmp_path / "killed", unbroken)


def test_a_training_killed_after_its_last_checkpoint_only_writes_the_adapter(
    tiny_model, train, unbroken, tmp_path, monkeypatch
):
    def fail(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("levertune.training.train._write_adapter", fail)
        with pytest.raises(KeyboardInterrupt):
            train(tiny_model, tmp_path / "broken")
    assert not (tmp_path / "broken" / "adapter").exists()
    summary = train(tiny_model, tmp_path / "broken")
    assert (summary.resumed_from, summary.steps) == (10, 10)
    assert_same_training(tmp_path / "broken", unbroken)


def test_a_half_written_checkpoint_is_passed_over(tiny_model, train, unbroken, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tiny_model, tmp_path / "broken", on_step=interrupt_at(5))
    half = tmp_path / "broken" / "checkpoints" / ".partial" / "checkpoint-8"
    half.mkdir(parents=True)
    (half / "trainer_state.json").write_text('{"global', encoding="utf-8")
    assert train(tiny_model, tmp_path / "broken").resumed_from == 4
    assert_same_training(tmp_path / "broken", unbroken)


def test_a_changed_fingerprint_is_refused_with_what_changed(tiny_model, train, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tiny_model, tmp_path / "cell", on_step=interrupt_at(5))
    changed = {"data": "abd", "learning_rate": 5e-3, "seed": 1}
    message = (
        "^cell: holds checkpoints of another training; changed: data: 'abc' -> 'abd'; "
        "seed: None -> 1. Restore the setting, or name another output_dir"
    )
    with pytest.raises(RunError, match=message):
        train(tiny_model, tmp_path / "cell", fingerprint=changed)
    assert train(tiny_model, tmp_path / "cell").resumed_from == 4


def test_no_rows_are_refused(tiny_model, train, tmp_path):
    with pytest.raises(RunError, match="^train: there is no row to train on"):
        train(tiny_model, tmp_path / "cell", rows=[])
    assert not (tmp_path / "cell").exists()


def state_of(model):
    return {
        "config": copy.deepcopy(model.config.to_dict()),
        "generation": copy.deepcopy(model.generation_config.to_dict()),
        "attributes": set(vars(model)),
        "modules": [type(module).__name__ for module in model.modules()],
        "hooks": sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()),
        "training": {module.training for module in model.modules()},
        "trainable": {name: p.requires_grad for name, p in model.named_parameters()},
    }


@pytest.mark.parametrize("ending", ["well", "interrupted", "no such module"])
def test_the_base_comes_back_as_it_was(tiny_model, train, tmp_path, ending):
    tiny_model.generation_config.eos_token_id = [1, 7]
    before = state_of(tiny_model)
    parameters = {name: p.detach().clone() for name, p in tiny_model.named_parameters()}
    config = CONFIG
    if ending == "well":
        train(tiny_model, tmp_path)
    elif ending == "interrupted":
        with pytest.raises(KeyboardInterrupt):
            train(tiny_model, tmp_path, on_step=interrupt_at(3))
    else:
        config = TrainingConfig(learning_rate=1e-3, lora_target_modules=("c_attn",))
        with pytest.raises(ModelError, match="fits no module"):
            train(tiny_model, tmp_path, config)
    assert state_of(tiny_model) == before
    for name, parameter in tiny_model.named_parameters():
        assert torch.equal(parameter, parameters[name]), name


def test_gradient_checkpointing_changes_no_figure_and_is_switched_off_again(
    tiny_model, train, tmp_path
):
    before = state_of(tiny_model)
    settings = {"learning_rate": 5e-3, "effective_batch_size": 4, "logging_steps": 1}
    plain = train(tiny_model, tmp_path / "plain", TrainingConfig(**settings))
    saving = train(
        tiny_model, tmp_path / "saving", TrainingConfig(**settings, gradient_checkpointing=True)
    )
    assert [line["loss"] for line in saving.curve] == pytest.approx(
        [line["loss"] for line in plain.curve], abs=1e-4
    )
    assert state_of(tiny_model) == before
    assert not any(getattr(m, "gradient_checkpointing", False) for m in tiny_model.modules())


def test_only_adapter_weights_move_and_every_one_of_them(tiny_model, train, tmp_path):
    seen = {}

    def look(step, model):
        seen[step] = {name: p.detach().clone() for name, p in model.named_parameters()}
        assert not model.training
        return False

    train(tiny_model, tmp_path, on_step=look)
    moved = {name for name in seen[1] if not torch.equal(seen[1][name], seen[10][name])}
    assert moved == {name for name in seen[1] if "lora_" in name}


def test_a_later_training_in_one_process_equals_an_earlier_one(
    tiny_model, train, unbroken, tmp_path
):
    other = TrainingConfig(learning_rate=1e-2, seed=5, lora_r=2, effective_batch_size=4)
    train(tiny_model, tmp_path / "other", other)
    train(tiny_model, tmp_path / "again")
    assert_same_training(tmp_path / "again", unbroken)


def test_the_seed_decides_how_the_adapter_starts(tiny_model, train, tmp_path):
    for seed in (0, 1):
        config = TrainingConfig(learning_rate=1e-3, seed=seed)
        train(tiny_model, tmp_path / str(seed), config)
    left, right = weights(tmp_path / "0"), weights(tmp_path / "1")
    assert not any(torch.equal(left[name], right[name]) for name in left)


def test_the_folder_holds_the_adapter_and_the_log_and_nothing_more(tiny_model, train, tmp_path):
    train(tiny_model, tmp_path / "cell")
    files = {
        path.relative_to(tmp_path / "cell").as_posix()
        for path in (tmp_path / "cell").rglob("*")
        if path.is_file()
    }
    assert files == {
        "adapter/adapter_config.json",
        "adapter/adapter_model.safetensors",
        "train_log.jsonl",
        "training.json",
    }
    assert {tensor.dtype for tensor in weights(tmp_path / "cell").values()} == {torch.float32}


def test_a_trial_keeps_no_adapter(tiny_model, train, tmp_path):
    summary = train(tiny_model, tmp_path, keep_adapter=False)
    assert summary.steps == 10
    assert {path.name for path in tmp_path.iterdir()} == {"train_log.jsonl"}


def test_training_asks_no_network_and_prints_nothing(
    tiny_model, train, tmp_path, monkeypatch, capfd
):
    def refuse(*args, **kwargs):
        raise AssertionError("the network was asked")

    tiny_model.config._name_or_path = tiny_model.name_or_path = "owner/model"
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr("peft.utils.save_and_load.check_file_exists_on_hf_hub", refuse)
    monkeypatch.setattr("trl.trainer.base_trainer.send_telemetry", refuse)
    train(tiny_model, tmp_path)
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("transformers").level != logging.ERROR


def test_the_hook_stops_a_training_and_the_last_step_is_logged(tiny_model, train, tmp_path):
    steps = []

    def stop_at_three(step, model):
        steps.append(step)
        return step == 3

    summary = train(tiny_model, tmp_path, on_step=stop_at_three)
    assert steps == [1, 2, 3]
    assert (summary.steps, summary.num_steps_planned) == (3, 10)
    assert [line["step"] for line in summary.curve] == [1, 2, 3]
    assert weights(tmp_path)


def test_bfloat16_training_keeps_the_adapter_in_float32(tiny_model, train, tmp_path):
    config = TrainingConfig(learning_rate=2e-2, effective_batch_size=4, logging_steps=1)
    bfloat16 = Hardware("cpu", torch.bfloat16)
    summary = train(tiny_model.to(torch.bfloat16), tmp_path, config, hardware=bfloat16)
    assert {tensor.dtype for tensor in weights(tmp_path).values()} == {torch.float32}
    assert summary.curve[-1]["loss"] < summary.curve[0]["loss"]
