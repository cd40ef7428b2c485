"""The grids behind the docs: every variant is a recipe that can be run, and takes what is there."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from levertune.recipes.loading import load_recipe

ROOT = Path(__file__).parents[1]
GRIDS = sorted((ROOT / "benchmarks" / "evidence").glob("*_grid.yaml"))


@pytest.fixture(scope="module")
def run_grid():
    sys.path.insert(0, str(ROOT / "benchmarks" / "evidence"))
    try:
        import run_grid

        yield run_grid
    finally:
        sys.path.remove(str(ROOT / "benchmarks" / "evidence"))


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", GRIDS, ids=lambda path: path.stem)
def test_every_variant_is_a_recipe(path, run_grid, monkeypatch):
    monkeypatch.chdir(ROOT)
    grid = read(path)
    runs = list(run_grid.expand(grid))
    assert grid["reference"] in {run.variant for run in runs}
    assert len({run.folder for run in runs}) == len(runs)
    assert len({run.results for run in runs}) == len(runs)
    for run in runs:
        seeds = run.own_seeds(grid["seeds"])
        *_, command = [words for words in commands(run, seeds) if "run" in words]
        start = command.index("run") + 1
        words = [word for word in command[start + 1 :] if "=" in word]
        recipe = load_recipe(Path(command[start]), words)
        assert recipe.arms == (run.arm,)
        assert recipe.output_dir == str(run.folder)
        assert recipe.seeds == tuple(seeds)
        assert seeds == ([run.seed] if run.seed is not None else list(range(grid["seeds"])))
        if run.trained_as is not None:
            assert run.trained_as in {other.folder for other in runs}


def commands(run, seeds):
    """What would be called, nothing of it done: an anchor is there, adapters need no copy."""
    found = replace(run, suggest=(), trained_as=None)
    return list(found.commands(seeds))


def test_what_is_tested_otherwise_takes_the_adapters_of_its_variant(run_grid, tmp_path):
    trained = tmp_path / "shared"
    for seed in (0, 1):
        cell = trained / "arms" / "tell" / f"seed-{seed}"
        (cell / "adapter").mkdir(parents=True)
        (cell / "adapter" / "weights").write_text(f"weights {seed}")
        for name in ("cell.json", "predictions.jsonl", "likelihoods.jsonl"):
            (cell / name).write_text("tested with the anchor")
    run = run_grid.Run(
        Path("recipe.yaml"),
        "bare",
        {"arms": ["tell"]},
        tmp_path / "bare",
        tmp_path / "kept",
        "abc",
        trained_as=trained,
    )
    bare = tmp_path / "bare" / "arms" / "tell"
    [command] = run.commands([0])
    assert "run" in command
    assert [path.name for path in bare.iterdir()] == ["seed-0"]
    (bare / "seed-0" / "cell.json").write_text("tested without")
    (run.folder / "result.json").write_text("{}")
    # One more seed: what was tested stays, and the other's test is not taken for this one's.
    [_] = run.commands([0, 1])
    assert (bare / "seed-0" / "cell.json").read_text() == "tested without"
    assert sorted(path.name for path in (bare / "seed-1").iterdir()) == ["adapter"]
    assert (bare / "seed-1" / "adapter" / "weights").read_text() == "weights 1"


def test_a_suggested_anchor_is_kept_and_not_written_twice(run_grid, tmp_path):
    run = run_grid.Run(
        Path("recipe.yaml"),
        "pool",
        {"arms": ["tell"]},
        tmp_path / "pool",
        tmp_path / "kept",
        "abc",
        suggest=("--way", "pool"),
    )
    commands = run.commands([0])
    first = next(commands)
    assert first[3:5] == ["anchor", "suggest"]
    candidates = Path(first[first.index("--to") + 1])
    candidates.write_text('{"text": "Give the code."}\n{"text": "Other."}\n')
    assert f'anchor.text="file:{run.anchor_file}"' in next(commands)
    assert run.anchor_file.read_text() == "Give the code."
    [again] = run.commands([0])
    assert "run" in again


@pytest.fixture
def small_grid(tmp_path):
    grid = {
        "recipes": ["a.yaml"],
        "seeds": 1,
        "output": "runs",
        "results": str(tmp_path / "kept"),
        "settings": {"arms": ["tell"]},
        "reference": "other",
        "variants": {
            "trained": {"anchor.text": "Give the code."},
            "bare": {"trained_as": "trained", "evaluation.anchor": None},
            "other": {},
        },
    }
    path = tmp_path / "grid.yaml"
    path.write_text(yaml.safe_dump(grid, sort_keys=False))
    return path


@pytest.mark.parametrize(
    ("only", "expected"),
    [(["bare"], ["trained", "bare"]), (["trained"], ["trained"]), (["other"], ["other"])],
)
def test_what_is_tested_otherwise_brings_the_variant_it_was_trained_as(
    run_grid, small_grid, monkeypatch, only, expected
):
    asked = []
    monkeypatch.setattr(run_grid, "run_all", lambda runs, *_: asked.extend(runs) or 0)
    monkeypatch.setattr(sys, "argv", ["run_grid.py", "run", str(small_grid), "--only", *only])
    assert run_grid.main() == 0
    assert [run.variant for run in asked] == expected


def test_a_variant_that_the_grid_does_not_have_is_said(run_grid, small_grid, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["run_grid.py", "table", str(small_grid), "--only", "bear"])
    with pytest.raises(SystemExit) as stopped:
        run_grid.main()
    assert stopped.value.code == 2
    assert "no variant 'bear'; it has trained, bare, other" in capsys.readouterr().err


def test_a_variant_can_be_for_some_of_the_recipes(run_grid):
    grid = {
        "recipes": ["a.yaml", "b.yaml"],
        "output": "runs",
        "results": "results",
        "settings": {"arms": ["tell"]},
        "variants": {"both": {}, "one": {"recipes": ["b"], "task.exposures": 3}},
    }
    found = [(run.recipe.stem, run.variant, dict(run.settings)) for run in run_grid.expand(grid)]
    assert found == [
        ("a", "both", {"arms": ["tell"]}),
        ("b", "both", {"arms": ["tell"]}),
        ("b", "one", {"arms": ["tell"], "task.exposures": 3}),
    ]


def test_what_is_tested_otherwise_has_the_settings_it_was_trained_with(run_grid):
    grid = {
        "recipes": ["a.yaml"],
        "output": "runs",
        "results": "results",
        "settings": {"arms": ["tell"]},
        "variants": {
            "trained": {
                "anchor.dropout": 0.5,
                "by_recipe": {"a": {"anchor.text": "Give the code."}},
            },
            "bare": {"trained_as": "trained", "evaluation.anchor": None},
        },
    }
    trained, bare = run_grid.expand(grid)
    assert bare.settings == {**trained.settings, "evaluation.anchor": None}
    assert trained.settings["anchor.text"] == "Give the code."


def test_only_seeds_that_were_not_kept_are_run(run_grid, tmp_path, monkeypatch):
    run = run_grid.Run(
        Path("r.yaml"), "v", {"arms": ["tell"]}, tmp_path / "v", tmp_path / "kept", "abc"
    )
    monkeypatch.setattr(run_grid, "read_kept", lambda path, made_by: path.stem == "seed-1" or None)
    assert run.left(3) == [0, 2]
    [command] = run.commands(run.left(3))
    assert "seeds=[0, 2]" in command
    for_one = replace(run, seed=2)
    assert for_one.own_seeds(3) == [2]
    assert for_one.left(2) == []


def test_a_kept_variant_is_trained_again_where_another_needs_its_adapters(
    run_grid, tmp_path, monkeypatch
):
    base = run_grid.Run(
        Path("r.yaml"), "v", {"arms": ["tell"]}, tmp_path / "v", tmp_path / "k" / "v", "abc"
    )
    bare = replace(
        base,
        variant="w",
        folder=tmp_path / "w",
        results=tmp_path / "k" / "w",
        trained_as=base.folder,
    )
    monkeypatch.setattr(
        run_grid, "read_kept", lambda path, made_by: path.parent.name == "v" or None
    )
    asked = []
    monkeypatch.setattr(
        run_grid.Run, "commands", lambda run, seeds: asked.append((run.variant, seeds)) or ()
    )
    run_grid.run_all([base, bare], 2, 1)
    assert asked == [("v", [0, 1]), ("w", [0, 1])]


def test_whatever_the_grid_says_of_a_variant_makes_it_another_run(run_grid, tmp_path):
    recipe = tmp_path / "r.yaml"
    recipe.write_text("version: 1\n")

    def one(variant, settings=None, name="v"):
        grid = {
            "recipes": [str(recipe)],
            "output": "runs",
            "results": "results",
            "settings": settings or {"arms": ["tell"]},
            "variants": {"other": {"anchor.dropout": 0.1}, name: variant},
        }
        return [run for run in run_grid.expand(grid) if run.variant == name][0]

    variants = [
        {},
        {"general.rows": 3},
        {"suggest": "template"},
        {"suggest": "features"},
        {"suggest": "features", "suggest_options": ["--num", "2"]},
        {"tune": "anchor"},
        {"trained_as": "other"},
        {"by_recipe": {"r": {"general.rows": 4}}},
    ]
    runs = [one(variant) for variant in variants] + [one({}, {"arms": ["sft"]})]
    recipe.write_text("version: 1\nseeds: 2\n")
    runs.append(one({}))
    for of in ("made_by", "folder", "anchor_file"):
        assert len({getattr(run, of) for run in runs}) == len(runs)
    recipe.write_text("# words\nversion: 1\n")
    assert one({"by_recipe": {"q": {"general.rows": 4}}}) == runs[0]


def test_a_table_names_how_many_times_are_known_and_makes_none_up(run_grid):
    from kept import KeptCell
    from kept_table import make_table

    from levertune.scoring.metrics import find_metric

    def cell(seed, right, seconds):
        score = find_metric("exact_match").score(["a"] * right + ["b"] * (8 - right), [["a"]] * 8)
        rows = tuple(map(str, range(8)))
        return KeptCell(seed, score, dict.fromkeys(("task", "retention"), score), {"task": rows},
                        {"seconds": {"total": seconds}})  # fmt: skip

    half, whole = cell(0, 4, 120.0), cell(1, 8, None)
    lines = make_table(
        {"none": {}, "old": {0: half}, "new": {0: half, 1: whole}, "lost": {1: whole}}, "old"
    )
    cells = {
        line.split(" | ")[0][2:]: line.strip("| ").split(" | ") for line in lines.split("\n")[2:]
    }
    assert list(cells) == ["old", "new", "lost"]
    assert [row[-1] for row in cells.values()] == ["2.0", "2.0 (1 of 2)", "-"]
    assert [row[3].split()[0] for row in cells.values()] == ["-", "+0.0", "-"]
    assert [row[2].split()[0] for row in cells.values()] == ["50.0", "75.0", "100.0"]


def test_a_grid_has_settings_for_one_recipe_and_the_others_stay_the_runs_they_were(run_grid):
    grid = {
        "recipes": ["a.yaml", "b.yaml"],
        "output": "runs",
        "results": "results",
        "settings": {"arms": ["tell"], "task.exposures": 5},
        "variants": {"plain": {}, "more": {"task.exposures": 9}},
    }
    before = {(run.recipe.stem, run.variant): run for run in run_grid.expand(grid)}
    grid["by_recipe"] = {"b": {"task.exposures": 3}}
    after = {(run.recipe.stem, run.variant): run for run in run_grid.expand(grid)}
    assert [run.settings["task.exposures"] for run in after.values()] == [5, 3, 9, 9]
    same = [key for key in before if before[key].made_by == after[key].made_by]
    assert same == [("a", "plain"), ("a", "more")]


def scored_cell(seed, right, rows=8, **numbers):
    from kept import KeptCell

    from levertune.scoring.metrics import find_metric

    answers = ["a"] * right + ["b"] * (rows - right)
    score = find_metric("exact_match").score(answers, [["a"]] * rows)
    ids = {"task": tuple(map(str, range(rows)))}
    likelihoods = dict.fromkeys(("task", "retention"), score)
    return KeptCell(seed, score, likelihoods, ids, {"seconds": {"total": 60.0}, **numbers})


def rows_of(table):
    lines = [line.strip("| ").split(" | ") for line in table.split("\n") if line.startswith("| ")]
    return {line[0]: line[1:] for line in lines[2:]}


def test_a_variant_with_a_run_for_each_seed_is_one_row_and_first_seeds_can_be_left_out(
    run_grid, monkeypatch, capsys
):
    grid = {
        "recipes": ["a.yaml"],
        "output": "runs",
        "results": "results",
        "settings": {"arms": ["tell"]},
        "seeds": 3,
        "variants": {
            "plain": {},
            "varied": {"by_seed": True, "task.path": "train-{seed}.jsonl"},
        },
    }
    runs = list(run_grid.expand(grid))
    assert [run.variant for run in runs] == ["plain", "varied", "varied", "varied"]
    assert [run.settings["task.path"] for run in runs[1:]] == [
        f"train-{seed}.jsonl" for seed in range(3)
    ]
    assert [run.seed for run in run_grid.expand(grid, 5)] == [None, *range(5)]
    monkeypatch.setattr(run_grid.Run, "keep", lambda run, seeds: None)
    monkeypatch.setattr(
        run_grid.Run,
        "kept",
        lambda run, seed: scored_cell(seed, 2 * seed + 2 * (run.variant == "varied")),
    )
    run_grid.write_tables(runs, 3, "plain")
    table = rows_of(capsys.readouterr().out)
    assert [row[0] for row in table.values()] == ["3", "3"]
    assert [row[1].split()[0] for row in table.values()] == ["25.0", "50.0"]
    run_grid.write_tables(runs, 3, "plain", first_seed=1)
    table = rows_of(capsys.readouterr().out)
    assert [row[0] for row in table.values()] == ["2", "2"]
    assert [row[1].split()[0] for row in table.values()] == ["37.5", "62.5"]
    assert table["varied"][2].split()[0] == "+25.0"


def test_a_difference_over_fewer_seeds_than_the_row_has_says_so(run_grid):
    from kept_table import make_table

    def cells(*seeds):
        return {seed: scored_cell(seed, 4) for seed in seeds}

    variants = {
        "plain": cells(0, 1, 2),
        "more": cells(0, 1, 2, 3, 4),
        "as-many": cells(0, 1, 2),
        "one": cells(2, 3),
        "others": cells(5),
    }
    found = rows_of(make_table(variants, "plain"))
    said = {variant: row[2].partition("] ")[2] for variant, row in found.items()}
    assert said == {
        "plain": "",
        "more": "(3 seeds)",
        "as-many": "",
        "one": "(1 seed)",
        "others": "",
    }
    assert found["others"][2] == "-"
    assert found["more"][4].endswith(" (3 seeds)")


def test_a_table_of_anchors_says_their_tokens_and_what_their_design_cost(run_grid):
    from kept_table import make_table

    design = {"tokens": 1200, "seconds": 30.04, "requests": 4}
    tuned = {
        "tokens": None,
        "seconds": 90.0,
        "requests": 0,
        "trials": 12,
        "trial_tokens": 40_000,
        "trial_seconds": 600.0,
    }
    found = rows_of(
        make_table(
            {
                "none": {0: scored_cell(0, 4, anchor=None, design=None)},
                "model": {0: scored_cell(0, 4, anchor=counts(12, 12), design=design)},
                "anneal": {0: scored_cell(0, 4, anchor=counts(12, 0), design=None)},
                "tuned": {0: scored_cell(0, 4, anchor=counts(9, 9), design=tuned)},
                "unknown": {0: scored_cell(0, 4)},
            },
            "none",
        )
    )
    assert {variant: tuple(row[-2:]) for variant, row in found.items()} == {
        "none": ("0", "-"),
        "model": ("12", "30.0 s, 4 requests, 1,200 tokens"),
        "anneal": ("12 → 0", "-"),
        "tuned": ("9", "90.0 s, ? tokens, 12 trials (40,000 tokens, 10.0 min)"),
        "unknown": ("-", "-"),
    }


def counts(tokens, served_tokens):
    return {"id": "abc", "tokens": tokens, "served_tokens": served_tokens}


def test_the_design_of_a_suggested_anchor_costs_what_all_its_candidates_cost(run_grid, tmp_path):
    from anchor_design import cost_numbers, suggestion_cost

    from levertune.anchors.answer_store import AnswerStore
    from levertune.anchors.asking import Answer
    from levertune.anchors.candidates import AnchorCandidate, DesignCost
    from levertune.results.candidate_file import write_candidates

    costs = DesignCost(100, 2.0, 1), DesignCost(50, 1.5, 2)
    rows = [AnchorCandidate(f"Text {n}.", "model", cost).to_json() for n, cost in enumerate(costs)]
    write_candidates(tmp_path / "a.jsonl", rows)
    cost = suggestion_cost(tmp_path / "a.jsonl")
    assert cost_numbers(cost) == {"tokens": 150, "seconds": 3.5, "requests": 3}
    # Unusable answers cost as much as others.
    store = AnswerStore(tmp_path / "a.answers.jsonl", "m")
    for seed, text in enumerate(("Text 0.", "no use", "Text 1.")):
        store.answer(lambda *_, text=text, **__: Answer(text, 60, 2), "", "f", seed, 9, lambda: 0.0)
    cost = suggestion_cost(tmp_path / "a.jsonl")
    assert cost_numbers(cost) == {"tokens": 180, "seconds": 0.0, "requests": 6}


@pytest.mark.parametrize(("seconds", "known"), [((3.0, 4.5), 7.5), ((3.0, None), None)])
def test_the_design_of_a_tuned_anchor_costs_the_writing_and_the_race(
    run_grid, tmp_path, seconds, known
):
    from anchor_design import tuning_cost

    from levertune.results.provenance import collect_provenance
    from levertune.results.tuning import (
        ProposedAnchor,
        Trial,
        TunedChoice,
        Tuning,
        write_trial,
        write_tuning,
    )

    assert tuning_cost(tmp_path) is None
    anchors = tuple(
        ProposedAnchor(f"Text {n}.", f"Text {n}.", "model", 3, 1.0, 100, 2.0, 1) for n in range(2)
    )
    choice = TunedChoice("tell", None, {"anchor.text": "Text 0."}, (), anchors)
    write_tuning(tmp_path, Tuning(("anchor.text",), 0, "abc", (choice,), collect_provenance()))
    for n, spent in enumerate(seconds):
        folder = tmp_path / "tune" / f"trial-{n}"
        folder.mkdir()
        write_trial(folder / "trial.json", Trial({}, 0, (), 4, 8, 500, None, None, None, spent))
    assert tuning_cost(tmp_path) == {
        "tokens": 200,
        "seconds": 4.0,
        "requests": 2,
        "trials": 2,
        "trial_tokens": 1000,
        "trial_seconds": known,
    }
