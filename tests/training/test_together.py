"""Two processes on a CPU train as one does, whatever became of the training in between."""

import json
import os
import pickle
import shutil
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from levertune.models.load import load_base_model
from levertune.models.resolve import resolve_model
from levertune.training.train import TrainingConfig, read_summary, train_adapter

SCRIPT = Path(__file__).with_name("one_of_two.py")
# 19 rows: six steps of three, which two processes share unequally, and one of a single row.
CONFIG = TrainingConfig(
    learning_rate=5e-3,
    effective_batch_size=3,
    general_loss_weight=0.5,
    logging_steps=1,
    save_steps=2,
)
STEPS = 7
MAX_TOKENS = 14
TOLERANCE = 1e-5
"""Largest difference of a weight; weights are up to 0.2. Sums are taken in another order."""

FSDP = {  # what `accelerate launch` sets for a stock configuration of FSDP2
    "ACCELERATE_USE_FSDP": "true",
    "ACCELERATE_MIXED_PRECISION": "no",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_CPU_RAM_EFFICIENT_LOADING": "true",
    "FSDP_OFFLOAD_PARAMS": "false",
    "FSDP_RESHARD_AFTER_FORWARD": "true",
    "FSDP_STATE_DICT_TYPE": "SHARDED_STATE_DICT",
}


class StopError(Exception):
    pass


def train_alone(model_folder, rows, folder, cpu, *, stop_at=None):
    def stop(step, model):
        if step == stop_at:
            raise StopError
        return False

    base = load_base_model(resolve_model(str(model_folder)), cpu)
    settings = {"hardware": cpu, "pad_id": 2, "fingerprint": {"data": "abc"}}
    return train_adapter(base, rows, CONFIG, folder, on_step=stop if stop_at else None, **settings)


def train_in_two(model_folder, rows, folder, trainings, **environment):
    """Do trainings, `(folder, step to break at)` each, one after the other in two processes."""
    (folder / "inputs").write_bytes(pickle.dumps((rows, CONFIG, trainings, MAX_TOKENS)))
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    environment = {
        **os.environ,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
        **environment,
    }
    words = [sys.executable, str(SCRIPT), str(model_folder), str(folder)]
    processes = [
        subprocess.Popen(
            words,
            env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        printed = [process.communicate(timeout=900) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert printed == [("", ""), ("", "")]
    assert [process.returncode for process in processes] == [0, 0]


@pytest.fixture(scope="module")
def alone(tmp_path_factory, tiny_model_folder, rows, cpu):
    """Trainings in one process: a whole one, and one that broke after step 5."""
    folder = tmp_path_factory.mktemp("alone")
    train_alone(tiny_model_folder, rows, folder / "whole", cpu)
    with pytest.raises(StopError):
        train_alone(tiny_model_folder, rows, folder / "broken", cpu, stop_at=5)
    return folder


def in_two(tmp_path_factory, model_folder, rows, alone, **environment):
    folder = tmp_path_factory.mktemp("two")
    shutil.copytree(alone / "broken", folder / "from-one")
    trainings = [("whole", None), ("broken", 5), ("from-one", None)]
    train_in_two(model_folder, rows, folder, trainings, **environment)
    return folder


@pytest.fixture(scope="module")
def two(tmp_path_factory, tiny_model_folder, rows, alone):
    """In two processes: a whole training, a broken one, and the rest of what one process began."""
    return in_two(tmp_path_factory, tiny_model_folder, rows, alone)


@pytest.fixture(scope="module")
def spread(tmp_path_factory, tiny_model_folder, rows, alone):
    """The same with FSDP2."""
    return in_two(tmp_path_factory, tiny_model_folder, rows, alone, **FSDP)


@pytest.fixture(params=["two", pytest.param("spread", marks=pytest.mark.slow)])
def folder(request):
    return request.getfixturevalue(request.param)


def lines(folder, name, rank):
    text = (folder / f"{name}-{rank}.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def assert_like(folder, other):
    left, right = (
        load_file(place / "adapter" / "adapter_model.safetensors") for place in (folder, other)
    )
    assert left.keys() == right.keys()
    for name, weights in left.items():
        torch.testing.assert_close(weights, right[name], rtol=0, atol=TOLERANCE)
    logs = [
        [json.loads(line) for line in (place / "train_log.jsonl").read_text("utf-8").splitlines()]
        for place in (folder, other)
    ]
    assert [line["step"] for line in logs[0]] == list(range(1, STEPS + 1))
    for one, another in zip(*logs, strict=True):
        assert one == pytest.approx(another, rel=1e-4)


def test_two_processes_end_in_the_adapter_of_one(folder, alone):
    assert_like(folder / "whole", alone / "whole")


def test_every_position_is_trained_exactly_once(folder, rows):
    for name, first in (("whole", 0), ("from-one", 4)):
        seen = [
            Counter(
                (step, row)
                for place, step, ids in lines(folder, "rows", rank)
                if Path(place).parent.name == name
                for row in ids
            )
            for rank in range(2)
        ]
        expected = Counter(
            (position // 3, row.id) for position, row in enumerate(rows) if position >= 3 * first
        )
        assert seen[0] + seen[1] == expected, name
        assert all(seen)


def test_the_processes_hold_the_same_weights_before_each_step(folder):
    both = [lines(folder, "steps", rank) for rank in range(2)]
    assert both[0] == both[1]
    assert len({total for place, _, total, _ in both[0] if "whole" in place}) == STEPS


def test_fsdp_spreads_the_weights_and_ddp_does_not(request, folder, two):
    spread = {count for *_, count in lines(folder, "steps", 0)}
    assert spread == {0} if folder == two else min(spread) > 0


def test_one_process_goes_on_from_the_checkpoint_of_two(
    folder, alone, rows, tiny_model_folder, cpu, tmp_path
):
    shutil.copytree(folder / "broken", tmp_path / "broken")
    summary = train_alone(tiny_model_folder, rows, tmp_path / "broken", cpu)
    assert summary.resumed_from == 4
    assert_like(tmp_path / "broken", alone / "whole")


def test_two_processes_go_on_from_the_checkpoint_of_one(folder, alone):
    assert read_summary(folder / "from-one").resumed_from == 4
    assert_like(folder / "from-one", alone / "whole")


def test_a_checkpoint_of_two_processes_has_the_files_of_one(folder, alone):
    def files(place):
        return {path.relative_to(place) for path in place.rglob("*") if path.is_file()}

    assert files(folder / "broken") == files(alone / "broken")
    assert files(folder / "whole") == files(alone / "whole")
