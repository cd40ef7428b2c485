import pytest

from levertune.errors import RunError
from levertune.results.anchor_checks import (
    DECISIONS_FILE,
    AnchorCheck,
    Challenger,
    read_checks,
    write_checks,
)

WON = Challenger("b", "rewrite", "Name it.", 3, 0.5, 0.25, True)
CHECKS = [
    AnchorCheck(5, 40, "a", 10, 2.5, (WON,)),
    AnchorCheck(10, 80, "a", 10, 2.25, (WON,), switched_to="b"),
]


def test_checks_come_back_as_they_were_written(tmp_path):
    assert write_checks(tmp_path, CHECKS) == tmp_path / DECISIONS_FILE
    assert read_checks(tmp_path) == CHECKS
    assert len((tmp_path / DECISIONS_FILE).read_text("utf-8").splitlines()) == 2
    write_checks(tmp_path, [])
    assert read_checks(tmp_path) == []


def test_a_check_names_its_winner():
    assert [check.winner for check in CHECKS] == [None, WON]


def test_a_damaged_line_is_named(tmp_path):
    with pytest.raises(RunError, match="no such file"):
        read_checks(tmp_path)
    (tmp_path / DECISIONS_FILE).write_text('{"step": 1}\n', encoding="utf-8")
    with pytest.raises(RunError, match=f"{DECISIONS_FILE}, line 1"):
        read_checks(tmp_path)
