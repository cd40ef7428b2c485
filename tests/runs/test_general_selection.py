"""General rows chosen by relevance: per source, once, on training rows alone."""

import json
from dataclasses import replace

import pytest

from levertune.errors import RunError
from levertune.recipes.loading import recipe_from_mapping
from levertune.results.selection import DepthAgreement
from levertune.runs import general_selection
from levertune.runs.arms import ARMS
from levertune.runs.cells import CellPlan
from levertune.runs.prepare import prepare_run
from levertune.runs.selection_summary import (
    collect_selection_texts,
    describe_selection,
    summarize_selection,
)
from levertune.selection.selection import Agreement

TELL = ARMS["tell"]


@pytest.fixture
def near(project):
    """Beside `general.jsonl`, rows that share words with the task rows."""
    return project.write(
        "near.jsonl",
        [(f"what grows: {word}", f"It is {word}.") for word in ("apples", "moss", "peas", "roses")],
    )


def chosen(project, fold=None, seed=0, **changes):
    recipe = project.recipe(**{"general__select": "bm25", "general__rows": 4, **changes})
    prepared = prepare_run(recipe)
    return prepared, prepared.build(CellPlan(TELL, seed, fold))


def names(cell):
    return {(row.source, row.id) for selection in cell.selections for row in selection.rows}


def sources(*items):
    return [{"path": item} if isinstance(item, str) else item for item in items]


def test_rows_that_share_words_with_the_task_are_trained_on(project, near):
    prepared, cell = chosen(project, general__sources=sources("general.jsonl", near))
    (selection,) = cell.selections
    assert selection.by_source()["near"] >= 3
    assert set(cell.general) == set(selection.by_source())
    assert {row.nearest for row in selection.rows} <= {r.id for r in cell.records}
    assert cell.num_general == 4


def test_a_choice_is_made_once_and_read_back(project, near, monkeypatch):
    settings = {"general__sources": sources("general.jsonl", near)}
    prepared, cell = chosen(project, **settings)
    files = sorted((prepared.run_dir / "selection").iterdir())
    assert len(files) == 1
    assert files[0].name.startswith("bm25-")
    monkeypatch.setattr(general_selection, "select", None)
    _, again = chosen(project, **settings)
    assert again.selections == cell.selections
    assert again.manifest == cell.manifest
    _, other_seed = chosen(project, seed=5, **settings)
    assert other_seed.selections == cell.selections


def test_no_test_row_has_a_part_in_the_choice(project, near):
    settings = {"general__sources": sources("general.jsonl", near)}
    project.write("test.jsonl", [("some wood", "green"), ("a fire", "red")])
    _, cell = chosen(project, **settings)
    project.write("test.jsonl", [("count from two to nineteen", "red"), ("what", "blue")])
    _, again = chosen(project, **settings)
    assert names(again) == names(cell)
    assert [s.rows for s in again.selections] == [s.rows for s in cell.selections]


def test_each_fold_has_its_own_choice(project, near):
    settings = {"general__sources": sources("general.jsonl", near), "task__test": "cv:3"}
    prepared, cell = chosen(project, fold=0, **settings)
    other = prepared.build(CellPlan(TELL, 0, 1))
    assert len(list((prepared.run_dir / "selection").iterdir())) == 2
    for built in (cell, other):
        nearest = {row.nearest for row in built.selections[0].rows}
        assert nearest <= {record.id for record in built.records}


def test_a_source_with_rows_or_tokens_of_its_own_gives_those(project, near):
    project.write("more.jsonl", [(f"name {i} things", "no") for i in range(9)])
    items = sources(
        {"path": "general.jsonl", "rows": 2}, near, {"path": "more.jsonl", "tokens": 60}
    )
    _, cell = chosen(project, general__sources=items, general__rows=8)
    shared, rows, tokens = cell.selections
    assert rows.by_source() == {"general": 2}
    assert set(tokens.by_source()) == {"more"}
    assert set(shared.by_source()) == {"near"}
    assert sum(len(s.rows) for s in cell.selections) <= 8
    assert len(names(cell)) == sum(len(s.rows) for s in cell.selections)


