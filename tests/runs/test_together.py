"""Commands in several processes: one of them leads, writes and prints, and all end together."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from levertune.cli.main import main
from levertune.errors import RecipeError, RunError
from levertune.results.files import read_jsonl
from levertune.runs import helper_processes as helpers
from levertune.runs import jobs, together
from levertune.runs.run import _share_machine
from levertune.training.processes import Team, current_team
from levertune.training.train import train_adapter

SCRIPT = Path(__file__).with_name("one_of_two.py")
TOLERANCE = 1e-4  # three trainings after one another, at a learning rate of 0.01
CELL = Path("runs/whole/arms/tell/seed-0")


@pytest.fixture
def start(project, monkeypatch):
    """Starts `levertune` with words, as a process of its own."""
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path or os.getcwd() for path in sys.path))

    def start(*words, module="levertune.cli.main", **environment):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        command = [sys.executable, "-m", module] if module else [sys.executable, str(SCRIPT)]
        # What started the tests may ignore Ctrl-C, and a program it starts would ignore it too.
        before = signal.signal(signal.SIGINT, signal.SIG_DFL)
        try:
            return subprocess.Popen([*command, *words], env={**os.environ, **environment}, **pipes)
        finally:
            signal.signal(signal.SIGINT, before)

    return start


@pytest.fixture
def start_two(start):
    """Starts the two processes of a command, as a launcher would, one of them with a fault."""

    def start_two(fault, *words):
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(found.getsockname()[1])}
        place |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
        return [
            start(fault, *words, module=None, RANK=str(rank), LOCAL_RANK=str(rank), **place)
            for rank in range(2)
        ]

    return start_two


def finish(process):
    out, err = process.communicate(timeout=900)
    return process.returncode, out, err


def assert_like(folder, other):
    for path in sorted(other.rglob("adapter_model.safetensors")):
        left, right = load_file(folder / path.relative_to(other)), load_file(path)
        assert left.keys() == right.keys()
        for name in left:
            torch.testing.assert_close(left[name], right[name], rtol=0, atol=TOLERANCE)


def files_below(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_run_in_two_processes_leaves_what_a_run_in_one_leaves(project, start, finished):
    """With the trial of sft-steps, whose hook the first process alone calls."""
    process = start("run", project.recipe_file(), "--num-processes", "2")
    status, out, err = finish(process)
    assert status == 0, err
    assert out.count("report: ") == 1
    assert "Traceback" not in err
    assert err.count("cells: 3 ") == 1
    origin, outcome, _ = finished
    whole = origin.folder / outcome.run_dir
    assert files_below(Path("runs/whole")) == files_below(whole)
    assert_like(Path("runs/whole"), whole)


@pytest.mark.slow
@pytest.mark.timeout(1800)  # as below
@pytest.mark.parametrize("launcher", ["torch.distributed.run", "accelerate.commands.launch"])
def test_train_works_under_the_usual_launchers(project, start, finished, launcher):
    number = "--nproc-per-node=2" if launcher.startswith("torch") else "--num_processes=2"
    options = [number] if launcher.startswith("torch") else [number, "--cpu"]
    words = [*options, "-m", "levertune.cli.main", "train", project.recipe_file()]
    status, out, err = finish(start(*words, module=launcher))
    assert status == 0, err
    assert out.splitlines() == [
        f"runs/whole/arms/{a}/seed-0/adapter" for a in ("sft-steps", "tell")
    ]
    origin, outcome, _ = finished
    for arm in ("sft-steps", "tell"):
        cell = f"arms/{arm}/seed-0"
        assert_like(Path("runs/whole") / cell, origin.folder / outcome.run_dir / cell)


FSDP_CONFIG = """\
compute_environment: LOCAL_MACHINE
debug: false
distributed_type: FSDP
downcast_bf16: 'no'
enable_cpu_affinity: false
fsdp_config:
  fsdp_activation_checkpointing: false
  fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP
  fsdp_cpu_ram_efficient_loading: true
  fsdp_offload_params: false
  fsdp_reshard_after_forward: true
  fsdp_state_dict_type: SHARDED_STATE_DICT
  fsdp_version: 2
