"""The stages one by one, and what the command line prints of a run."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from levertune.cli.main import main
from levertune.errors import RunError
from levertune.results.files import read_json
from levertune.runs.stages import eval_stage, mix_stage, train_stage

RUN = Path("runs/whole")
CELLS = [RUN / "arms" / arm / "seed-0" for arm in ("base", "sft-steps", "tell")]


def test_mix_train_eval_and_report_give_what_run_gives(project, finished, snapshot, capsys):
    """But for best/, which is `run`'s."""
    recipe = project.recipe_file()
    for verb, target in (
        ("mix", recipe),
        ("train", recipe),
        ("eval", str(RUN)),
        ("report", str(RUN)),
    ):
        assert main([verb, target]) == 0
        printed = capsys.readouterr().out.splitlines()
        assert printed
        assert all(Path(line).exists() for line in printed)
    assert str(RUN / "report.html") in printed
    origin, outcome, _ = finished
    whole = snapshot(origin.folder / outcome.run_dir)
    mine = snapshot(RUN)
    missing = {name for name in whole if name not in mine}
    assert {Path(name).parts[0] for name in missing} == {"best"}
    assert mine == {name: value for name, value in whole.items() if name not in missing}


def test_mix_writes_manifest_and_an_index_of_the_mixture(project):
    files = mix_stage(project.recipe(task__exposures=2))
    assert files == [cell / n for cell in CELLS[1:] for n in ("manifest.json", "mixture.arrow")]
    with pa.ipc.open_file(CELLS[2] / "mixture.arrow") as reader:
        table = reader.read_all()
    assert table.column_names == ["position", "source", "id", "row", "exposure"]
    rows = table.to_pylist()
    assert [row["position"] for row in rows] == list(range(32))
    task = [(row["id"], row["exposure"]) for row in rows if row["source"] == "task"]
    assert sorted(task) == sorted((str(i), e) for i in range(1, 13) for e in (0, 1))
    general = [row["id"] for row in rows if row["source"] == "general"]
    assert len(set(general)) == len(general) == 8
    plan = read_json(CELLS[2] / "manifest.json")["plan"]
    assert (plan["task_rows"], plan["exposures"]) == (12, 2)
    with pa.ipc.open_file(CELLS[1] / "mixture.arrow") as reader:
        assert set(reader.read_all()["source"].to_pylist()) == {"task"}


def test_a_stage_does_the_arm_and_seed_it_is_asked_for(project):
    recipe = project.recipe(seeds=[0, 1], arms=["sft", "tell"])
    assert [path.parts[-3] for path in train_stage(recipe, arm="sft", dry_run=True)] == ["sft"] * 2
    assert not RUN.exists()
    adapters = train_stage(recipe, arm="sft", seed=1)
    assert adapters == [RUN / "arms/sft/seed-1/adapter"]
    assert {path.parent for path in RUN.rglob("adapter_config.json")} == set(adapters)
    files = eval_stage(recipe, arm="sft", seed=1)
    assert [path.name for path in files] == ["predictions.jsonl", "likelihoods.jsonl", "cell.json"]
    assert all(path.is_file() for path in files)
    assert not (RUN / "result.json").exists()  # three cells are still to come


def test_eval_before_train_is_refused_and_writes_nothing(project, capsys):
    before = project.files()
    assert main(["eval", project.recipe_file()]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "error: runs/whole/arms/sft-steps/seed-0: has no adapter yet. Train it first, with: "
        "levertune train\n"
    )
    assert project.files() == before | {"recipe.yaml"}


def test_eval_refuses_a_damaged_adapter_and_train_mends_it(finished_copy, snapshot, capsys):
    whole = snapshot(RUN)
    weights = CELLS[2] / "adapter/adapter_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1  # one bit: it loads, and answers a little otherwise
    weights.write_bytes(content)
    damaged = snapshot(RUN)
    assert main(["eval", str(RUN), "--arm", "tell"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        f"error: {CELLS[2]}/adapter: is damaged; adapter_model.safetensors does not have its "
        "checksum. Train it again, with: levertune train\n"
    )
    assert snapshot(RUN) == damaged  # scores and answers on file are those of the whole adapter
    assert main(["train", str(RUN), "--arm", "tell"]) == 0
    assert main(["eval", str(RUN), "--arm", "tell"]) == 0
    assert snapshot(RUN) == whole


def test_train_resumes_nothing_made_from_another_mixture(project):
    mix_stage(project.recipe())
    path = CELLS[2] / "manifest.json"
    manifest = read_json(path)
    manifest["seeds"]["seed"] = 7
    path.write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(RunError, match="made from something else; seeds.seed: 7 -> 0"):
        train_stage(project.recipe(), arm="tell")


def test_the_last_eval_completes_the_result(finished_copy):
    (RUN / "result.json").unlink()
    shutil.rmtree(CELLS[0])
    files = eval_stage(finished_copy.recipe(), arm="base")
    assert files[-1] == RUN / "result.json"
    assert [arm["arm"] for arm in read_json(files[-1])["arms"]] == ["base", "sft-steps", "tell"]


def test_json_prints_the_result_and_nothing_else_to_standard_output(finished_copy, capsys):
    assert main(["run", finished_copy.recipe_file(), "--json"]) == 0
    out, err = capsys.readouterr()
    printed = json.loads(out)
    assert printed["run_dir"] == str(RUN)
    assert [arm["arm"] for arm in printed["result"]["arms"]] == ["base", "sft-steps", "tell"]
    assert "cells: 3" in err


def test_quiet_prints_the_result_alone(finished_copy, capsys):
    assert main(["run", finished_copy.recipe_file(), "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for words in ("sft-steps", "TELL scored", "report: runs/whole/report.html"):
        assert words in out


def test_a_plain_run_ends_with_the_next_command(finished_copy, capsys):
    assert main(["run", str(RUN)]) == 0
    assert capsys.readouterr().err.endswith("next: levertune chat runs/whole\n")


def test_a_dry_run_prints_the_plan_and_writes_nothing(project, capsys):
    recipe = project.recipe_file()
    before = project.files()
    assert main(["run", recipe, "--dry-run", "--json"]) == 0
    lines = json.loads(capsys.readouterr().out)["lines"]
    assert any(line.startswith("estimate: about") for line in lines)
    for verb in ("mix", "train", "eval"):
        assert main([verb, recipe, "--dry-run"]) == 0
        assert "runs/whole/arms/tell/seed-0" in capsys.readouterr().out
    assert project.files() == before
