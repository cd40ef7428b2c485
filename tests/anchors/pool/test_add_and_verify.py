"""`levertune anchor pool add` and `verify`, on a run that was measured."""

import dataclasses
import json

import pytest

from levertune.anchors.pool.reading import read_entry, read_pool_folder
from levertune.anchors.pool.writing import find_entry_file, write_entry
from levertune.cli.main import main
from levertune.data.cache_folder import sha256_of
from levertune.errors import DataError
from levertune.runs.pool_contribution import NewEntry, contribute_run

# Rows that vary their instruction: the anchor stands in its place.
ASKED = ("Give me the airport code.\n", "Which airport code is it?\n")
ROWS = ["1", "2", "3", "4", "5"]
WORDS = {
    "--kind": ["code-lookup"],
    "--about": ["Give the code of a city."],
    "--language": ["en"],
    "--licence": ["CC0-1.0"],
    "--author": ["A person"],
    "--rows": ROWS,
}


@pytest.fixture
def pool(tmp_path):
    return tmp_path / "pool"


@pytest.fixture
def finished(tmp_path, write_run):
    """Makes a run folder with its recipe and rows."""

    def finish(name, **changes):
        folder = write_run(tmp_path / name, **changes)
        task = tmp_path / "task.jsonl"
        rows = [
            {"prompt": f"{asked}City {i} lies far away", "completion": f"C{i}"}
            for i, asked in enumerate(ASKED * 6)
        ]
        task.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        result = json.loads((folder / "result.json").read_text("utf-8"))
        result["task"]["sha256"] = sha256_of(task)
        (folder / "result.json").write_text(json.dumps(result), "utf-8")
        (folder / "recipe.yaml").write_text(
            f"version: 1\ntask: {{path: {json.dumps(str(task))}}}\n", "utf-8"
        )
        return folder

    return finish


def add(run, pool, *, without=(), **changes):
    words = {**WORDS, **{f"--{name}": value for name, value in changes.items()}}
    options = [w for name, given in words.items() if name not in without for w in (name, *given)]
    return main(["anchor", "pool", "add", str(run), "--to", str(pool), "--id", "cities", *options])


def test_the_anchor_of_a_run_is_written_and_read_back_unverified(finished, pool, capsys):
    assert add(finished("run"), pool) == 0
    captured = capsys.readouterr()
    assert "published rows: 1, 2, 3, 4, 5" in captured.err
    [entry] = read_pool_folder(pool).values()
    assert (entry.id, entry.author, entry.languages) == ("cities", "A person", ("en",))
    assert [one.prompt for one in entry.examples] == [f"City {i} lies far away" for i in range(5)]
    [evidence] = entry.evidence
    assert evidence.gain == 30.0
    assert not evidence.verified


def test_python_adds_what_the_command_adds(finished, pool, tmp_path):
    run, new = finished("run"), NewEntry(
        kind="code-lookup", about="Give the code of a city.", language=["en"],
        licence="CC0-1.0", author="A person", rows=ROWS,
    )  # fmt: skip
    assert add(run, pool) == 0
    path, is_new = contribute_run(run, tmp_path / "own", "cities", new)
    assert is_new
    assert read_entry(path) == read_entry(find_entry_file(pool, "cities"))
    again, is_new = contribute_run(run, tmp_path / "own", "cities")
    assert (again, is_new) == (path, False)
    with pytest.raises(DataError, match=r"a new entry needs --kind, .*--rows"):
        contribute_run(run, tmp_path / "own", "other")


def test_a_second_run_adds_its_gain_and_leaves_all_else(finished, pool, capsys):
    assert add(finished("run"), pool) == 0
    [first] = read_pool_folder(pool).values()
    write_entry(pool, dataclasses.replace(first, votes=7))
    second = finished("second", arms={"tell": 15, "sft": 9})
    capsys.readouterr()
    assert add(second, pool, without=WORDS) == 0
    assert "its words, examples and votes stay" in capsys.readouterr().err
    [entry] = read_pool_folder(pool).values()
    assert [one.gain for one in entry.evidence] == [30.0, 30.0]
    assert len({one.run for one in entry.evidence}) == 2
    assert entry == dataclasses.replace(first, votes=7, evidence=entry.evidence)


def test_a_new_entry_lies_where_the_pool_has_its_entries(finished, pool):
    (pool / "entries").mkdir(parents=True)
    assert add(finished("run"), pool) == 0
    assert [one.id for one in read_pool_folder(pool).values()] == ["cities"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": ["1", "2", "3", "4", "99"]}, "there is no row '99'"),
        ({"rows": ["1", "2"]}, "name at least 5 rows to publish; found 2"),
        ({"without": ("--rows", "--kind")}, "a new entry needs --kind, --rows; found none"),
    ],
)
def test_what_is_missing_is_one_line_and_nothing_is_written(
    finished, pool, capsys, changes, message
):
    run = finished("run")
    assert add(run, pool, **changes) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line
    assert not pool.exists()


def test_rows_of_a_file_that_was_changed_after_the_run_are_not_published(
    finished, pool, tmp_path, capsys
):
    run = finished("run")
    task = tmp_path / "task.jsonl"
    lines = task.read_text("utf-8").splitlines(keepends=True)
    task.write_text("".join(lines[::-1]), "utf-8")
    assert add(run, pool) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert f"{task}: is not the file that the run {run} was trained on; found hash" in line
    assert not pool.exists()


def test_a_run_without_an_anchor_or_with_another_is_one_line(finished, pool, capsys):
    assert add(finished("bare", text=None), pool) == 2
    assert "had no anchor" in capsys.readouterr().err
    assert add(finished("run"), pool) == 0
    capsys.readouterr()
    assert add(finished("other", text="Another."), pool) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "used another text; found 'Another.'" in line


def test_a_gain_is_verified_from_its_run_by_who_keeps_the_collection(finished, pool, capsys):
    run = finished("run")
    assert add(run, pool) == 0
    file = pool / "cities.yaml"
    capsys.readouterr()
    assert main(["anchor", "pool", "verify", str(file), str(run)]) == 0
    assert "verified" in capsys.readouterr().out
    [evidence] = read_entry(file).evidence
    assert evidence.verified


def test_the_file_that_is_named_is_verified_though_there_are_entries_beside_it(
    finished, pool, capsys
):
    run = finished("run")
    assert add(run, pool) == 0
    (pool / "entries").mkdir()
    file = pool / "cities.yaml"
    assert main(["anchor", "pool", "verify", str(file), str(run)]) == 0
    assert read_entry(file).evidence[0].verified
    assert not list((pool / "entries").iterdir())


def test_a_stated_gain_that_its_run_does_not_give_stays_unverified(finished, pool, capsys):
    run = finished("run")
    assert add(run, pool) == 0
    file = pool / "cities.yaml"
    file.write_text(file.read_text("utf-8").replace("gain: 30.0", "gain: 60.0"), "utf-8")
    capsys.readouterr()
    assert main(["anchor", "pool", "verify", str(file), str(run)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "found 60.0, the run gives 30.0" in line
    assert not read_entry(file).evidence[0].verified
