"""A step holds `effective_batch_size` rows whatever GPUs and launchers there are."""

import pytest
import torch

from levertune.cli.main import main
from levertune.errors import RunError
from levertune.models.hardware import Hardware
from levertune.training.arguments import make_arguments
from levertune.training.processes import refuse_several_processes
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
def test_several_processes_are_refused_in_one_line(name):
    message = f"{name}: training in several processes is not supported yet; found 2. Start "
    with pytest.raises(RunError, match=message) as caught:
        refuse_several_processes({name: "2"})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["1", "0", "", "many"])
def test_one_process_is_not(value):
    refuse_several_processes({"WORLD_SIZE": value})
    refuse_several_processes({})


def test_a_training_among_several_processes_does_nothing(tiny_model, rows, cpu, tmp_path, patch):
    with pytest.raises(RunError, match="WORLD_SIZE: training in several processes"):
        train_adapter(
            tiny_model, rows, CONFIG, tmp_path / "cell", hardware=cpu, pad_id=2, fingerprint={}
        )
    assert not (tmp_path / "cell").exists()


@pytest.mark.parametrize("verb", ["run", "train", "tune"])
def test_a_command_among_several_processes_writes_nothing(project, capsys, patch, verb):
    recipe = project.recipe_file()
    before = project.files()
    assert main([verb, recipe]) == 2
    assert capsys.readouterr().err.startswith("error: WORLD_SIZE: training in several processes")
    assert project.files() == before


@pytest.fixture
def patch(monkeypatch):
    """The second of two ranks."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
