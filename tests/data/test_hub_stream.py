import sys
import types

import pytest

from levertune.data import hub_stream
from levertune.data.general import read_general
from levertune.errors import DataError


class FakeStream:
    """A stream in a seeded order that can break off; `read` counts the rows taken from it."""

    read = 0
    fail_after = None

    def __init__(self, numbers, skipped=0):
        self.numbers, self.skipped = numbers, skipped

    def shuffle(self, *, seed, buffer_size):
        import random

        return FakeStream(random.Random(seed).sample(self.numbers, len(self.numbers)))

    def skip(self, count):
        return FakeStream(self.numbers, count)

    def __iter__(self):
        for place, number in enumerate(self.numbers):
            if FakeStream.fail_after is not None and place >= FakeStream.fail_after:
                raise ConnectionError("the line\nwent dead")
            if place >= self.skipped:
                FakeStream.read += 1
                yield {"prompt": f"p{number}", "completion": "c", "meta": {"n": number}}


@pytest.fixture
def hub(monkeypatch, cache):
    calls = []
    facts = types.SimpleNamespace(calls=calls, revision="r1", num_rows=50)

    def load_dataset(name, config, *, split, streaming):
        calls.append((name, config, split, streaming))
        if name == "nobody/nothing":
            raise ValueError("no such\ndata set")
        return FakeStream(list(range(facts.num_rows)))

    fake = types.ModuleType("datasets")
    fake.load_dataset = load_dataset
    monkeypatch.setitem(sys.modules, "datasets", fake)
    monkeypatch.setattr(hub_stream, "_find_revision", lambda name: facts.revision)
    monkeypatch.setattr(hub_stream, "_CHUNK_ROWS", 4)
    FakeStream.read, FakeStream.fail_after = 0, None
    return facts


def read(max_rows, **settings):
    (file,) = read_general("hub:a/b:en@test", max_rows=max_rows, streaming=True, **settings)
    return file, [record.user_text for record in file.records]


def test_only_the_rows_asked_for_are_streamed_and_only_once(hub):
    file, ten = read(10)
    assert (len(set(ten)), FakeStream.read, hub.calls) == (10, 10, [("a/b", "en", "test", True)])
    assert (file.path, file.file_format, file.records[0].source) == ("hub:a/b:en@test", "hub", "b")
    assert read(10)[1] == ten
    assert read(4)[1] == ten[:4]
    assert (FakeStream.read, len(hub.calls)) == (10, 1)
    assert read(13)[1][:10] == ten
    assert FakeStream.read == 13
    assert read(10, seed=1)[1] != ten


def test_a_stream_that_breaks_off_keeps_its_rows_and_goes_on(hub):
    FakeStream.fail_after = 6
    line = "hub:a/b:en@test: broke off; found 'the line went dead' after 6 of 10 rows, which are k"
    with pytest.raises(DataError, match=line):
        read(10)
    FakeStream.fail_after = None
    _, rows = read(10)
    assert FakeStream.read == 10
    unbroken = FakeStream(list(range(50))).shuffle(seed=0, buffer_size=1)
    assert rows == [row["prompt"] for row in unbroken][:10]


def test_a_split_with_fewer_rows_gives_all_and_is_not_asked_again(hub):
    hub.num_rows = 6
    assert len(read(99)[1]) == 6
    assert len(read(99)[1]) == 6
    assert len(hub.calls) == 1


def test_rows_kept_of_another_version_are_streamed_again(hub, monkeypatch):
    read(5)
    hub.revision = "r2"
    file, _ = read(5)
    assert file.notes == ("hub:a/b:en@test: has changed on the Hub; streamed again.",)
    hub.revision = None
    file, _ = read(5)
    assert file.notes == (
        "hub:a/b:en@test: could not be asked whether it has changed; used the rows kept.",
    )
    assert FakeStream.read == 10


def test_what_cannot_be_streamed_is_one_line(hub):
    with pytest.raises(DataError, match="cannot be streamed; found 'no such data set'"):
        read_general("hub:nobody/nothing", max_rows=3, streaming=True)
    hub.num_rows = 0
    with pytest.raises(DataError, match="the split holds no rows"):
        read(3)
    with pytest.raises(DataError, match="streaming is for a Hub dataset with max_rows; found 'a.c"):
        read_general("a.csv", max_rows=3, streaming=True)
    with pytest.raises(DataError, match="with max_rows None. Set max_rows"):
        read_general("hub:a/b", streaming=True)


def test_rows_that_fit_no_table_are_one_line(hub, monkeypatch):
    monkeypatch.setattr(FakeStream, "__iter__", lambda self: iter([{"prompt": "a"}, {"prompt": 3}]))
    with pytest.raises(DataError, match="rows 1 to 2 fit no table"):
        read(3)
