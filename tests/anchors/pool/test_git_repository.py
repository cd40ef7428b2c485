import os
import subprocess
import sys

import pytest

from levertune.anchors.pool import git_repository
from levertune.anchors.pool.git_repository import (
    GitPlace,
    fetch_git,
    is_bare_repository,
    parse_git_place,
)
from levertune.anchors.pool.reading import read_pool_folder
from levertune.errors import DataError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def git(folder, *arguments):
    identity = ["-c", "user.name=n", "-c", "user.email=e", "-c", "init.defaultBranch=main"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    done = subprocess.run(
        ["git", *identity, "-C", str(folder), *arguments],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path, make_entry, entry_file):
    folder = tmp_path / "repository"
    (folder / "entries").mkdir(parents=True)
    (folder / "mkdocs.yaml").write_text("site: x", "utf-8")
    for name in ("one", "two"):
        path = folder / "entries" / f"{name}.yaml"
        path.write_text(entry_file(make_entry(name)), "utf-8")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "two")
    return folder


PLACES = [
    ("git+https://host/a/b.git", "https://host/a/b.git", None),
    ("git+https://host/a/b.git@v1.0", "https://host/a/b.git", "v1.0"),
    ("git+https://me:pw@host/a/b@feature/x", "https://me:pw@host/a/b", "feature/x"),
    ("git+ssh://git@host/a/b", "ssh://git@host/a/b", None),
    ("git+file:///srv/a%20b@main", "/srv/a b", "main"),
    (f"git+/srv/b@{COMMIT}", "/srv/b", COMMIT),
]


@pytest.mark.parametrize(("text", "url", "revision"), PLACES, ids=[place[0] for place in PLACES])
def test_a_place_is_a_url_and_a_revision(text, url, revision):
    assert parse_git_place(text) == GitPlace(url, revision)


BAD_PLACES = [
    ("git+http://host/a", "come by https, ssh, file alone; found 'http'"),
    ("git+ext://sh -c evil", "come by https, ssh, file alone; found 'ext'"),
    ("git+https://host", "names no repository"),
    ("git+https:///a", "names no repository"),
    ("git+", "names no repository"),
    ("git+https://host/a@--upload-pack=evil", "the revision must be a branch"),
    ("git+https://host/a@x..y", "the revision must be a branch"),
    ("git+https://host/a@", "the revision must be a branch"),
]


@pytest.mark.parametrize(("text", "message"), BAD_PLACES, ids=str)
def test_a_malformed_place_is_refused(text, message):
    with pytest.raises(DataError, match=message):
        parse_git_place(text)


def test_passwords_are_not_shown():
    assert parse_git_place("git+https://me:secret@host/a@v1").shown == "git+https://host/a@v1"
    with pytest.raises(DataError) as raised:
        parse_git_place("git+https://me:secret@host/a@-x")
    assert "secret" not in str(raised.value)


def test_entries_come_out_of_a_repository_and_nothing_else(repository, tmp_path, make_entry):
    folder, notes = fetch_git(parse_git_place(f"git+{repository}"), tmp_path / "cache")
    assert notes == ()
    assert folder.name == git(repository, "rev-parse", "HEAD")
    assert sorted(p.name for p in folder.iterdir()) == ["one.yaml", "two.yaml"]
    assert list(read_pool_folder(folder).values()) == [make_entry("one"), make_entry("two")]
    assert not [p for p in folder.parent.iterdir() if p.name.startswith(".tmp")]


def test_a_revision_is_taken_and_the_default_branch_followed(repository, tmp_path):
    cache = tmp_path / "cache"
    old = git(repository, "rev-parse", "HEAD")
    git(repository, "tag", "v1")
    git(repository, "rm", "-q", "entries/two.yaml")
    git(repository, "commit", "-qm", "one")
    names = {
        revision: sorted(
            p.name for p in fetch_git(GitPlace(str(repository), revision), cache)[0].iterdir()
        )
        for revision in (None, "main", "v1", old)
    }
    both = ["one.yaml", "two.yaml"]
    assert names == {None: ["one.yaml"], "main": ["one.yaml"], "v1": both, old: both}


