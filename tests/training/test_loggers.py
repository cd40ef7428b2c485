"""`training.report_to`: what trackers get, and that a tracker that is missing is said at once."""

from dataclasses import replace

import pytest
from transformers import TrainerCallback, integrations
from transformers.integrations import integration_utils

from levertune.errors import RecipeError
from levertune.training.train import TrainingConfig, train_adapter

CONFIG = TrainingConfig(learning_rate=1e-3, effective_batch_size=5, logging_steps=2)


@pytest.fixture
def train(tiny_model, rows, cpu, tmp_path):
    """Trains with these trackers and gives the summary."""

    def _train(*report_to, folder=tmp_path, **options):
        config = replace(CONFIG, report_to=report_to)
        settings = {"hardware": cpu, "pad_id": 2, "fingerprint": {}, **options}
        return train_adapter(tiny_model, rows, config, folder, **settings)

    return _train


@pytest.fixture
def tracker(monkeypatch):
    """Puts a stand-in in the place of a tracker's callback; gives what it was told."""

    def register(name):
        told = {"names": [], "lines": [], "ends": 0}

        class StandIn(TrainerCallback):
            def on_train_begin(self, args, state, control, **kwargs):
                told["names"].append(args.run_name)

            def on_log(self, args, state, control, logs=None, **kwargs):
                told["lines"].append({"step": state.global_step, **logs})

            def on_train_end(self, args, state, control, **kwargs):
                told["ends"] += 1

        monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, name, StandIn)
        available = [*integrations.get_available_reporting_integrations(), name]
        monkeypatch.setattr(integrations, "get_available_reporting_integrations", lambda: available)
        return told

    return register


@pytest.mark.parametrize("name", ["trackio", "wandb"])
def test_a_tracker_gets_every_line_of_the_curve_under_the_trainings_name(train, tracker, name):
    told = tracker(name)
    summary = train(name, run_name="whole/tell seed 0")
    assert told["names"] == ["whole/tell seed 0"]
    assert told["ends"] == 1
    lines = [line for line in told["lines"] if "loss" in line]
    assert len(lines) == len(summary.curve) == 3
    for line, point in zip(lines, summary.curve, strict=True):
        assert point.items() <= line.items()
    assert {"task_loss", "general_loss"} <= lines[0].keys()


def test_several_trackers_are_told_the_same(train, tracker):
    told = [tracker("trackio"), tracker("wandb")]
    train("trackio", "wandb", run_name="whole/tell seed 1")
    assert told[0] == told[1]
    assert told[0]["lines"]


def test_no_tracker_is_told_anything_unasked(train, tracker):
    told = [tracker("trackio"), tracker("wandb")]
    train()
    assert all(not one["lines"] and not one["names"] for one in told)


def test_tensorboard_gets_the_curve_and_its_files_stay(train, tmp_path):
    train("tensorboard")
    (events,) = (tmp_path / "checkpoints").rglob("events.out.tfevents.*")
    written = events.read_bytes()
    for name in (b"train/loss", b"train/task_loss", b"train/general_loss", b"train/learning_rate"):
        assert written.count(name) == 3
    assert not list((tmp_path / "checkpoints").glob("checkpoint-*"))


def test_a_tracker_that_is_not_installed_is_refused_before_anything_is_done(train, tmp_path):
    with pytest.raises(RecipeError, match="training.report_to: 'no-such-logger' is not installed"):
        train("no-such-logger", folder=tmp_path / "cell")
    assert not (tmp_path / "cell").exists()
