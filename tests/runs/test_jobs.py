"""How many cells at once, with how many threads, and how long that takes."""

import pytest
import torch

from levertune.errors import RecipeError
from levertune.runs.estimate import Estimate
from levertune.runs.jobs import Jobs, choose_jobs, choose_processes, count_cores

GIB = 1 << 30


def choose(wanted="auto", **changes):
    facts = {
        "device": "cpu",
        "num_trainings": 6,
        "weight_bytes": GIB // 4,
        "memory_bytes": 24 * GIB,
    }
    return choose_jobs(wanted, **{**facts, **changes})


@pytest.mark.parametrize(
    ("cores", "changes", "expected"),
    [
        (2, {}, (2, 1)),
        (16, {}, (6, 2)),
        (16, {"num_trainings": 1}, (1, None)),
        (1, {}, (1, None)),
        (8, {"device": "cuda"}, (1, None)),
        (8, {"memory_bytes": 8 * GIB}, (3, 2)),
        (8, {"memory_bytes": GIB}, (1, None)),
        (8, {"weight_bytes": 14 * GIB}, (1, None)),
    ],
)
def test_auto_fills_cores_and_memory_with_trained_cells(monkeypatch, cores, changes, expected):
    monkeypatch.setenv("OMP_NUM_THREADS", "")
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(cores)), raising=False)
    jobs = choose(**changes)
    assert (jobs.count, jobs.threads) == expected


def test_a_number_asked_for_is_taken(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "")
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1}, raising=False)
    assert choose(1) == Jobs(1, None, "as asked for", is_asked_for=True)
    assert choose(2, device="cuda").count == 2
    assert choose(5).threads == 1


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 2),
        ({"tokens": 30_000}, 1),  # over before helpers have loaded
        ({"tokens": 30_000, "weight_bytes": GIB}, 2),
        ({"device": "cuda"}, 1),
        ({"cores": 1}, 1),
        ({"cores": 16}, 4),
        ({"cores": 16, "rows_per_step": 3}, 3),
        ({"memory_bytes": 3 * GIB}, 1),
        ({"weight_bytes": 4 * GIB, "memory_bytes": 24 * GIB}, 1),
    ],
)
def test_helpers_share_a_long_training_on_cores_with_memory(changes, expected):
    facts = {
        "cores": 2,
        "device": "cpu",
        "tokens": 100_000,
        "rows_per_step": 8,
        "weight_bytes": GIB // 4,
        "memory_bytes": 16 * GIB,
    }
    assert choose_processes(**{**facts, **changes}) == expected


@pytest.mark.parametrize("wanted", [0, -1, "many"])
def test_anything_else_is_refused(wanted):
    with pytest.raises(RecipeError, match="must be auto or a number from 1; found"):
        choose(wanted)


@pytest.mark.parametrize(
    ("variable", "expected"), [("", 4), ("3", 3), ("8", 4), ("2,1", 2), ("x", 4), ("0", 4)]
)
def test_the_users_limit_on_threads_counts(monkeypatch, variable, expected):
    monkeypatch.setenv("OMP_NUM_THREADS", variable)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(4)), raising=False)
    assert count_cores() == expected


def test_threads_are_limited_here_too_and_given_back():
    before = torch.get_num_threads()
    with Jobs(2, 1, "").limit_threads():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
    with Jobs(1, None, "").limit_threads():
        assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("cells", "jobs", "expected"),
    [((10, 20, 30), 1, 65), ((10, 20, 30), 2, 35), ((30, 30, 30), 2, 65), ((10,), 1, 15)],
)
def test_an_estimate_hands_out_the_longest_cells_first(cells, jobs, expected):
    estimate = Estimate(tuple(map(float, cells)), jobs, 2 * GIB, 1000, 250.0)
    assert estimate.seconds == expected
    assert [cells[i] for i in estimate.longest_first] == sorted(cells, reverse=True)
    assert ("2.0 GiB of memory each" in estimate.sentence) == (jobs > 1)


def test_an_estimate_adds_the_last_training_on_all_rows():
    estimate = Estimate((30.0, 30.0), 2, None, 1000, 250.0, final_seconds=20.0)
    assert estimate.seconds == 55  # it waits for the cells
    assert "1,000 tokens to train on, the final adapter's among them, at 250" in estimate.sentence


def test_an_estimate_for_several_processes_says_that_one_was_timed():
    alone = Estimate((60.0,), 1, None, 1000, 250.0)
    assert alone.sentence == (
        "estimate: about 65 seconds (1,000 tokens to train on at 250 a second, timed on this "
        "machine)"
    )
    shared = Estimate((60.0,), 1, 2 * GIB, 1000, 250.0, num_processes=2)
    assert shared.sentence == (
        "estimate: at most about 65 seconds, 2.0 GiB of memory each (1,000 tokens to train on at "
        "250 a second, timed in one of 2 processes)"
    )