machine_rank: 0
main_training_function: main
mixed_precision: 'no'
num_machines: 1
num_processes: 2
rdzv_backend: static
same_network: true
tpu_env: []
tpu_use_cluster: false
tpu_use_sudo: false
use_cpu: false
"""
"""What `accelerate config` writes for FSDP 2 and its own answers to all other questions."""


@pytest.mark.slow
@pytest.mark.timeout(1800)  # as below
def test_a_run_under_accelerates_configuration_of_fsdp_is_that_of_one_process(
    project, start, finished, monkeypatch
):
    """Two trainings with what comes after each; the base model is spread for the first alone."""
    Path("fsdp.yaml").write_text(FSDP_CONFIG, encoding="utf-8")
    recipe = project.recipe_file(arms=["base", "sft", "tell"])
    words = ["--config_file", "fsdp.yaml", "-m", "levertune.cli.main", "run", recipe]
    status, out, err = finish(start(*words, module="accelerate.commands.launch"))
    assert status == 0, err
    assert out.count("report: ") == 1
    assert "Traceback" not in err
    origin, outcome, _ = finished
    whole = origin.folder / outcome.run_dir / CELL.relative_to("runs/whole")
    assert files_below(CELL) == files_below(whole)
    assert_like(CELL, whole)
    for name in ("likelihoods", "predictions"):
        left, right = (read_jsonl(place / f"{name}.jsonl") for place in (CELL, whole))
        assert [row["id"] for row in left] == [row["id"] for row in right]
        figures = [[row["nll"] for row in rows] for rows in (left, right)]
        assert figures[0] == pytest.approx(figures[1], rel=1e-2)
    assert (Path("runs/whole/best") / "adapter_model.safetensors").is_file()
    monkeypatch.setattr(together, "train_adapter", None)
    assert main(["run", recipe, "--quiet"]) == 0  # one process finds it done


@pytest.mark.slow
@pytest.mark.timeout(1800)  # as below
def test_under_that_configuration_an_arm_that_needs_the_whole_model_is_refused(project, start):
    """So the run above was spread: without FSDP this arm is trained."""
    Path("fsdp.yaml").write_text(FSDP_CONFIG, encoding="utf-8")
    recipe = project.recipe_file(arms=["sft-steps"])
    words = ["--config_file", "fsdp.yaml", "-m", "levertune.cli.main", "train", recipe]
    status, out, err = finish(start(*words, module="accelerate.commands.launch"))
    assert (status != 0, out) == (True, "")
    assert err.count("error: runs/whole/arms/sft-steps/seed-0/trial: this training looks at ") == 1
    assert "under FSDP no process has the whole model to ask" in err


@pytest.mark.slow
def test_an_error_in_one_process_ends_both_with_one_line(project, start_two):
    recipe = project.recipe_file(arms=["tell"])
    processes = start_two("1", "train", recipe)
    (first, first_out, first_err), (second, _, second_err) = map(finish, processes)
    assert (first, second) == (2, 2)
    assert (first_out, first_err) == ("", "")
    path = CELL / "fault-of-process-1.txt"
    assert second_err == (
        "error: process 1 of 2: RuntimeError: the machine was struck by lightning. The others were "
        f"ended with it; what is done is kept. The traceback: {path}\n"
    )
    assert "in broken" in path.read_text("utf-8")
    kept = sorted(path.name for path in (CELL / "checkpoints").glob("checkpoint-*"))
    assert kept == ["checkpoint-1", "checkpoint-2"]


@pytest.mark.slow
@pytest.mark.timeout(1800)  # a busy machine with two cores takes minutes
def test_a_helper_that_is_killed_ends_the_command_and_the_rerun_goes_on(project, start, finished):
    recipe = project.recipe_file(arms=["tell"], task__exposures=60)
    command = start("train", recipe, "--num-processes", "2", "--quiet")
    [helper] = wait_for_helpers(command)
    wait_for_checkpoint(command)
    helper.kill()
    status, out, err = finish(command)
    assert (status, out) == (2, "")
    assert err == (
        "error: process 0 of 2: lost contact with another process of this training, which was "
        "killed, perhaps for lack of memory. What is done is kept: type the same command again; "
        "fewer processes (--num-processes) need less memory.\n"
    )
    assert main(["train", recipe]) == 0
    assert json.loads((CELL / "training.json").read_text("utf-8"))["resumed_from"] >= 1


@pytest.mark.slow
@pytest.mark.timeout(1800)  # as above
@pytest.mark.parametrize(
    ("number", "ends"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
def test_helpers_end_with_the_command(project, start, number, ends):
    recipe = project.recipe_file(arms=["tell"], task__exposures=60)
    command = start("train", recipe, "--num-processes", "2", "--quiet")
    helpers = wait_for_helpers(command)
    wait_for_checkpoint(command)
    command.send_signal(number)
    status, _, err = finish(command)
    assert not psutil.wait_procs(helpers, timeout=20)[1]
    assert status == ends
    if number != signal.SIGKILL:
        assert err == (
            "interrupted. What is done is kept; to go on: levertune train recipe.yaml "
            "--num-processes 2 --quiet\n"
        )


@pytest.mark.slow
def test_a_fault_of_a_helper_is_said_by_the_command(project, monkeypatch, capfd):
    monkeypatch.setattr(helpers, "HELPER_MODULE", SCRIPT.stem)
    monkeypatch.syspath_prepend(SCRIPT.parent)
    assert main(["train", project.recipe_file(arms=["tell"]), "--num-processes", "2"]) == 2
    path = CELL / "fault-of-process-1.txt"
    out, err = capfd.readouterr()
    assert (out, err) == (
        "",
        "error: process 1 of 2: RuntimeError: the machine was struck by lightning. The others were "
        f"ended with it; what is done is kept. The traceback: {path}\n",
    )
    assert "in broken" in path.read_text("utf-8")


@pytest.mark.slow
@pytest.mark.timeout(1800)  # as above
def test_a_long_training_is_shared_unasked_and_the_process_is_alone_afterwards(
    project, finished, monkeypatch
):
    monkeypatch.setattr(jobs, "_WORTH_WORK", 1)
    monkeypatch.setattr(helpers, "count_cores", lambda: 2)
    sizes = []
    before = dict(os.environ)

    def train(*args, **options):
        sizes.append((current_team().size, torch.get_num_threads()))
        return train_adapter(*args, **options)

    monkeypatch.setattr(together, "train_adapter", train)
    threads = torch.get_num_threads()
    assert main(["train", project.recipe_file()]) == 0
    assert sizes == [(2, 1)] * 3  # sft-steps has a trial
    assert (current_team().size, torch.get_num_threads()) == (1, threads)
    assert {**before, **os.environ} == {**before, "TORCH_CPP_LOG_LEVEL": "ERROR"}
    origin, outcome, _ = finished
    assert_like(CELL, origin.folder / outcome.run_dir / CELL.relative_to("runs/whole"))
    assert json.loads((CELL / "training.json").read_text("utf-8"))["num_processes"] == 2
    assert main(["train", project.recipe_file(), "output_dir=alone", "--num-processes", "1"]) == 0
    assert sizes[3:] == [(1, threads)] * 3


def test_helpers_that_cannot_be_had_are_done_without_unless_asked_for(project, monkeypatch, capfd):
    monkeypatch.setattr(helpers, "HELPER_MODULE", "levertune.none")
    monkeypatch.setattr(helpers, "count_cores", lambda: 2)
    recipe = project.recipe_file(arms=["tell"])
    assert main(["train", recipe, "--num-processes", "2"]) == 2
    reason = "process 1 of 2: ended before it began (exit status 1), perhaps for lack of memory"
    said = f"{reason}. 2 processes were asked for; --num-processes 1 needs no other."
    assert f"error: {said}\n" in capfd.readouterr().err
    with monkeypatch.context() as broken:
        broken.setattr(sys, "executable", "none")
        assert main(["train", recipe, "--num-processes", "2"]) == 2
    assert "error: FileNotFoundError: " in capfd.readouterr().err
    monkeypatch.setattr(jobs, "_WORTH_WORK", 1)
    assert main(["train", recipe]) == 0
    assert f"{reason}. This process trains alone.\n" in capfd.readouterr().err
    assert json.loads((CELL / "training.json").read_text("utf-8"))["num_processes"] == 1


@pytest.mark.slow
def test_memory_that_runs_out_in_one_process_has_the_step_taken_again_by_both(
    project, start_two, finished
):
    recipe = project.recipe_file(arms=["tell"])
    (first, _, err), (second, *silence) = map(finish, start_two("memory", "train", recipe))
    assert (first, second) == (0, 0), err
    assert re.findall(r"step 3: memory ran out; it is taken again, .* instead of \d rows\.\n", err)
    assert err.count("memory ran out") == 1
    assert silence == ["", ""]
    origin, outcome, _ = finished
    assert_like(CELL, origin.folder / outcome.run_dir / CELL.relative_to("runs/whole"))


@pytest.mark.slow
def test_a_training_that_diverges_costs_both_processes_that_cell_alone(project, start_two):
    recipe = project.recipe_file(arms=["tell", "sft"])
    processes = start_two("nan", "run", recipe)
    (first, _, err), (second, *silence) = map(finish, processes)
    assert re.findall(r"DivergedError: step 1: the loss is nan", err)
    assert err.count("error: ") == 1  # no cell finished
    assert (first, second) == (2, 2)
    assert silence == ["", ""]
    for arm in ("tell", "sft"):
        assert (Path("runs/whole/arms") / arm / "seed-0" / "failure.json").is_file()


@pytest.mark.slow
def test_a_mistake_of_the_user_is_said_once(project, start):
    status, out, err = finish(start("train", "none.yaml", "--num-processes", "2"))
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("error: none.yaml")


def wait_for_helpers(command):
    parent = psutil.Process(command.pid)
    deadline = time.monotonic() + 900
    while time.monotonic() < deadline and command.poll() is None:
        if children := parent.children():
            return children
        time.sleep(0.05)
    raise AssertionError(command.communicate())


def wait_for_checkpoint(command):
    deadline = time.monotonic() + 900
    while time.monotonic() < deadline and command.poll() is None:
        if list((CELL / "checkpoints").glob("checkpoint-*/trainer_state.json")):
            return
        time.sleep(0.05)
    raise AssertionError(command.communicate())


def test_cells_at_once_and_processes_that_share_a_cell_exclude_each_other(monkeypatch):
    monkeypatch.setattr("levertune.runs.run.current_team", lambda: Team(0, 2))
    with pytest.raises(RecipeError, match="^--jobs 4: 2 processes train each cell together"):
        _share_machine(None, 4, None)
    assert _share_machine(None, "auto", None).count == 1
    monkeypatch.setattr("levertune.runs.run.current_team", Team)
    with pytest.raises(RecipeError, match="^--jobs 4: 2 processes train each cell together"):
        _share_machine(None, 4, 2)


@pytest.mark.parametrize(
    ("version", "message"),
    [("1", "^fsdp_version: must be 2"), ("2", "^cell: this training looks at held-out rows")],
)
def test_what_fsdp_cannot_do_is_refused_before_anything_is_sent(monkeypatch, version, message):
    monkeypatch.setattr(together, "current_team", lambda: Team(0, 2))
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_VERSION", version)
    with pytest.raises(RunError, match=message):
        together.train_together(
            None, None, 1, [], None, Path("cell"), tokens=1, on_step=lambda step, model: False
        )
