import json
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from levertune.cli import env as env_module
from levertune.cli.env import _without_home, collect_environment
from levertune.cli.main import main


@pytest.fixture
def plain_machine(monkeypatch):
    """No torch import, so that the test is quick."""
    monkeypatch.setattr("levertune.cli.machine.find_accelerator", lambda: (None, None))
    monkeypatch.setattr(env_module, "_has_bfloat16", lambda: None)


def test_env_json_holds_versions_hardware_and_the_embedded_model(plain_machine, capsys):
    assert main(["env", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["cores"] >= 1
    assert found["accelerator"] is None
    assert isinstance(found["embedded_model_installed"], bool)


def test_env_prints_a_table(plain_machine, capsys):
    assert main(["env"]) == 0
    out = capsys.readouterr().out
    assert "embedded_model_converted" in out
    assert "levertune" in out


def test_env_shows_no_secrets_and_no_home_folder(plain_machine, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("LEVERTUNE_CACHE", str(Path.home() / "cache"))
    found = collect_environment()
    assert "hf_secret" not in str(found)
    assert found["cache_folder"] == str(Path("~") / "cache")


def test_a_folder_outside_the_home_folder_is_shown_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    assert _without_home(tmp_path / "cache") == str(tmp_path / "cache")


def test_a_package_that_is_not_installed_is_none(plain_machine, monkeypatch):
    def missing(package):
        raise PackageNotFoundError(package)

    monkeypatch.setattr(env_module, "version", missing)
    assert collect_environment()["torch"] is None
