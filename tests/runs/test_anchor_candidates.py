"""Anchors suggested and scored for a recipe, on the tiny model."""

import json
import re
import shutil
from pathlib import Path

import pytest

from levertune.anchors.anchor import plain_example
from levertune.anchors.asking import Answer
from levertune.anchors.pool import ranking
from levertune.anchors.pool.entry import PoolEntry, PoolExample
from levertune.anchors.pool.merge import merge_pools
from levertune.anchors.pool.places import SHIPPED, locate
from levertune.anchors.pool.writing import write_entry
from levertune.anchors.transfer.asking import PLAN
from levertune.anchors.written_by_model import WritingPlan
from levertune.cli import anchor_suggest
from levertune.cli.main import main
from levertune.errors import RecipeError
from levertune.runs import anchor_features
from levertune.runs.anchor_candidates import score_candidates, suggest_anchors
from levertune.runs.prepare import prepare_run
from levertune.runs.task_view import view_task

INSTRUCTION = "Say which colour is meant."


def find_text(name):
    return merge_pools((SHIPPED,)).find(name).text


class Scripted:
    """Answers one text after the other, and keeps what it was asked."""

    def __init__(self, *texts):
        self.texts = texts
        self.prompts = []

    def __call__(self, prompt, *, seed, max_tokens):
        self.prompts.append(prompt)
        self.max_tokens = max_tokens
        return Answer(self.texts[(len(self.prompts) - 1) % len(self.texts)], num_tokens=7)


def suggest(project, *, ways, ask=None, **changes):
    recipe = project.recipe(**changes)
    return suggest_anchors(recipe, view_task(recipe), ways=ways, ask=ask, asked_model="scripted")


def test_the_template_and_the_pool_give_candidates_without_a_model(project):
    found = suggest(project, ways=("template", "pool"))
    assert [one.way for one in found.candidates] == ["template", "pool", "pool", "pool"]
    assert {"red", "green", "blue"} <= set(
        found.candidates[0].text.replace(",", "").replace(".", "").split()
    )
    assert all(one.cost.requests == 0 for one in found.candidates)
    assert found.candidates[1].notes[0].endswith("of the pool.")


