"""A step holds `effective_batch_size` rows whatever GPUs and launchers there are."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from levertune.cli.main import main
from levertune.errors import RunError
from levertune.models.hardware import Hardware
from levertune.training.arguments import make_arguments
from levertune.training.processes import (
    Team,
    count_processes,
    read_rank,
    refuse_several_processes,
    share_rows,
)
from levertune.training.sharded import require_version_2
from levertune.training.train import TrainingConfig, train_adapter

CONFIG = TrainingConfig(learning_rate=1e-3, effective_batch_size=4)


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_several_visible_gpus_do_not_multiply_the_step(tmp_path, monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    arguments = make_arguments(
        CONFIG, 10, tmp_path, Hardware(device, torch.float32), mixed_precision=False
    )
    assert arguments.n_gpu <= 1
    assert arguments.train_batch_size == 4
    assert arguments.parallel_mode.value == "not_parallel"


@pytest.mark.parametrize("name", ["WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE"])
def test_several_processes_that_have_not_met_are_refused_in_one_line(name):
    message = f"{name}: only the commands `levertune train` and .*; found 2. Start "
    with pytest.raises(RunError, match=message) as caught:
        refuse_several_processes({name: "2"})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["1", "0", "", "many"])
def test_one_process_is_not(value):
    refuse_several_processes({"WORLD_SIZE": value})
    refuse_several_processes({})
    assert count_processes({"WORLD_SIZE": value}) == 1


def test_a_launcher_says_how_many_processes_there_are_and_which_this_is():
    assert count_processes({"OMPI_COMM_WORLD_SIZE": "3", "OMPI_COMM_WORLD_RANK": "2"}) == 3
    assert read_rank({"OMPI_COMM_WORLD_SIZE": "3", "OMPI_COMM_WORLD_RANK": "2"}) == 2
    assert read_rank({"WORLD_SIZE": "3", "RANK": "0"}) == 0


def test_a_training_among_several_processes_does_nothing(tiny_model, rows, cpu, tmp_path, patch):
    with pytest.raises(RunError, match="WORLD_SIZE: only the commands"):
        train_adapter(
            tiny_model, rows, CONFIG, tmp_path / "cell", hardware=cpu, pad_id=2, fingerprint={}
        )
    assert not (tmp_path / "cell").exists()


@pytest.mark.parametrize("verb", ["tune", "mix", "eval"])
def test_other_commands_among_several_processes_write_nothing(project, capsys, patch, verb):
    recipe = project.recipe_file()
    before = project.files()
    assert main([verb, recipe]) == 2
    assert capsys.readouterr().err.startswith("error: WORLD_SIZE: only the commands")
    assert project.files() == before


@given(lengths=st.lists(st.integers(1, 300), max_size=40), size=st.integers(1, 9))
def test_every_row_of_a_step_is_in_one_share_and_the_shares_are_about_equal(lengths, size):
    shares = share_rows(lengths, size)
    assert len(shares) == size
    assert sorted(i for share in shares for i in share) == list(range(len(lengths)))
    tokens = [sum(lengths[i] for i in share) for share in shares]
    assert max(tokens) - min(tokens) <= max(lengths, default=0)


def test_alone_a_process_agrees_with_itself():
    team = Team()
    assert team.leads
    assert team.send(3) == 3
    assert team.lead(lambda: 4) == 4
    assert team.gather(5) == [5]
    assert team.largest(7) == 7


def test_fsdp_of_the_first_version_is_refused():
    with pytest.raises(RunError, match="^fsdp_version: must be 2; found '1'"):
        require_version_2({"FSDP_VERSION": "1"})
    require_version_2({"FSDP_VERSION": "2"})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--num-processes", "0"], "must be a number from 1; found '0'"),
        (["--num-processes", "two"], "must be a number from 1; found 'two'"),
    ],
)
def test_a_wrong_number_of_processes_is_refused(project, capsys, words, message):
    assert main(["train", project.recipe_file(), *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rank", "err"), [("0", "error: --num-processes 3: a launcher has"), ("1", "")]
)
def test_the_option_must_agree_with_the_launcher(project, capsys, patch, monkeypatch, rank, err):
    monkeypatch.setenv("RANK", rank)
    assert main(["train", project.recipe_file(), "--num-processes", "3"]) == 2
    assert capsys.readouterr().err.startswith(err)


@pytest.fixture
def patch(monkeypatch):
    """The second of two ranks."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