def test_an_earlier_copy_stands_in_for_a_repository_out_of_reach(repository, tmp_path):
    cache, place = tmp_path / "cache", parse_git_place(f"git+{repository}")
    first, _ = fetch_git(place, cache)
    repository.rename(tmp_path / "gone")
    again, notes = fetch_git(place, cache)
    assert again == first
    assert "cannot be reached" in notes[0]
    commit = GitPlace(place.url, first.name)
    assert fetch_git(commit, cache) == (first, ())
    with pytest.raises(DataError, match=r"@v9: the repository cannot be fetched; found .fatal:"):
        fetch_git(GitPlace(place.url, "v9"), cache)


def test_what_was_fetched_with_a_password_is_found_without_it(repository, tmp_path, monkeypatch):
    lines = [
        f'[url "{repository}"]', "insteadOf = https://me:secret@host.invalid/a",
        f'[url "{tmp_path / "gone"}"]', "insteadOf = https://host.invalid/a",
    ]  # fmt: skip
    (tmp_path / ".gitconfig").write_text("\n".join(lines), "utf-8")
    monkeypatch.setenv("HOME", str(tmp_path))
    cache = tmp_path / "cache"
    folder, notes = fetch_git(parse_git_place("git+https://me:secret@host.invalid/a"), cache)
    assert notes == ()
    again, notes = fetch_git(parse_git_place("git+https://host.invalid/a"), cache)
    assert again == folder
    assert "cannot be reached" in notes[0]


def test_a_repository_without_an_entry_is_refused(tmp_path):
    git(tmp_path, "init", "-q", "empty")
    empty = tmp_path / "empty"
    (empty / "README.md").write_text("x", "utf-8")
    git(empty, "add", ".")
    git(empty, "commit", "-qm", "x")
    with pytest.raises(DataError, match="the pool is empty"):
        fetch_git(GitPlace(str(empty), None), tmp_path / "cache")


def test_links_and_large_files_of_a_repository_are_refused(repository, tmp_path):
    (repository / "entries" / "link.yaml").symlink_to("/etc/hostname")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "link")
    with pytest.raises(DataError, match=r"entries/link.yaml is no plain file; found mode 120000"):
        fetch_git(GitPlace(str(repository), None), tmp_path / "cache")
    (repository / "entries" / "link.yaml").unlink()
    (repository / "entries" / "link.yaml").write_text("x" * 70_000, "utf-8")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "large")
    with pytest.raises(DataError, match=r"entries/link.yaml is too large; found 70,000 bytes"):
        fetch_git(GitPlace(str(repository), None), tmp_path / "cache")


def test_too_many_entries_are_refused(repository, tmp_path, monkeypatch):
    monkeypatch.setattr(git_repository, "_MAX_ENTRIES", 1)
    with pytest.raises(DataError, match="holds too many entries; found 2 of at most 1"):
        fetch_git(GitPlace(str(repository), None), tmp_path / "cache")


def test_no_hook_and_no_foreign_repository_comes_in(repository, tmp_path, monkeypatch):
    mark, hooks = tmp_path / "mark", tmp_path / "hooks"
    hooks.mkdir()
    for name in ("post-checkout", "reference-transaction", "post-index-change"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {mark}\n", "utf-8")
        (hooks / name).chmod(0o755)
    config = tmp_path / "config"
    config.write_text(f"[core]\n\thooksPath = {hooks}\n", "utf-8")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".gitconfig").write_text(config.read_text("utf-8"), "utf-8")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    folder, _ = fetch_git(GitPlace(str(repository), None), tmp_path / "cache")
    assert len(list(folder.iterdir())) == 2
    assert not mark.exists()
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script stands in for git")
def test_git_that_hangs_is_ended(repository, tmp_path, monkeypatch):
    fake = tmp_path / "bin" / "git"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\nsleep 60\n", "utf-8")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    with pytest.raises(DataError, match=r"found 'no answer within 0.2 s'"):
        fetch_git(GitPlace(str(repository), None), tmp_path / "cache", timeout=0.2)


def test_a_machine_without_git_is_told_so(repository, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match="needs the program git, which is not installed"):
        fetch_git(GitPlace(str(repository), None), tmp_path / "cache")


def test_a_cache_that_cannot_be_written_is_told(repository, tmp_path):
    (tmp_path / "cache").write_text("x", "utf-8")
    with pytest.raises(DataError, match="cannot be kept in"):
        fetch_git(GitPlace(str(repository), None), tmp_path / "cache")


def test_a_bare_repository_is_known_from_a_folder(repository):
    assert is_bare_repository(repository / ".git")
    assert not is_bare_repository(repository)