@pytest.mark.parametrize("select", ["stratified", "bm25"])
@pytest.mark.parametrize("own", [True, False])
def test_rows_too_long_to_be_trained_on_use_up_no_tokens(project, select, own):
    long = [(f"what grows: {'moss ' * 150}{i}", "a") for i in range(8)]  # over max_length, 200
    project.write("mixed.jsonl", [*long, *((f"what grows {i}", "moss") for i in range(40))])
    amount = {"general__sources": sources({"path": "mixed.jsonl", "tokens": 400})}
    if not own:
        amount = {"general__sources": sources("mixed.jsonl"), "general__tokens": 400}
    _, cell = chosen(project, general__select=select, general__rows=None, **amount)
    assert [row["source"] for row in cell.dropped]  # listed, as ever
    assert all("more than max_length 200" in row["reason"] for row in cell.dropped)
    trained = sum(len(row.input_ids) for rows in cell.general.values() for row in rows)
    assert 300 < trained <= 400


def test_another_max_length_makes_another_choice_of_an_amount_in_tokens(project, near):
    """What a choice by shared words has room for depends on which rows count."""
    amount = {"general__rows": None, "general__sources": sources({"path": near, "tokens": 60})}
    for length in (150, 200):
        prepared, _ = chosen(project, training__max_length=length, output_dir="runs/a", **amount)
    assert len(list((prepared.run_dir / "selection").iterdir())) == 2


@pytest.mark.parametrize("select", ["stratified", "random", "bm25"])
def test_a_folder_gives_exactly_the_rows_its_source_asks_for_however_many_its_files(
    project, near, select
):
    (project.folder / "web").mkdir()
    for name in ("apples", "roses"):
        rows = [(f"{name} of kind {i} {'abcdefghi'[i] * 9}", str(i)) for i in range(9)]
        project.write(f"web/{name}.jsonl", rows)
    items = sources({"path": "web", "rows": 5}, "general.jsonl")
    prepared, cell = chosen(
        project, general__select=select, general__sources=items, general__rows=8
    )
    counts = {source: len(rows) for source, rows in cell.general.items()}
    assert counts.pop("general") == 3
    assert set(counts) <= {"web/apples", "web/roses"}
    assert sum(counts.values()) == 5


def test_a_folder_beside_a_file_has_the_cap_of_one_source(project):
    (project.folder / "web").mkdir()
    things = {"one": ("moss", "peas", "roses", "jeans", "lake", "lawn"),
              "two": ("apples", "sea", "sky", "wall", "cherries", "leaves")}  # fmt: skip
    for name, words in things.items():
        project.write(f"web/{name}.jsonl", [(f"{word} {word[::-1]}", "x") for word in words])
    weak = [f"the {letter * 7} of {letter * 9} {letter * 5}" for letter in "abcdefghi"]
    project.write("far.jsonl", [(words, "x") for words in weak])
    items = sources("web", "far.jsonl")
    _, cell = chosen(project, general__sources=items, general__rows=8)
    (selection,) = cell.selections
    assert selection.by_source()["far"] == 2
    assert selection.notes == ()


@pytest.mark.parametrize("select", ["stratified", "bm25"])
def test_no_prompt_is_taken_from_two_parts_of_a_choice(project, near, select):
    same = [(f"what grows: {word}", f"It is {word}.") for word in ("apples", "moss", "peas")]
    project.write("again.jsonl", [*same, *((f"name wood {i}", "Oak.") for i in range(6))])
    items = sources({"path": near, "rows": 3}, "again.jsonl", "general.jsonl")
    _, cell = chosen(project, general__select=select, general__sources=items, general__rows=8)
    assert cell.num_general == 8
    texts = {tuple(row.input_ids) for rows in cell.general.values() for row in rows}
    assert len(texts) == 8


@pytest.mark.parametrize("select", ["stratified", "bm25"])
def test_without_a_number_of_rows_sources_give_what_they_ask_for(project, near, select):
    items = sources({"path": near, "rows": 2}, "general.jsonl")
    _, cell = chosen(project, general__select=select, general__sources=items, general__rows=None)
    assert {source: len(rows) for source, rows in cell.general.items()} == {"near": 2}


