"""What each of several processes says and does when one of them cannot go on."""

import errno

import pytest
from torch import distributed

from levertune.errors import DataError, DivergedError, EndedElsewhereError, RunError
from levertune.training import breaking
from levertune.training.breaking import ended_together, is_lost_contact
from levertune.training.processes import HELPER, AbandonedError, Team

LOST = RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer")


@pytest.fixture
def store(monkeypatch):
    """What the processes leave word in, kept in this process."""
    store = distributed.HashStore()
    monkeypatch.setattr(breaking, "_store", lambda: store)
    monkeypatch.setattr(breaking, "_SECONDS_FOR_THE_OTHERS", 0.2)
    monkeypatch.delenv(HELPER, raising=False)
    return store


def meet(error, team, folder=None):
    with ended_together(team, folder):
        raise error


def test_alone_an_error_stays_what_it_is(store):
    with pytest.raises(KeyError):
        meet(KeyError("x"), Team())
    assert store.num_keys() == 0


def test_the_first_to_fail_says_why_and_keeps_the_traceback(store, tmp_path):
    team = Team(1, 2)
    message = (
        r"^process 1 of 2: RuntimeError: a b\. The others were ended .* fault-of-process-1.txt"
    )
    with pytest.raises(RunError, match=message.replace(" fault", " .*fault")) as caught:
        meet(RuntimeError("a\nb"), team, tmp_path / "cell")
    assert "\n" not in str(caught.value)
    assert "in meet" in (tmp_path / "cell" / "fault-of-process-1.txt").read_text("utf-8")
    assert team.is_training  # so that nobody waits for a word of this process
    with pytest.raises(EndedElsewhereError) as silent:
        meet(RuntimeError("as well"), Team(0, 2), tmp_path)
    assert silent.value.status == 2
    assert not (tmp_path / "fault-of-process-0.txt").exists()


def test_a_mistake_and_a_full_disk_keep_their_own_words(store):
    with pytest.raises(DataError, match="^row 3"):
        meet(DataError("row 3: is wrong"), Team(0, 2))
    store.delete_key("levertune/ended/count")
    with pytest.raises(OSError, match="No space left"):
        meet(OSError(errno.ENOSPC, "No space left on device", "x"), Team(0, 2))


def test_who_loses_contact_is_silent_if_another_has_said_why(store):
    with pytest.raises(DataError):
        meet(DataError("row 3: is wrong"), Team(1, 2))
    with pytest.raises(EndedElsewhereError) as silent:
        meet(LOST, Team(0, 2))
    assert silent.value.status == 2


def test_who_loses_contact_says_so_if_nobody_has_said_why(store, monkeypatch):
    with pytest.raises(RunError, match="^process 0 of 2: lost contact with another process"):
        meet(LOST, Team(0, 2))
    monkeypatch.setenv(HELPER, "1")  # the process it helps says it
    store.delete_key("levertune/ended")
    with pytest.raises(EndedElsewhereError):
        meet(LOST, Team(1, 2))


def test_what_a_helper_meets_is_said_by_the_process_it_helps(store, monkeypatch, tmp_path):
    monkeypatch.setenv(HELPER, "1")
    with pytest.raises(EndedElsewhereError):
        meet(RuntimeError("a\nb"), Team(1, 2), tmp_path / "cell")
    with pytest.raises(EndedElsewhereError):  # another helper
        meet(LOST, Team(2, 3))
    monkeypatch.delenv(HELPER)
    with pytest.raises(RunError, match=r"^process 1 of 2: RuntimeError: a b\. The others") as said:
        meet(LOST, Team(0, 2))
    assert "\n" not in str(said.value)


def test_an_interrupt_is_said_by_the_first_process(store):
    with pytest.raises(KeyboardInterrupt):
        meet(KeyboardInterrupt(), Team(0, 2))
    with pytest.raises(EndedElsewhereError) as silent:
        meet(KeyboardInterrupt(), Team(1, 2))
    assert silent.value.status == 130


def test_what_all_processes_meet_ends_the_training_alone(store):
    shared = RuntimeError("in the hook")
    leader = Team(0, 2)
    leader.met_by_all = shared
    for error, team in (
        (DivergedError("step 1"), Team(0, 2)),
        (AbandonedError("x"), Team(1, 2)),
        (shared, leader),
    ):
        with pytest.raises(type(error)) as caught:
            meet(error, team)
        assert caught.value is error
        assert not team.is_training
    assert store.num_keys() == 0


@pytest.mark.parametrize(
    ("error", "is_lost"),
    [
        (LOST, True),
        (distributed.DistNetworkError("x"), True),
        (distributed.DistBackendError("NCCL error"), True),
        (RuntimeError("out of memory"), False),
        (ValueError("gloo/ in a text of the user's"), False),
    ],
)
def test_lost_contact_is_told_from_other_errors(error, is_lost):
    assert is_lost_contact(error) is is_lost