@pytest.mark.parametrize("words", [["score", "--html"], ["suggest", "--force", "--to"]])
@pytest.mark.parametrize("place", [".", "none/"])
def test_a_folder_in_the_place_of_a_file_is_refused_before_anything_is_read(words, place, capsys):
    assert main(["anchor", words[0], "none.yaml", *words[1:], place]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert f"{words[-1]} {place}: is a folder. Name a file." in line


def test_suggest_says_when_no_anchor_of_the_pool_is_of_a_task_like_the_rows(project, capsys):
    things = ("quux", "frob", "gnar", "wibb", "plugh", "xyzzy", "thud", "fum", "baz", "corge")
    rows = [(f"{one} {two}", one[0] + "ork") for one in things[:4] for two in things[4:]]
    project.write("task.jsonl", rows)
    words = ["anchor", "suggest", project.recipe_file(), "--way", "pool", "--json"]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["candidates"] == []
    [note] = [note for note in found["notes"] if "of the pool" in note]
    assert "Of the 3 anchors of the pool that are nearest, 0 are of tasks enough like" in note
    entry = PoolEntry(
        "things-to-sounds", "Name the sound of the thing.", "naming", "label", "Name a sound.",
        ("en",), "CC0-1.0", "A listener", tuple(PoolExample(*row) for row in rows[::4]),
    )  # fmt: skip
    write_entry(project.folder / "own", entry)
    assert main([*words, "anchor.pools=[own]"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["text"] for one in found["candidates"]] == [entry.text]
    assert any("3 anchors of the pool that are nearest, 1 are of" in n for n in found["notes"])


def test_the_shared_instruction_is_the_template_and_is_shown_to_no_model(project):
    rows = [json.loads(line) for line in (project.folder / "task.jsonl").read_text().splitlines()]
    project.write("task.jsonl", [(f"{INSTRUCTION}\n{r['prompt']}", r["completion"]) for r in rows])
    ask = Scripted("Name the colour of the thing that is described.")
    found = suggest(project, ways=("template", "model"), ask=ask)
    assert [one.text for one in found.candidates] == [INSTRUCTION, ask.texts[0]]
    assert all(INSTRUCTION not in prompt for prompt in ask.prompts)


def test_a_model_that_may_think_has_room_and_the_limit_can_be_given(project, dying, capsys):
    ask = Scripted("Name the colour of the thing that is described.")
    suggest(project, ways=("model",), ask=ask)
    assert ask.max_tokens == anchor_suggest._SERVER_MAX_TOKENS
    assert WritingPlan().max_tokens == anchor_suggest._BASE_MAX_TOKENS
    assert PLAN.max_tokens == anchor_suggest._GENERATOR_MAX_TOKENS
    url, state = dying
    words = ["anchor", "suggest", project.recipe_file(), "--way", "model", "--endpoint", url]
    words += ["--endpoint-model", "m", "--max-tokens", "5000"]
    assert main(words) == 1
    assert state["max_tokens"] == 5000
    capsys.readouterr()


def test_a_model_sees_no_test_row(project):
    ask = Scripted("Name the colour of the thing that is described.")
    suggest(project, ways=("model",), ask=ask)
    shown = "\n".join(ask.prompts)
    tests = [json.loads(line) for line in (project.folder / "test.jsonl").read_text().splitlines()]
    train = [json.loads(line) for line in (project.folder / "task.jsonl").read_text().splitlines()]
    assert any(row["prompt"] in shown for row in train)
    assert not any(row["prompt"] in shown for row in tests)


def test_a_text_that_quotes_a_training_row_is_refused_and_told(project):
    rows = [json.loads(line) for line in (project.folder / "task.jsonl").read_text().splitlines()]
    long = "the sea at noon in the far south"
    project.write("task.jsonl", [*rows, (long, "blue")])
    good = "Name the colour of the thing that is described."
    found = suggest(project, ways=("model",), ask=Scripted(f"Do as for: {long}", good))
    assert [one.text for one in found.candidates] == [good]
    assert any("whole prompt of training row" in note for note in found.notes)


def test_control_characters_of_an_answer_never_reach_a_terminal_or_a_prompt(project):
    good = "Name the colour of the thing that is described."
    asked = Scripted("Say \x1b[31mwhich\x1b[0m colour is meant, in a word.", good)
    found = suggest(project, ways=("model",), ask=asked)
    assert [one.text for one in found.candidates] == [good]
    assert any(r"contains the control character '\x1b'" in note for note in found.notes)


def test_features_are_written_from_the_states_of_the_model(project):
    found = suggest(project, ways=("features",))
    [candidate] = found.candidates
    assert candidate.text.startswith("You are given a ")
    assert candidate.cost.seconds > 0


def test_the_template_says_the_languages_that_the_recipe_names_and_the_pool_is_asked_for_them(
    project, monkeypatch
):
    asked = []
    real = ranking.suggest_anchors

    def rank(*args, **options):
        asked.append(options["languages"])
        return real(*args, **options)

    monkeypatch.setattr(ranking, "suggest_anchors", rank)
    languages = {"task__prompt_language": "de", "task__answer_language": "pt-BR"}
    found = suggest(project, ways=("template", "pool", "features"), **languages)
    told = "The text is in German. Answer in Portuguese."
    assert found.candidates[0].text.endswith(told)
    assert found.candidates[-1].text.endswith(told)
    assert asked == [("de", "pt")]
    same = suggest(project, ways=("template",), **dict.fromkeys(languages, "fr"))
    assert same.candidates[0].text.endswith("Text and answer are in French.")
    plain = suggest(project, ways=("template", "pool"))
    assert "in French" not in plain.candidates[0].text
    assert asked[-1] == ()
    # The anchor that `auto` comes to says them too.
    recipe = project.recipe(**languages)
    prepared = prepare_run(recipe)
    tell = next(plan for plan in prepared.plans if plan.arm.name == "tell")
    assert prepared.build(tell).choice.anchor.text.endswith(told)


def test_features_count_the_tokens_the_model_read_and_name_rows_by_their_ids(project):
    recipe = project.recipe()
    view = view_task(recipe)
    [candidate] = suggest_anchors(recipe, view, ways=("features",)).candidates
    tokenizer = view.workspace.tokenizer
    read = [tokenizer.encode_prompt(plain_example(row)) for row in (*view.train, *view.general)]
    assert candidate.cost.tokens == sum(map(len, read)) > 0
    assert candidate.cost.requests == 0
    themes = [note for note in candidate.notes if note.startswith("theme ")]
    named = [name for note in themes for name in note.rpartition("rows ")[2].split(", ")]
    assert set(named) <= {row.id for row in view.train}


def test_features_look_at_a_sample_of_many_rows_and_say_so(project, monkeypatch):
    monkeypatch.setattr(anchor_features, "_MAX_ROWS", 8)
    read = []
    real = anchor_features.find_features

    def find(texts, *rest, **options):
        read.append(list(texts))
        return real(texts, *rest, **options)

    monkeypatch.setattr(anchor_features, "find_features", find)
    found = suggest(project, ways=("features",))
    [texts] = read
    assert len(texts) == 8
    assert "features: 8 of 12 task rows, a sample, are taken." in found.notes


def test_rows_too_long_for_features_are_counted_and_the_others_keep_their_ids(project):
    rows = [json.loads(line) for line in (project.folder / "task.jsonl").read_text().splitlines()]
    pairs = [(r["prompt"], r["completion"]) for r in rows]
    project.write("task.jsonl", [("long " * 300, "red"), *pairs])
    recipe = project.recipe(task__allow_dropped=True)
    view = view_task(recipe)
    found = suggest_anchors(recipe, view, ways=("features",))
    note = next(note for note in found.notes if note.startswith("features: "))
    limit = recipe.training.max_length
    assert f"1 of {len(pairs) + 1} task rows were not looked at, being longer than" in note
    assert note.endswith(f"training.max_length={limit}.")
    themes = " ".join(found.candidates[0].notes)
    assert view.train[0].id not in themes.split("rows ")[-1].split(", ")


def test_an_ablation_writes_the_anchor_without_each_of_its_sentences(project, capsys):
    recipe = project.recipe_file()
    words = ["anchor", "suggest", recipe, "--way", "features", "--ablate", "--to", "a.jsonl"]
    assert main(words) == 0
    shown = capsys.readouterr()
    assert "tokens" in shown.out
    assert "1: " in shown.err
    rows = [json.loads(x) for x in (project.folder / "a.jsonl").read_text("utf-8").splitlines()]
    assert rows[0]["way"] == "features"
    assert {"features without input", "features without answer"} <= {r["way"] for r in rows[1:]}
    assert all(len(row["text"]) < len(rows[0]["text"]) for row in rows[1:])
    assert sum(row["cost"]["tokens"] for row in rows) == rows[0]["cost"]["tokens"] > 0
    assert main(["anchor", "score", recipe, "--from", "a.jsonl", "--rows", "6", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["scores"]) == len(rows)


def test_cross_validation_is_said_to_have_seen_every_row(project):
    recipe = project.recipe(task__test="cv:2")
    view = view_task(recipe)
    assert len(view.verbatim) == 12
    assert "every row was looked at" in view.notes[0]


def test_a_subset_is_the_subset_of_the_run(project):
    view = view_task(project.recipe(task__subset=6))
    assert len(view.verbatim) == 6


def test_a_general_row_with_a_control_token_is_left_out_and_told(project):
    rows = [json.loads(x) for x in (project.folder / "general.jsonl").read_text().splitlines()]
    project.write("general.jsonl", [*rows, ("say <|im_end|> twice", "no"), ("w " * 300, "long")])
    recipe = project.recipe()
    view = view_task(recipe)
    assert "control token" in view.notes[0]
    assert not any("<|im_end|>" in row.user_text for row in view.general)
    assert suggest_anchors(recipe, view, ways=("features",)).candidates
    assert score_candidates(recipe, view, ["Name it."], max_rows=6).scores[0].nll is not None


def test_an_unknown_way_is_refused(project):
    with pytest.raises(RecipeError, match=r"--way: must be among .*; found 'magic'"):
        suggest(project, ways=("magic",))


def test_scores_have_a_baseline_and_count_the_tokens_of_each_anchor(project):
    recipe = project.recipe()
    view = view_task(recipe)
    short, long = "Name it.", "Name the colour of the thing that is described here."
    scored = score_candidates(recipe, view, [short, long, short], max_rows=8)
    assert [score.text for score in scored.scores] == [short, long]
    assert scored.baseline.num_rows == 8  # of twelve
    assert scored.scores[0].tokens_per_request < scored.scores[1].tokens_per_request
    assert all(score.nll is not None for score in scored.scores)


def test_anchors_are_scored_in_front_where_there_is_no_system_turn(project, without_system_role):
    recipe = project.recipe(
        anchor__text=None,
        anchor__placement="system",
        model__model_name_or_path=str(without_system_role),
    )
    scored = score_candidates(recipe, view_task(recipe), ["Name it."], max_rows=8)
    assert scored.scores[0].placement == "prefix"
    assert any("has no system turn; the anchor stands in front" in note for note in scored.notes)


def test_what_cannot_be_an_anchor_is_not_scored(project):
    recipe = project.recipe()
    view = view_task(recipe)
    with pytest.raises(RecipeError, match="has no anchor to score"):
        score_candidates(recipe, view, [], max_rows=8)
    with pytest.raises(
        RecipeError,
        match=r"anchor 'Stop <\|im_end\|> here': .*control token.*[^.]\. Write another\.$",
    ):
        score_candidates(recipe, view, ["Stop <|im_end|> here"], max_rows=8)
    with pytest.raises(TypeError, match="a list of texts"):  # its letters are no anchors
        score_candidates(recipe, view, "Name it.", max_rows=8)


def test_so_many_of_the_pool_is_a_number_above_zero(project):
    recipe = project.recipe()
    view = view_task(recipe)
    for number in (0, -1):  # minus one would be all but the last
        with pytest.raises(ValueError, match="num_pool must be at least 1"):
            suggest_anchors(recipe, view, ways=("pool",), num_pool=number)


def test_suggest_does_not_replace_a_file_unless_forced(project, capsys):
    words = ["anchor", "suggest", project.recipe_file(), "--way", "template", "--to", "c.jsonl"]
    (project.folder / "c.jsonl").write_text("mine", "utf-8")
    assert main(words) == 2
    refused = "error: --to c.jsonl: is there already. Name another file, or add --force."
    assert capsys.readouterr().err.strip() == refused
    assert (project.folder / "c.jsonl").read_text("utf-8") == "mine"
    assert main([*words, "--force"]) == 0
    assert (project.folder / "c.jsonl").read_text("utf-8") != "mine"


def test_candidates_go_from_suggest_to_score_through_a_file(project, capsys):
    recipe = project.recipe_file()
    assert main(["anchor", "suggest", recipe, "--way", "template", "--to", "c.jsonl"]) == 0
    captured = capsys.readouterr()
    assert "template" in captured.out
    assert "levertune anchor score --from c.jsonl" in captured.err
    words = ["anchor", "score", recipe, "--from", "c.jsonl", "--text", "Name it.", "--rows", "6"]
    assert main([*words, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [score["text"] for score in result["scores"]][1] == "Name it."
    assert any(score["is_in_front"] for score in result["scores"])
    assert result["baseline"]["anchor_id"] == "none"
    assert result["page"] is None
    assert main(words) == 0
    assert "(no anchor)" in capsys.readouterr().out


def test_the_example_of_the_python_page_runs(project, capsys):
    page = Path(__file__).parents[2] / "docs" / "reference" / "python.md"
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    [code] = [block for block in blocks if "suggest_anchors" in block]
    project.recipe_file()
    shutil.copytree(locate(SHIPPED).folder, project.folder / "my-pool")
    exec(compile(code, str(page), "exec"), {})
    shown = capsys.readouterr().out
    assert shown.count(" nats a token, ") == 4
    assert "estimate: at most about" in shown
    assert shown.endswith(f"{find_text('invoice-to-json')}\n")


def test_the_anchor_of_the_recipe_is_scored_wherever_it_stands(project, capsys):
    (project.folder / "own.txt").write_text("Name the colour, please.", "utf-8")
    words = ["anchor", "score", "--rows", "6", "--json", "--text", "Name it."]
    for setting, text in (
        ("file:own.txt", "Name the colour, please."),
        ("pool:invoice-to-json", find_text("invoice-to-json")),
        ("Say the colour.", "Say the colour."),
    ):
        assert main([*words, project.recipe_file(anchor__text=setting)]) == 0
        scores = json.loads(capsys.readouterr().out)["scores"]
        assert [score["text"] for score in scores] == ["Name it.", text]
    assert main([*words, project.recipe_file(anchor__text="pool:none")]) == 2
    assert "none" in capsys.readouterr().err


@pytest.fixture
def refusing(answering):
    """The address of an endpoint that refuses access, and what it was sent."""
    asked = []
    return answering(asked.append), asked  # append gives None


def test_an_endpoint_that_fails_costs_its_own_way_alone(project, refusing, capsys):
    url, asked = refusing
    words = ["anchor", "suggest", project.recipe_file(), "--endpoint", url]
    words += ["--endpoint-model", "m", "--to", "z.jsonl", "--way", "model"]
    assert main([*words, "--way", "template", "--way", "pool", "--json"]) == 1
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert [one["way"] for one in result["candidates"]][:2] == ["template", "pool"]
    assert "warning: --way model has written nothing: http://127.0.0.1" in captured.err
    assert "refuses access" in result["failed"][0]
    written = (project.folder / "z.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["text"] for line in written] == [
        one["text"] for one in result["candidates"]
    ]
    assert len(asked) == 1
    # With nothing to show it is an error like any other.
    (project.folder / "z.jsonl").unlink()
    assert main(words) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "refuses access" in line
    assert not (project.folder / "z.jsonl").exists()


@pytest.fixture
def dying(answering):
    """The address of an endpoint and its allowance: how many answers it gives until it refuses."""
    state = {"left": 2, "asked": 0}

    def respond(body):
        state.update(
            max_tokens=body["max_tokens"], asked=state["asked"] + 1, left=state["left"] - 1
        )
        has_more = state["left"] >= 0
        return f"Name the colour of the thing, number {state['asked']}." if has_more else None

    return answering(respond), state


@pytest.mark.parametrize("first", [2, 0])
def test_an_endpoint_that_dies_midway_is_told_and_the_same_command_goes_on(
    project, dying, capsys, first
):
    url, state = dying
    state["left"] = first
    words = ["anchor", "suggest", project.recipe_file(), "--way", "template", "--way", "model"]
    words += ["--endpoint", url, "--endpoint-model", "m", "--to", "c.jsonl", "--json", "--quiet"]
    assert main(words) == 1
    shown = capsys.readouterr()
    so_far = json.loads(shown.out)
    assert len(so_far["candidates"]) == 1 + first
    what = "not written all" if first else "written nothing"
    [line] = shown.err.splitlines()
    assert line.startswith(f"warning: --way model has {what}: http://127.0.0.1")
    assert "refuses access; HTTP 401" in so_far["failed"][0]
    # The server is back.
    state.update(left=100, asked=10)
    assert main(words) == 0
    shown = capsys.readouterr()
    whole = json.loads(shown.out)
    assert shown.err == ""
    texts = [one["text"] for one in whole["candidates"]]
    assert texts[: 1 + first] == [one["text"] for one in so_far["candidates"]]
    assert len(texts) == 1 + 8
    assert state["asked"] == 10 + 8 - first
    # What is finished is not replaced.
    assert main(words) == 2
    assert "--to c.jsonl: is there already" in capsys.readouterr().err


def test_an_unfinished_file_that_was_changed_is_not_replaced(project, dying, capsys):
    url, state = dying
    words = ["anchor", "suggest", project.recipe_file(), "--way", "model", "--endpoint", url]
    words += ["--endpoint-model", "m", "--to", "c.jsonl"]
    assert main(words) == 1
    assert "written: c.jsonl, unfinished: the same command goes on" in capsys.readouterr().err
    path = project.folder / "c.jsonl"
    path.write_text(path.read_text("utf-8") + '{"text": "My own words."}\n', "utf-8")
    state["left"] = 100
    assert main(words) == 2
    assert "My own words." in path.read_text("utf-8")


def test_evolve_does_not_ask_a_model_that_stopped_midway(project, dying, capsys):
    pytest.importorskip("gepa")
    url, state = dying
    words = ["anchor", "suggest", project.recipe_file(), "--endpoint", url, "--json"]
    words += ["--endpoint-model", "m", "--way", "model", "--way", "evolve"]
    assert main(words) == 1
    failed = json.loads(capsys.readouterr().out)["failed"]
    assert [line.split(":")[0] for line in failed] == [
        "--way evolve has written nothing", "--way model has not written all"
    ]  # fmt: skip
    assert state["asked"] == 3


def test_evolve_does_not_ask_a_model_that_could_not_be_asked(project, refusing, capsys):
    pytest.importorskip("gepa")
    url, asked = refusing
    words = ["anchor", "suggest", project.recipe_file(), "--endpoint", url]
    words += ["--endpoint-model", "m", "--way", "model", "--way", "template", "--way", "evolve"]
    assert main([*words, "--json"]) == 1
    assert len(json.loads(capsys.readouterr().out)["failed"]) == 2
    assert len(asked) == 1


def test_scores_are_put_on_a_page(project, capsys):
    texts = ("Name <it>.", "Name the colour of the thing that is described here.")
    words = ["anchor", "score", project.recipe_file(), "--rows", "6", "--html", "new/page.html"]
    assert main([*words, "--text", texts[0], "--text", texts[1]]) == 0
    assert "written: new/page.html" in capsys.readouterr().err
    page = (project.folder / "new" / "page.html").read_text(encoding="utf-8")
    assert "Anchors for task.jsonl" in page
    assert "Name &lt;it&gt;." in page
    assert str(project.model.parent) not in page
    assert not any(prompt in page for prompt in ("the sea at noon", "count to 5"))
    assert main([*words, "--text", texts[1], "--no-text"]) == 0
    page = (project.folder / "new" / "page.html").read_text(encoding="utf-8")
    assert texts[1] not in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["score"], "has no anchor to score"),
        (["score", "--rows", "1"], "--rows: must be at least 2; found 1"),
        (["score", "--from", "none.jsonl"], "--from none.jsonl: no such file"),
        (["score", "--from", "word " * 65], "--from word word"),
        (["score", "--from", "task.jsonl"], "--from task.jsonl, row 1: has no text"),
        (["score", "--text", "a", "--no-text"], "--no-text: stands without --html"),
        (["score", "--html", "p.html", *["--text", "a"] * 151], "has room for 150 anchors"),
        (["suggest", "--ablate"], "--ablate: stands without --way features. Add it."),
        (["suggest", "--max-tokens", "9"], "--max-tokens: is for --way model, transfer and"),
        (["suggest", "--way", "model", "--max-tokens", "0"], "must be a number from 1; found '0'"),
        (["suggest", "--way", "magic"], "invalid choice: 'magic'"),
        (["suggest", "--endpoint", "http://127.0.0.1/v1"], "--way model and evolve alone"),
        (["suggest", "--way", "model", "--endpoint", "http://127.0.0.1/v1"], "--endpoint-model"),
        (
            ["suggest", "--way", "model", "--endpoint", "ftp://x", "--endpoint-model", "m"],
            "endpoint: is no address of one. Name one like https://host/v1",
        ),
        (["suggest", "--key-variable", "KEY"], "--key-variable: stands without --endpoint"),
    ],
)
def test_what_is_wrong_is_one_line(project, words, message, capsys):
    action, *rest = words
    assert main(["anchor", action, project.recipe_file(), *rest]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line
