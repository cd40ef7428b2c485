import json
import re
import shlex
from dataclasses import replace

import pytest

from levertune.anchors.auto import choose_anchor
from levertune.anchors.pool import merge
from levertune.anchors.pool.entry import PoolEntry, PoolEvidence, PoolExample
from levertune.anchors.pool.reading import read_entry
from levertune.anchors.pool.writing import write_entry
from levertune.cli.main import main
from levertune.data.records import Message, Record
from levertune.recipes.loading import recipe_for_task
from levertune.runs.inputs import read_inputs

TEXT = "Name the knot that the sailor describes."


@pytest.fixture
def make_other_pool(tmp_path):
    def make():
        examples = tuple(PoolExample(f"Brew {n} of the tea leaves", f"{n} min") for n in range(5))
        entry = PoolEntry(
            "tea", "Say how long the tea steeps.", "steeping", "text", "Steep tea.", ("en",),
            "CC0-1.0", "A cook", examples,
        )  # fmt: skip
        write_entry(tmp_path / "teas", entry)
        return tmp_path / "teas"

    return make


@pytest.fixture
def pool(tmp_path):
    folder = tmp_path / "knots"
    entry = PoolEntry(
        id="sailors-knots",
        text=TEXT,
        kind="knot-naming",
        answer="label",
        task="Tell which knot a sailor describes.",
        languages=("en",),
        licence="CC0-1.0",
        author="A rigger",
        examples=tuple(
            PoolExample(f"A loop of kind {n} in the rope that holds the boat", "bowline")
            for n in range(5)
        ),
    )
    write_entry(folder, entry)
    return folder


def test_the_list_holds_the_shipped_anchors_and_those_of_further_pools(pool, capsys):
    assert main(["anchor", "pool", "list", "--pool", str(pool), "--json"]) == 0
    found = {one["id"]: one for one in json.loads(capsys.readouterr().out)["anchors"]}
    assert {"sailors-knots", "invoice-to-json"} <= set(found)
    assert found["sailors-knots"]["gain"] is None
    assert not found["sailors-knots"]["is_verified"]


def test_a_measured_gain_that_nobody_verified_is_shown_and_marked(pool, task, capsys):
    file = pool / "sailors-knots.yaml"
    entry = read_entry(file)
    first = PoolEvidence(
        run="a" * 64, model="tiny", task="b" * 64, against="sft", metric="accuracy", n=128,
        seeds=3, gain=12.5, interval=(5.0, 20.0), verified=True,
    )  # fmt: skip
    over_base = replace(first, against="base", gain=40.0, interval=(30.0, 50.0))
    write_entry(pool, replace(entry, evidence=(over_base, first)))
    assert main(["anchor", "pool", "list", "--pool", str(pool)]) == 0
    lines = capsys.readouterr().out.splitlines()
    [line] = [line for line in lines if "sailors-knots" in line]
    assert "+12.5 over SFT, unverified" in line
    assert "not measured" in "".join(lines)
    assert main(["anchor", "pool", "search", "--task", str(task), "--pool", str(pool)]) == 0
    assert "+12.5 over SFT, unverified" in capsys.readouterr().out
    file.unlink()
    write_entry(pool, replace(entry, evidence=(over_base,)))
    assert main(["anchor", "pool", "list", "--pool", str(pool)]) == 0
    assert "+40.0 over base, unverified" in capsys.readouterr().out


def test_one_anchor_is_shown_whole(pool, capsys):
    assert main(["anchor", "pool", "show", "sailors-knots", "--pool", str(pool)]) == 0
    shown = capsys.readouterr().out
    assert TEXT in shown
    assert shown.count("bowline") == 5


