import json
import sys
import types

import pyarrow
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


def write_rows(path, rows):
    table = pyarrow.Table.from_pylist(rows)
    with pyarrow.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)


@pytest.fixture
def hub(monkeypatch, cache):
    calls = []
    facts = types.SimpleNamespace(calls=calls, revision="r1", num_rows=50)

    def load_dataset(name, config, *, split, revision, streaming):
        calls.append((name, config, split, revision, streaming))
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
    assert (len(set(ten)), FakeStream.read, hub.calls) == (
        10,
        10,
        [("a/b", "en", "test", "r1", True)],
    )
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


def test_rows_that_come_are_told_as_they_come_and_those_kept_at_once(hub, watched):
    FakeStream.fail_after = 6
    with pytest.raises(DataError, match="broke off"):
        read(10, progress=watched)
    assert watched.stages == [["stream a/b", 10, "row", 6]]
    FakeStream.fail_after = None
    read(10, progress=watched)
    assert watched.stages[1:] == [["stream a/b", 10, "row", 10]]
    read(10, progress=watched)
    assert len(watched.stages) == 2  # nothing came
    hub.num_rows = 12
    read(20, progress=watched)
    assert watched.stages[2:] == [["stream a/b", 20, "row", 12]]


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


def kept_files(cache, pattern):
    return sorted((cache / "hub").rglob(pattern))


def test_a_file_of_other_rows_is_not_taken_by_its_name(hub, cache):
    rows = read(10)[1]
    (front,) = kept_files(cache, "front-*.arrow")
    write_rows(front, [{"prompt": f"foreign {i}", "completion": "c"} for i in range(10)])
    file, again = read(10)
    assert again == rows
    assert file.notes == (
        "hub:a/b:en@test: the file of these rows in the cache is not as it was written; made "
        "again.",
    )
    assert FakeStream.read == 10
    assert read(10)[0].notes == ()
    write_rows(front.with_name("front-7.arrow"), [{"prompt": "foreign", "completion": "c"}])
    assert read(7)[1] == rows[:7]


@pytest.mark.parametrize("damage", [b"", b"ARROW1", None])
def test_damaged_chunks_are_streamed_again_from_there_on(hub, cache, damage):
    rows = read(10)[1]
    _, second, _ = kept_files(cache, "chunk-*.arrow")
    if damage is None:
        second.unlink()
    else:
        second.write_bytes(damage)
    file, more = read(12)
    assert more[:10] == rows
    assert file.notes == (
        "hub:a/b:en@test: the rows kept in the cache from row 5 on are not those that came; "
        "streamed again.",
    )
    assert FakeStream.read == 10 + 8


def test_the_number_of_rows_is_not_read_off_a_name(hub, cache):
    rows = read(8)[1]
    first, _ = kept_files(cache, "chunk-*.arrow")
    first.rename(first.with_name("chunk-000000000000-400.arrow"))
    assert read(9)[1][:8] == rows
    assert read(9)[1] == read(12)[1][:9]


def test_rows_kept_by_another_version_of_datasets_are_streamed_again(hub, monkeypatch):
    read(5)
    monkeypatch.setattr(hub_stream.metadata, "version", lambda name: "99.0")
    file, _ = read(5)
    assert file.notes == ("hub:a/b:en@test: was kept by another version; streamed again.",)
    assert FakeStream.read == 10
    assert read(5)[0].notes == ()


def test_a_head_that_was_damaged_is_not_trusted(hub, cache):
    rows = read(5)[1]
    (head,) = kept_files(cache, "head.json")
    content = json.loads(head.read_text("utf-8"))
    del content["chunks"]
    for text in (json.dumps(content), "[]", "{"):
        head.write_text(text, "utf-8")
        file, again = read(5)
        assert again == rows
        assert file.notes == ("hub:a/b:en@test: was kept by another version; streamed again.",)


def test_the_stream_is_of_the_revision_asked_for(hub):
    read(5)
    hub.revision = None
    read(6)
    assert [call[3] for call in hub.calls] == ["r1", "r1"]


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


@pytest.fixture
def stream_of(hub, monkeypatch):
    """Lets the stream be of these rows, in this order, four a chunk."""

    def _stream_of(*rows):
        monkeypatch.setattr(FakeStream, "shuffle", lambda self, **_: self)
        monkeypatch.setattr(FakeStream, "__iter__", lambda self: iter(rows[self.skipped :]))

    return _stream_of


def test_rows_that_fit_no_table_are_one_line(stream_of):
    stream_of({"prompt": "a"}, {"prompt": 3})
    with pytest.raises(DataError, match="rows 1 to 2 fit no table"):
        read(3)


def pair(number, **more):
    return {"prompt": f"p{number}", "completion": "c", **more}


def test_a_column_that_only_later_rows_have_is_kept(stream_of):
    stream_of(*map(pair, range(2)), pair(2, system="Be brief."), *map(pair, range(3, 7)))
    for max_rows in (3, 7):
        file, _ = read(max_rows)
        turns = [[turn.content for turn in record.prompt] for record in file.records]
        whole = [[f"p{i}"] for i in range(max_rows)]
        whole[2] = ["Be brief.", "p2"]
        assert turns == whole


def test_columns_come_in_any_order_and_a_row_may_lack_any(stream_of):
    stream_of(pair(0, left=1), {"completion": "c", "prompt": "p1"}, *map(pair, range(2, 6)))
    assert read(6)[1] == [f"p{i}" for i in range(6)]


def test_chunks_whose_types_differ_are_one_line_each_time_and_fewer_rows_can_be_had(stream_of):
    stream_of(*(pair(i, meta=i) for i in range(4)), *(pair(i, meta="x") for i in range(4, 8)))
    for _ in range(2):
        with pytest.raises(
            DataError, match="hub:a/b:en@test: rows 1 to 7 fit no table; found '"
        ) as e:
            read(7)
        assert "Download the dataset and name its files." in str(e.value)
    assert read(4)[1] == [f"p{i}" for i in range(4)]


def test_a_column_that_only_a_later_chunk_has_is_empty_before_it(stream_of):
    stream_of(*map(pair, range(4)), *(pair(i, system="S") for i in range(4, 8)))
    file, _ = read(8)
    assert [len(record.prompt) for record in file.records] == [1] * 4 + [2] * 4
