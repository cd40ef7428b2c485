import sys
import types

import pytest

from levertune.data.hub import parse_hub_name
from levertune.data.readers import read_records
from levertune.errors import DataError


class FakeDataset(list):
    def select(self, numbers):
        return FakeDataset(self[number] for number in numbers)


@pytest.fixture
def hub(monkeypatch):
    calls = []
    rows = FakeDataset({"prompt": f"p{i}", "completion": "c", "extra": None} for i in range(20))

    def load_dataset(name, config):
        calls.append((name, config))
        if name == "nobody/nothing":
            raise ConnectionError("no\nnetwork")
        return {"train": rows, "test": FakeDataset(rows[:2])}

    fake = types.ModuleType("datasets")
    fake.load_dataset = load_dataset
    monkeypatch.setitem(sys.modules, "datasets", fake)
    return calls


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("hub:a/b", ("a/b", None, "train")),
        ("hub:b@test", ("b", None, "test")),
        ("hub:a/b:en@test", ("a/b", "en", "test")),
    ],
)
def test_name_has_config_and_split(text, parts):
    name = parse_hub_name(text)
    assert (name.name, name.config, name.split) == parts


@pytest.mark.parametrize("text", ["hub:", "hub:a/b/c", "hub:a b", "hub:a:", "hub:a@", "hub:../a"])
def test_other_forms_are_refused(text):
    with pytest.raises(DataError, match="is no Hub dataset name"):
        parse_hub_name(text)


def test_rows_of_the_split_become_records(hub):
    file = read_records("hub:a/b:en@test")
    assert (hub, file.file_format) == ([("a/b", "en")], "hub")
    assert [record.id for record in file.records] == ["1", "2"]
    assert file.sha256 == read_records("hub:a/b@test").sha256 != read_records("hub:a/b").sha256


def test_missing_split_lists_those_there_are(hub):
    with pytest.raises(DataError, match=r"no split 'dev'; found \['test', 'train'\]"):
        read_records("hub:a/b@dev")


def test_unreachable_dataset_is_one_line(hub):
    with pytest.raises(DataError, match="cannot be loaded; found 'no network'"):
        read_records("hub:nobody/nothing")


def test_drawn_rows_keep_their_numbers_and_contain_smaller_draws(hub):
    few = {r.id for r in read_records("hub:a/b", max_hub_rows=5, seed=1).records}
    more = read_records("hub:a/b", max_hub_rows=9, seed=1).records
    assert len(few) == 5
    assert few < {record.id for record in more}
    assert all(record.user_text == f"p{int(record.id) - 1}" for record in more)
