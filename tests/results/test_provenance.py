import getpass
import re
import socket
import subprocess
from datetime import UTC, datetime, timedelta, timezone

from levertune.results import provenance
from levertune.results.mapping import to_mapping
from levertune.results.provenance import collect_provenance, utc_text


def test_it_holds_versions_and_no_name_of_person_or_machine():
    found = collect_provenance(started=datetime(2026, 1, 31, tzinfo=UTC), seconds=2.5)
    assert re.match(r"\d+\.\d+", found.torch)
    assert found.levertune
    assert (found.started, found.seconds) == ("2026-01-31T00:00:00Z", 2.5)
    shown = " ".join(map(str, to_mapping(found).values())).split()
    assert socket.gethostname() not in shown
    assert getpass.getuser() not in shown
    assert not any("/" in word for word in shown)


def test_times_are_written_in_utc():
    moment = datetime(2026, 1, 31, 12, tzinfo=timezone(timedelta(hours=2)))
    assert utc_text(moment) == "2026-01-31T10:00:00Z"


def test_a_package_that_is_absent_has_no_version():
    assert provenance._version("no-such-package-here") is None


def test_the_commit_is_taken_from_levertunes_own_repository_only(tmp_path):
    (tmp_path / "provenance.py").write_text("", encoding="utf-8")
    assert provenance._checkout(tmp_path) == (None, None)

    def git(*arguments):
        subprocess.run(
            ["git", "-C", tmp_path, "-c", "user.name=n", "-c", "user.email=e@x", *arguments],
            check=True,
            capture_output=True,
        )

    git("init")
    assert provenance._checkout(tmp_path) == (None, None)  # another project's: file not tracked
    git("add", "provenance.py")
    git("commit", "-m", "x")
    commit, dirty = provenance._checkout(tmp_path)
    assert re.fullmatch(r"[0-9a-f]{40}", commit)
    assert dirty is False
    (tmp_path / "provenance.py").write_text("x", encoding="utf-8")
    assert provenance._checkout(tmp_path) == (commit, True)


def test_without_git_there_is_no_commit(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance._checkout(tmp_path) == (None, None)