def test_nothing_is_scored_where_nothing_is_left_to_choose(project, near, monkeypatch):
    asked = []
    real = general_selection.select

    def spy(name, task, candidates, budget, **settings):
        asked.append({row.source for row in candidates})
        return real(name, task, candidates, budget, **settings)

    monkeypatch.setattr(general_selection, "select", spy)
    items = sources({"path": near, "rows": 2}, "general.jsonl")
    chosen(project, general__sources=items, general__rows=2)
    assert asked == [{"near"}]


def test_a_limit_in_tokens_holds_for_a_choice(project, near):
    items = sources("general.jsonl", near)
    prepared, cell = chosen(
        project, general__sources=items, general__rows=None, general__tokens=150
    )
    used = sum(len(row.input_ids) for rows in cell.general.values() for row in rows)
    assert 0 < used <= 150


@pytest.mark.parametrize("select", ["stratified", "bm25"])
def test_a_row_longer_than_the_limit_does_not_leave_a_mixture_without_general_rows(project, select):
    words = "what is it, a tree or the sea, that grows " * 9
    project.write("long.jsonl", [(words, "It is."), *((f"name {i}", "No.") for i in range(9))])
    for seed in range(4):
        _, cell = chosen(
            project, seed=seed, mixture__seed=seed, output_dir=f"runs/{select}-{seed}",
            general__select=select, general__sources=sources("long.jsonl"), general__rows=None,
            general__tokens=150,
        )  # fmt: skip
        used = sum(len(row.input_ids) for rows in cell.general.values() for row in rows)
        assert 75 < used <= 150


def test_a_draw_that_takes_much_less_than_its_tokens_says_so(project):
    project.write("even.jsonl", [(f"name {i} of them", "No.") for i in range(9)])
    prepared, cell = chosen(
        project, general__select="stratified", general__sources=sources("even.jsonl"),
        general__rows=None, general__tokens=60,
    )  # fmt: skip
    (size,) = {len(row.input_ids) for rows in cell.general.values() for row in rows}
    assert 30 < size < 45
    assert describe_selection(prepared, [cell]) == [
        f"general rows: 60 tokens of 'even' were asked for; 1 of 8 rows were drawn, with {size} "
        "tokens: the next did not fit."
    ]
    assert any(f"a draw takes {size}" in warning for warning in prepared.warnings)


def test_a_dry_run_writes_no_choice_and_does_not_wait_for_the_model(project, near):
    items = sources("general.jsonl", near)
    for select in ("bm25", "rds"):
        recipe = project.recipe(general__select=select, general__rows=4, general__sources=items)
        prepared = prepare_run(recipe, dry_run=True)
        cell = prepared.build(CellPlan(TELL, 0))
        assert cell.num_general == 4
        assert prepared.chooser.is_standing_in == (select == "rds")
        assert not prepared.run_dir.exists()
    (line,) = describe_selection(prepared, [cell])
    assert "rds needs the model" in line


@pytest.mark.parametrize("select", ["rds", "dissimilar", "loss", "gradient"])
def test_selectors_with_a_model_choose_and_leave_it_as_it_was(
    project, near, select, tmp_path, monkeypatch
):
    monkeypatch.setenv("LEVERTUNE_CACHE", str(tmp_path / "cache"))
    items = sources("general.jsonl", near)
    prepared, cell = chosen(project, general__select=select, general__sources=items)
    (selection,) = cell.selections
    assert (selection.selector, len(selection.rows)) == (select, 4)
    assert selection.tokens > 0
    assert {row.nearest for row in selection.rows} <= {r.id for r in cell.records}
    assert (tmp_path / "cache" / "states").is_dir() == (select in ("rds", "dissimilar"))
    assert not hasattr(prepared.workspace.base(), "peft_config")
    assert len(prepared.workspace.base().model.layers) == 2


