import json
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from levertune.data import stream_cache
from levertune.data.cache_folder import usable_cache
from levertune.data.stream_cache import fetch
from levertune.errors import DataError

ROWS = b"".join(b'{"text": "row %d"}\n' % i for i in range(4000))


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch, cache):
    monkeypatch.setattr("levertune.data.remote_files.CHUNK_BYTES", 4096)


def put(file_system, path, content):
    with file_system.open(path, "wb") as file:
        file.write(content)


def only(folder, pattern):
    (path,) = folder.rglob(pattern)
    return path


def test_a_file_is_fetched_once_and_named_after_nothing_but_a_hash(memory, cache):
    put(memory, "/box/rows.jsonl", ROWS)
    first = fetch("memory://box/rows.jsonl", ending=".jsonl")
    assert first.path.read_bytes() == ROWS
    assert first.path.name == "data.jsonl"
    assert first.notes == ()
    written = first.path.stat().st_mtime_ns
    again = fetch("memory://box/rows.jsonl", ending=".jsonl")
    assert (again, again.path.stat().st_mtime_ns) == (first, written)
    names = {path.name for path in first.path.parent.iterdir()}
    assert names == {"data.jsonl", "seal.json"}


def test_a_file_that_changed_is_fetched_again_and_it_is_said(memory):
    put(memory, "/rows.jsonl", b"old\n")
    fetch("memory://rows.jsonl")
    put(memory, "/rows.jsonl", b"new\n")
    found = fetch("memory://rows.jsonl")
    assert found.path.read_bytes() == b"new\n"
    assert found.notes == ("memory://rows.jsonl: has changed since it was last used.",)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda seal: {**seal, "format": 0}, "was written by another version"),
        (lambda seal: {**seal, "url": "memory://other"}, "is of another file"),
        (lambda seal: {"format": stream_cache.CACHE_FORMAT, "url": seal["url"]}, "is not whole"),
        (lambda seal: [seal], "is not whole"),
    ],
)
def test_a_copy_whose_seal_is_anothers_is_rebuilt_though_the_name_is_right(
    memory, cache, change, word
):
    put(memory, "/rows.jsonl", ROWS)
    copy = fetch("memory://rows.jsonl")
    seal_path = only(cache, "seal.json")
    seal_path.write_text(json.dumps(change(json.loads(seal_path.read_text()))))
    copy.path.write_bytes(b"another file of the same name")
    found = fetch("memory://rows.jsonl")
    assert found.path.read_bytes() == ROWS
    assert found.notes == (f"memory://rows.jsonl: the copy in the cache {word}; fetched again.",)


def test_a_copy_changed_on_the_disk_is_rebuilt(memory):
    put(memory, "/rows.jsonl", ROWS)
    fetch("memory://rows.jsonl").path.write_bytes(ROWS[:-1] + b" ")
    found = fetch("memory://rows.jsonl")
    assert found.path.read_bytes() == ROWS
    assert "was changed on the disk; fetched again" in found.notes[0]


def test_a_copy_touched_but_not_changed_stays(memory, cache):
    put(memory, "/rows.jsonl", ROWS)
    copy = fetch("memory://rows.jsonl").path
    copy.touch()
    stamp = copy.stat().st_mtime_ns
    assert fetch("memory://rows.jsonl").notes == ()
    assert copy.stat().st_mtime_ns == stamp


def test_a_stream_that_breaks_half_way_keeps_what_came_and_goes_on(brittle, cache):
    put(brittle(), "/rows.jsonl", ROWS)
    brittle.fail_after = 30_000
    with pytest.raises(DataError, match=r"broke off; found 'the line went dead' after 30,000 of"):
        fetch("brittle://rows.jsonl")
    assert brittle.read_bytes == 30_000
    assert not list(cache.rglob("seal.json"))
    brittle.fail_after = 50_000
    with pytest.raises(DataError, match="after 50,000 of .* bytes, which are kept. Type the same"):
        fetch("brittle://rows.jsonl")
    brittle.fail_after = None
    found = fetch("brittle://rows.jsonl")
    assert found.path.read_bytes() == ROWS
    assert found.notes == ()
    assert brittle.read_bytes == len(ROWS)


