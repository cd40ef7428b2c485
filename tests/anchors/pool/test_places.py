import sys
import types

import pytest

from levertune.anchors.pool import places
from levertune.anchors.pool.places import SHIPPED, locate, shipped_folder
from levertune.anchors.pool.reading import read_pool_folder
from levertune.errors import DataError


def test_a_folder_is_read_where_it_lies(tmp_path):
    located = locate(str(tmp_path))
    assert (located.folder, located.shown, located.root) == (tmp_path, str(tmp_path), tmp_path)


def test_the_shipped_pool_lies_beside_the_code():
    assert locate(SHIPPED).folder == shipped_folder()
    assert shipped_folder().parts[-4:] == ("levertune", "anchors", "pool", "entries")


@pytest.mark.parametrize("place", ["git+file:///srv/pool@v1", "bare"])
def test_repositories_are_fetched_into_the_cache(tmp_path, monkeypatch, place):
    if place == "bare":
        (tmp_path / "objects").mkdir()
        (tmp_path / "HEAD").write_text("ref: refs/heads/main", "utf-8")
        place = str(tmp_path)
    asked = []

    def fetch(repository, cache):
        asked.append((repository.url, cache))
        return tmp_path / "copy", ("A note.",)

    monkeypatch.setattr(places, "fetch_git", fetch)
    monkeypatch.setenv("LEVERTUNE_CACHE", str(tmp_path / "cache"))
    located = locate(place)
    assert located.folder == tmp_path / "copy"
    assert located.notes == ("A note.",)
    assert asked[0][1] == tmp_path / "cache" / "pools"


def test_an_address_that_is_no_pool_is_refused():
    with pytest.raises(DataError, match=r"^https://host/a: is no pool; found an address"):
        locate("https://me:pw@host/a")


@pytest.fixture
def hub(tmp_path, monkeypatch, make_entry, entry_file):
    """A stand-in for huggingface_hub that lays a snapshot out as the library does."""
    store = tmp_path / "datasets--o--n"
    snapshot = store / "snapshots" / "abc"
    (store / "blobs").mkdir(parents=True)
    snapshot.mkdir(parents=True)
    (store / "blobs" / "1").write_text(entry_file(make_entry()), "utf-8")
    (snapshot / "city-to-code.yaml").symlink_to("../../blobs/1")
    asked = []

    def snapshot_download(name, **settings):
        asked.append((name, settings))
        if name == "o/gone":
            raise RuntimeError("404: no such\ndataset")
        return str(snapshot)

    module = types.SimpleNamespace(snapshot_download=snapshot_download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    return asked


def test_a_hub_dataset_is_read_through_its_links(hub, make_entry):
    located = locate("hub:o/n@main")
    found = read_pool_folder(located.folder, shown=located.shown, root=located.root)
    assert found == {"hub:o/n@main/city-to-code.yaml": make_entry()}
    settings = {"repo_type": "dataset", "revision": "main", "allow_patterns": "*.yaml"}
    assert hub == [("o/n", settings)]


def test_a_hub_dataset_that_cannot_be_had_is_told(hub):
    with pytest.raises(DataError, match=r"^hub:o/gone: .*found '404: no such dataset'"):
        locate("hub:o/gone")
    for place in ("hub:name", "hub:a/b/c", "hub:o/n@", "hub:../x"):
        with pytest.raises(DataError, match="is no Hub dataset name"):
            locate(place)