def test_a_file_of_something_else_is_not_trusted_by_its_name(project, near):
    settings = {"general__sources": sources("general.jsonl", near)}
    prepared, cell = chosen(project, **settings)
    (path,) = (prepared.run_dir / "selection").iterdir()
    content = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**content, "key": "other", "selections": []}), "utf-8")
    _, again = chosen(project, **settings)
    assert names(again) == names(cell)
    content["selections"][0]["rows"][0]["id"] = "gone"
    path.write_text(json.dumps(content), "utf-8")
    with pytest.raises(RunError, match=r"names row 'gone', which .* does not have"):
        chosen(project, **settings)


def test_the_choice_is_told_and_summarised(project, near):
    prepared, cell = chosen(project, general__sources=sources("general.jsonl", near))
    info = summarize_selection([cell], prepared.chooser.pool)
    assert (info.selector, info.is_draw) == ("bm25", False)
    assert info.available == {name: len(rows) for name, rows in prepared.chooser.pool.items()}
    assert info.rows == sum(info.by_source.values()) == 4
    assert len(info.top) == 4
    assert "4 chosen by bm25" in describe_selection(prepared, [cell])[0]
    none = {"general__rows": 0, "output_dir": "runs/none"}
    assert summarize_selection([chosen(project, **none)[1]], {}) is None


@pytest.mark.parametrize("select", ["stratified", "random"])
def test_a_draw_is_counted_by_source(project, near, select):
    items = sources("general.jsonl", near)
    prepared, cell = chosen(project, general__select=select, general__sources=items)
    info = summarize_selection([cell], prepared.chooser.pool)
    assert (info.selector, info.is_draw, info.top, info.notes) == (select, True, (), ())
    assert info.by_source == {source: len(rows) for source, rows in cell.general.items()}
    assert info.available == {"general": 16, "near": 4}
    assert describe_selection(prepared, [cell]) == []
    assert collect_selection_texts(prepared, [cell]) == {}


def test_prompts_drawn_twice_for_want_of_others_are_said(project):
    project.write("twins.jsonl", [("Name a tree.", word) for word in ("oak", "ash", "elm")])
    prepared, cell = chosen(
        project,
        general__select="stratified",
        general__rows=3,
        general__sources=sources("twins.jsonl"),
    )
    (said,) = describe_selection(prepared, [cell])
    assert said == "general rows: 2 rows drawn have the prompt of another."


def test_the_agreement_with_all_layers_is_told(project, near):
    prepared, cell = chosen(project, general__sources=sources("general.jsonl", near))
    found = Agreement(share=0.6, top=10, rows=200, by_chance=0.05, layers=20, all_layers=30)
    (selection,) = cell.selections
    measured = replace(cell, selections=(replace(selection, agreement=found),))
    (_, line, *_) = describe_selection(prepared, [measured])
    assert line == (
        "bm25 ran 20 of 30 layers: of the nearest 10 rows among 200 sampled, 60 % are those all "
        "layers find (5 % by chance)"
    )
    info = summarize_selection([measured], prepared.chooser.pool)
    assert info.agreement == DepthAgreement(0.6, 10, 200, 0.05, 20, 30)


def test_weights_are_refused_where_they_would_mean_nothing(project):
    settings = project.settings(
        general__select="bm25",
        general__sources=[{"path": "a.jsonl", "weight": 2}, {"path": "b.jsonl"}],
    )
    with pytest.raises(ValueError, match=r"weights mean nothing to it; found weights \[2"):
        recipe_from_mapping(settings)
    settings["general"]["sources"][0]["rows"] = 3
    assert recipe_from_mapping(settings).general.select == "bm25"


def test_the_result_and_the_report_show_what_was_chosen(project, near):
    from levertune.reports.page import write_report
    from levertune.results.schema import read_result
    from levertune.runs.run import run_recipe

    recipe = project.recipe(
        general__select="bm25",
        general__rows=4,
        general__sources=sources("general.jsonl", near),
        arms=["tell"],
    )
    outcome = run_recipe(recipe)
    info = read_result(outcome.run_dir).selection
    assert info is not None
    assert info.rows == 4
    page = outcome.report_path.read_text("utf-8")
    assert "Which general rows were chosen" in page
    assert "what grows: moss" in page
    bare = write_report(outcome.run_dir, include_text=False).read_text("utf-8")
    assert "Which general rows were chosen" in bare
    assert "what grows" not in bare