def test_what_comes_is_told_in_mebibytes_and_a_copy_that_is_here_tells_nothing(
    brittle, watched, monkeypatch
):
    monkeypatch.setattr("levertune.data.stream_cache._MEBIBYTE", 10_000)
    total = -(-len(ROWS) // 10_000)
    put(brittle(), "/rows.jsonl", ROWS)
    brittle.fail_after = 30_000
    with pytest.raises(DataError, match="broke off"):
        fetch("brittle://rows.jsonl", progress=watched)
    assert watched.stages == [["fetch rows.jsonl", total, "MiB", 3]]
    brittle.fail_after = None
    fetch("brittle://rows.jsonl", progress=watched)
    assert watched.stages[1:] == [["fetch rows.jsonl", total, "MiB", total]]
    fetch("brittle://rows.jsonl", progress=watched)
    assert len(watched.stages) == 2


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
# A break behind the last byte leaves nothing for the next attempt to do.
@given(breaks=st.lists(st.integers(0, len(ROWS) - 1), max_size=4), name=st.uuids())
def test_whatever_the_breaks_the_copy_is_the_file_and_no_byte_comes_twice(brittle, breaks, name):
    put(brittle(), f"/{name}", ROWS)
    brittle.read_bytes = 0
    for limit in breaks:
        brittle.fail_after = limit
        with pytest.raises(DataError, match="broke off"):
            fetch(f"brittle://{name}")
    brittle.fail_after = None
    assert fetch(f"brittle://{name}").path.read_bytes() == ROWS
    assert brittle.read_bytes == len(ROWS)


def test_what_was_kept_of_a_file_that_changed_is_thrown_away_and_it_is_said(brittle):
    put(brittle(), "/rows.jsonl", ROWS)
    brittle.fail_after = 30_000
    with pytest.raises(DataError, match="broke off"):
        fetch("brittle://rows.jsonl")
    brittle.fail_after = None
    put(brittle(), "/rows.jsonl", ROWS[::-1])
    found = fetch("brittle://rows.jsonl")
    assert found.path.read_bytes() == ROWS[::-1]
    assert found.notes == (
        "brittle://rows.jsonl: has changed since an earlier attempt broke off; started again.",
    )


def test_over_http_a_break_is_mended_by_a_range_request(web):
    web.files["/rows.jsonl"] = ROWS
    web.cut_after = 30_000
    url = f"http://{web.address}/rows.jsonl"
    with pytest.raises(DataError, match="broke off; found 'the connection was closed' after 30,0"):
        fetch(url)
    web.cut_after = None
    web.requests.clear()
    found = fetch(url)
    assert found.path.read_bytes() == ROWS
    ranges = [headers.get("Range") for _, headers in web.requests]
    assert ranges == ["bytes=0-0", "bytes=30000-", "bytes=0-0"]
    assert web.requests[1][1]["If-Range"].startswith('"')
    web.requests.clear()
    assert fetch(url).path.read_bytes() == ROWS
    assert len(web.requests) == 1


def test_a_server_without_ranges_starts_again(web):
    web.files["/rows.jsonl"] = ROWS
    web.has_ranges = False
    web.cut_after = 30_000
    url = f"http://{web.address}/rows.jsonl"
    with pytest.raises(DataError, match="broke off"):
        fetch(url)
    web.cut_after = None
    assert fetch(url).path.read_bytes() == ROWS


def test_without_tag_or_time_a_copy_cannot_be_trusted_and_is_fetched_again(web):
    web.files["/rows.jsonl"] = ROWS
    web.has_tags = False
    url = f"http://{web.address}/rows.jsonl"
    fetch(url)
    web.files["/rows.jsonl"] = ROWS[::-1]  # of the same size
    found = fetch(url)
    assert found.path.read_bytes() == ROWS[::-1]
    assert found.notes == (f"{url}: has changed since it was last used.",)


def test_a_file_that_changes_while_it_is_fetched_is_started_again(web):
    web.files["/rows.jsonl"] = ROWS
    changes = [ROWS + b"1", ROWS + b"22"]
    web.on_body = lambda: changes and web.files.update({"/rows.jsonl": changes.pop()})
    found = fetch(f"http://{web.address}/rows.jsonl")
    assert found.path.read_bytes() == ROWS + b"1"
    assert [note.endswith("changed while it was fetched; started again.") for note in found.notes]


def test_a_file_that_never_holds_still_is_given_up(web):
    web.files["/rows.jsonl"] = ROWS

    def grow():
        web.files["/rows.jsonl"] += b"x"

    web.on_body = grow
    with pytest.raises(DataError, match="changed each of 3 times while it was fetched"):
        fetch(f"http://{web.address}/rows.jsonl")


def test_when_the_server_is_gone_the_copy_serves_and_it_is_said(web, cache):
    web.files["/rows.jsonl"] = ROWS
    url = f"http://{web.address}/rows.jsonl"
    fetch(url)
    web.status = 503
    found = fetch(url)
    assert found.path.read_bytes() == ROWS
    assert "could not be asked whether it has changed (HTTP 503" in found.notes[0]
    web.status = 404
    with pytest.raises(DataError, match="cannot be read; HTTP 404 Not Found. Check the address."):
        fetch(url)


def test_what_cannot_be_reached_is_one_line(memory, brittle, web):
    web.status = 403
    url = f"http://{web.address}/rows.jsonl"
    with pytest.raises(DataError, match="cannot be reached; found 'HTTP 403 Forbidden'"):
        fetch(url)
    with pytest.raises(DataError, match="there is no such file"):
        fetch("memory://none.jsonl")
    put(memory, "/box/rows.jsonl", ROWS)
    with pytest.raises(DataError, match="it is a folder"):
        fetch("memory://box")
    with pytest.raises(DataError, match="unknown protocol 'gopher'"):
        fetch("gopher://x/a.jsonl")
    with pytest.raises(DataError, match="chained URLs are not read"):
        fetch("zip://a.jsonl::memory://b.zip")
    with pytest.raises(DataError, match="cannot be reached; found"):
        fetch("http://127.0.0.1:1/a.jsonl")


def test_a_missing_package_is_named(monkeypatch):
    import fsspec

    def refuse(url):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", refuse)
    with pytest.raises(DataError, match="s3:// needs a package .* Get it: pip install s3fs"):
        fetch("s3://bucket/a.jsonl")


def test_secrets_reach_no_file_and_no_error(web, cache):
    web.files["/rows.jsonl"] = ROWS
    secrets = ("hunter2secret", "a1f0deadbeef")
    query = "?X-Amz-Signature=a1f0deadbeef&part=1"
    url = f"http://me:hunter2secret@{web.address}/rows.jsonl{query}"
    web.status = 403
    with pytest.raises(DataError, match="HTTP 403") as caught:
        fetch(url)
    messages = [str(caught.value)]
    assert caught.value.__cause__ is None
    web.status, web.cut_after = None, 9_000
    with pytest.raises(DataError, match="broke off") as caught:
        fetch(url)
    messages.append(str(caught.value))
    web.cut_after = None
    found = fetch(url)
    messages += [found.shown, str(found.path)]
    assert found.shown == f"http://{web.address}/rows.jsonl?part=1"
    files = [path for path in cache.rglob("*") if path.is_file()]
    texts = [path.read_text() for path in files] + [str(path) for path in files] + messages
    assert not [text for text in texts for secret in secrets if secret in text]
    assert all("Authorization" in headers for _, headers in web.requests)
    signed_anew = url.replace("a1f0deadbeef", "b2c3")
    assert fetch(signed_anew).path == found.path


def test_an_empty_file_is_a_file(web):
    web.files["/rows.jsonl"] = b""
    assert fetch(f"http://{web.address}/rows.jsonl").path.read_bytes() == b""


def test_two_at_once_fetch_one_copy(web):
    web.files["/rows.jsonl"] = ROWS
    url = f"http://{web.address}/rows.jsonl"
    found = []
    threads = [threading.Thread(target=lambda: found.append(fetch(url))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert sum("Range" not in headers for _, headers in web.requests) == 1


@pytest.mark.parametrize(
    "fault", [PermissionError(13, "Permission denied"), OSError(30, "Read-only file system")]
)
def test_a_cache_that_cannot_be_written_is_one_line(memory, monkeypatch, cache, fault):
    put(memory, "/rows.jsonl", ROWS)

    def refuse(*_, **__):
        raise fault

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.mkdir", refuse)
        with pytest.raises(DataError, match="the cache cannot be used; .* Set LEVERTUNE_CACHE"):
            fetch("memory://rows.jsonl")
    fetch("memory://rows.jsonl")
    put(memory, "/rows.jsonl", ROWS[::-1])
    monkeypatch.setattr("os.replace", refuse)  # as the seal is written
    with pytest.raises(DataError, match=f"cache cannot be used; found {fault.strerror!r}. Set LE"):
        fetch("memory://rows.jsonl")


def test_a_cache_that_is_a_file_is_one_line(memory, cache):
    put(memory, "/rows.jsonl", ROWS)
    cache.write_text("mine")
    with pytest.raises(DataError, match=r"cache: the cache cannot be used; found '\w.*'\. Set LEV"):
        fetch("memory://rows.jsonl")
    assert cache.read_text() == "mine"


def test_a_full_disk_and_faults_of_other_files_are_not_laid_to_the_cache(cache):
    faults = [
        OSError(28, "No space left on device", str(cache / "rows")),
        FileNotFoundError(2, "No such file or directory", str(cache.parent / "model")),
        BrokenPipeError(32, "Broken pipe"),
        DataError("a.jsonl: the file is empty."),
    ]
    for fault in faults:
        with pytest.raises(type(fault)) as caught, usable_cache():
            raise fault
        assert caught.value is fault