def test_an_unknown_anchor_is_one_line_that_offers_the_nearest(pool, capsys):
    assert main(["anchor", "pool", "show", "sailor-knots", "--pool", str(pool)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "pool:sailor-knots" in line
    assert "Did you mean 'sailors-knots'?" in line


@pytest.fixture
def task(tmp_path):
    path = tmp_path / "task.jsonl"
    rows = [
        {"prompt": f"A loop in the rope, number {n}, that holds the boat", "completion": "bowline"}
        for n in range(4)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_rows_find_the_anchor_of_their_own_task(pool, task, capsys):
    words = ["anchor", "pool", "search", "--task", str(task), "--num", "3", "--pool", str(pool)]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["anchors"]
    assert len(found) == 3
    assert found[0]["id"] == "sailors-knots"
    assert main(words) == 0
    captured = capsys.readouterr()
    assert "sailors-knots" in captured.out
    assert "anchor.text=pool:sailors-knots" in captured.err


def test_rows_set_aside_to_test_on_have_no_part_in_a_search(pool, task, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "levertune.anchors.pool.ranking.suggest_anchors",
        lambda entries, records, **_: seen.append({record.id for record in records}) or [],
    )
    words = ["anchor", "pool", "search", "--task", str(task), "--pool", str(pool)]
    for setting in ("0.5", "cv:2"):
        assert main([*words, f"task.test={setting}"]) == 0
    held_out = read_inputs(recipe_for_task(task, ["task.test=0.5"])).test_records
    assert len(held_out) == 2
    everything = {"1", "2", "3", "4"}
    assert seen == [everything - {record.id for record in held_out}, everything]


def advised(text):
    """The settings that a search says to type."""
    return shlex.split(text.partition("levertune run with ")[2])


def test_the_advice_names_the_pool_that_a_recipe_lacks(pool, task, capsys):
    words = ["anchor", "pool", "search", "--task", str(task), "--num", "1"]
    assert main([*words, "--pool", str(pool)]) == 0
    settings = advised(capsys.readouterr().err)
    assert settings == ["anchor.text=pool:sailors-knots", f"anchor.pools=[{pool}]"]
    section = recipe_for_task(task, settings).anchor
    rows = [Record(str(n), "task", (Message("user", "A knot"),), "bowline") for n in range(2)]
    choice = choose_anchor(section.text, rows, pools=section.pools)
    assert choice.anchor.text == TEXT


def test_the_advice_shows_no_secret_of_an_address(pool, task, capsys, monkeypatch):
    place = "git+https://name:token@host/pool"
    real = merge.locate
    monkeypatch.setattr(
        merge, "locate", lambda one, cache: real(str(pool) if one == place else one, cache=cache)
    )
    assert main(["anchor", "pool", "search", "--task", str(task), "--pool", place]) == 0
    told = capsys.readouterr().err
    assert "anchor.pools=[" in told
    assert "token" not in told


def test_the_pools_of_the_recipe_are_searched_and_kept(pool, task, make_other_pool, capsys):
    words = ["anchor", "pool", "search", "--task", str(task), "--num", "1"]
    assert main([*words, f"anchor.pools=[{pool}]"]) == 0
    assert advised(capsys.readouterr().err) == ["anchor.text=pool:sailors-knots"]
    other = make_other_pool()
    assert main([*words, f"anchor.pools=[{other}]", "--pool", str(pool)]) == 0
    settings = advised(capsys.readouterr().err)
    assert settings == ["anchor.text=pool:sailors-knots", f"anchor.pools=[{other}, {pool}]"]


def test_anchors_of_tasks_unlike_the_rows_are_marked_and_none_is_advised(tmp_path, capsys):
    task = tmp_path / "unlike.jsonl"
    rows = [{"prompt": f"quux {word}", "completion": "zork"} for word in ("frob", "gnar", "wibb")]
    task.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    words = ["anchor", "pool", "search", "--task", str(task), "--num", "2"]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["anchors"]
    assert [(one["likeness"], one["is_alike"]) for one in found] == [(0.0, False)] * 2
    assert main(words) == 0
    captured = capsys.readouterr()
    assert captured.out.count("0.00, unlike") == 2
    assert "no anchor is of a task enough like these rows" in captured.err
    assert "next:" not in captured.err


def test_a_pool_with_a_fault_is_told_with_all_of_them_and_exit_status_1(pool, capsys):
    assert main(["anchor", "pool", "check", str(pool)]) == 0
    (pool / "broken.yaml").write_text("id: broken\ntext: [1]\n", encoding="utf-8")
    (pool / "other.yaml").write_text("id: another\n", encoding="utf-8")
    capsys.readouterr()
    assert main(["anchor", "pool", "check", str(pool)]) == 1
    captured = capsys.readouterr()
    assert "broken.yaml" in captured.out
    assert "other.yaml" in captured.out
    assert re.search(r"faults: [1-9]\d*, to look at: 0", captured.err)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["anchor"], "ACTION"),
        (["anchor", "pool"], "STEP"),
        (["anchor", "pool", "search", "--num", "0"], "must be a number from 1; found '0'"),
        (["anchor", "suggest", "--num", "-2"], "must be a number from 1; found '-2'"),
        (["anchor", "suggest", "--num", "0"], "must be a number from 1; found '0'"),
        (["anchor", "pool", "check", "nowhere"], "nowhere: there is no such folder"),
        (["anchor", "pool", "list", "--pool", "nowhere"], "nowhere"),
        (["anchor", "pool", "search"], "one recipe is needed; found nothing"),
    ],
)
def test_what_is_missing_or_wrong_is_one_line(words, message, capsys):
    assert main(words) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line
