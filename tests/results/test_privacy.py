import pytest

from levertune.results.privacy import without_folders


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("run --task /data/x/tickets.csv seeds=2", "run --task tickets.csv seeds=2"),
        ("'/data/x/a.csv', line 3", "'a.csv', line 3"),
        ("task.path=/data/x/", "task.path=(folder)"),
        ("~/data/x.csv", "x.csv"),
        (r"C:\people\me\x.csv", "x.csv"),
        ("file:///data/x.csv", "x.csv"),
        ("hub:allenai/tulu@train", "hub:allenai/tulu@train"),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("on 1/2/2026, 3/4 of them", "on 1/2/2026, 3/4 of them"),
        ("runs/tickets/result.json", "runs/tickets/result.json"),
        ("./runs/x and ../y/z", "./runs/x and ../y/z"),
    ],
)
def test_absolute_paths_lose_their_folders_and_nothing_else_changes(text, shown):
    assert without_folders(text) == shown


def test_every_string_inside_is_reached():
    value = {"a": ["/x/y/z", {"b": "/x/y/w"}], "n": 1, "none": None}
    assert without_folders(value) == {"a": ["z", {"b": "w"}], "n": 1, "none": None}
