from pathlib import Path

import pytest

from levertune.cli.main import main
from levertune.data.home_folder import expand_home
from levertune.errors import DataError, ModelError

NOBODY = "~no-such-user-of-levertune"


def test_a_home_folder_stands_in_for_its_sign(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    assert expand_home("~/rows.csv") == Path("/home/ada/rows.csv")
    assert expand_home("a/~/rows.csv") == Path("a/~/rows.csv")


def test_an_unknown_user_is_named_in_one_line():
    with pytest.raises(DataError, match=rf"{NOBODY}/x: .*not known; found '{NOBODY}'") as caught:
        expand_home(f"{NOBODY}/x")
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelError):
        expand_home(NOBODY, error=ModelError)


@pytest.mark.parametrize(
    "words",
    [
        ["anchor", "pool", "check", NOBODY],
        ["anchor", "pool", "list", "--pool", NOBODY],
        ["anchor", "pool", "list", "--pool", f"git+{NOBODY}/pool"],
        ["anchor", "pool", "verify", f"{NOBODY}/a.yaml", "runs/a"],
        ["anchor", "pool", "add", "runs/a", "--to", NOBODY, "--id", "a"],
        ["check", "--task", f"{NOBODY}/x.csv"],
        ["check", "--task", "embedded:ticket_codes", f"general.sources=[{{path: {NOBODY}/*.csv}}]"],
        ["check", "--task", "embedded:ticket_codes", f"model.model_name_or_path={NOBODY}/a"],
        ["chat", f"{NOBODY}/best"],
    ],
    ids=" ".join,
)
def test_an_unknown_user_s_folder_ends_no_command_with_a_traceback(words, capsys):
    assert main(words) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert f"found '{NOBODY}'" in line
