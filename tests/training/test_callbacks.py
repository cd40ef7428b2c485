"""What the engine does at its log lines, by a clock that stands still."""

from types import SimpleNamespace

import pytest

from levertune.training import callbacks
from levertune.training.callbacks import StepCallback
from levertune.training.processes import Team


@pytest.fixture
def clock(monkeypatch):
    """The time in seconds; set `now`."""
    time = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(callbacks, "time", SimpleNamespace(perf_counter=lambda: time.now))
    return time


@pytest.fixture
def released(clock, monkeypatch):
    """When memory was given back, in seconds since the start."""
    times = []
    monkeypatch.setattr(
        callbacks, "release_unused_memory", lambda: times.append(clock.now - 1000.0)
    )
    return times


def test_memory_is_given_back_at_a_log_line_no_sooner_than_20_seconds_after_the_last_time(
    clock, released, tmp_path
):
    callback = StepCallback([], tmp_path / "log.jsonl", None, Team())

    def log(seconds, **logs):
        clock.now = 1000.0 + seconds
        callback.on_log(None, SimpleNamespace(global_step=1), None, logs or {"loss": 1.0})

    for seconds in (0, 5, 19, 20, 21, 22, 40, 41, 42, 61, 300, 301, 319, 321):
        log(seconds)
    assert released == [21, 42, 300, 321]
    log(400, train_runtime=9.0)  # the line at the end of a training has no loss
    assert released[-1] == 321
    assert len(callback.curve) == 14
