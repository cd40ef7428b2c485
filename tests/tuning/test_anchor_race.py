"""`tune --what anchor` on the tiny model: what is written, what races, and what the run takes."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from levertune.anchors.candidates import AnchorCandidate, WayResult
from levertune.anchors.pool import kept
from levertune.cli.main import main
from levertune.errors import RecipeError, RunError
from levertune.results.folder_lock import hold_folder
from levertune.results.tuning import RowLoss, read_tuning
from levertune.runs import anchor_candidates
from levertune.runs.anchor_candidates import Suggested
from levertune.runs.prepare import prepare_run
from levertune.training.train import TrainSummary
from levertune.tuning import anchor_race, contests
from levertune.tuning import trial as trial_module
from levertune.tuning import tune as tune_module
from levertune.tuning.anchor_race import AnchorField, parse_ways
from levertune.tuning.tune import tune_recipe

RUN = Path("runs/whole")
SHORT = "Name the colour."
LONG = "Read the whole sentence with care and then name the one colour that is meant by it."
BY_HAND = AnchorField(ways=("template",), texts=(SHORT, LONG))


@pytest.fixture(scope="module", autouse=True)
def _on_cpu(on_cpu):
    """Every test here."""


@pytest.fixture
def engine(monkeypatch):
    """Trains nothing: a row's nats are what `nll` plants for the cell's anchor and the row."""
    planted = {"nll": lambda text, row: 1.0, "trained": []}

    def train(recipe, workspace, cell, folder, progress, *, variant=""):
        planted["trained"].append((cell.choice.anchor.text, str(folder)))
        return TrainSummary(1, 1, 1.0, [])

    def measure(self, cell, folder, fold):
        text = cell.choice.anchor.text
        rows = self._inputs.splits[fold].test
        return tuple(RowLoss(row.id, planted["nll"](text, row.id), 1) for row in rows)

    monkeypatch.setattr(trial_module, "train_cell", train)
    monkeypatch.setattr(trial_module.Trials, "_measure", measure)
    monkeypatch.setattr(contests, "measure_rate", lambda recipe, workspace, cell: 1e6)
    return planted


def noise(row):
    return sum(map(ord, row)) % 7 / 10


def tune(project, field=BY_HAND, **changes):
    said = []
    recipe = project.recipe(**changes)
    outcome = tune_recipe(recipe, what=["anchor"], anchors=field, say=said.append)
    return recipe, outcome.tuning, said


def instructed(project, instruction):
    rows = [json.loads(line) for line in (project.folder / "task.jsonl").read_text().splitlines()]
    project.write("task.jsonl", [(f"{instruction}\n{r['prompt']}", r["completion"]) for r in rows])
    return [row["prompt"] for row in rows]


def test_a_planted_best_anchor_wins_and_the_run_trains_with_it(project, engine):
    engine["nll"] = lambda text, row: (0.5 if text == LONG else 2.0) + noise(row) * len(text) / 99
    recipe, tuning, said = tune(project)
    [choice] = tuning.choices
    assert choice.settings == {"anchor.text": LONG, "anchor.shared": "replace"}
    assert tuning.keys == ("anchor.text", "anchor.shared")
    assert [a.way for a in choice.anchors] == ["recipe", "hand", "hand"]  # auto is the template's
    assert [a.setting for a in choice.anchors] == ["auto", SHORT, LONG]
    assert all(a.nll is not None and a.left_out is None for a in choice.anchors)
    assert any("3 candidates, at most 3 + 3 + 3 trials" in line for line in said)

    prepared = prepare_run(recipe)
    assert prepared.recipe.anchor.text == LONG
    cells = {plan.arm.name: prepared.build(plan) for plan in prepared.plans if plan.arm.is_trained}
    assert cells["tell"].choice.anchor.text == LONG
    assert cells["sft-steps"].choice is None
    setting = next(s for s in prepared.settings if s.key == "anchor.text")
    assert setting.reason.startswith("levertune tune: ")
    assert SHORT not in setting.reason  # a page that hides the words shows reasons


def test_an_anchor_that_is_not_better_by_a_standard_error_does_not_earn_its_tokens(project, engine):
    engine["nll"] = lambda text, row: 1.0 + noise(row) - (0.01 * noise(row + "x"))
    _, tuning, _ = tune(project)
    assert tuning.choices[0].settings["anchor.text"] == SHORT
    tokens = {c.settings["anchor.text"]: c.anchor_tokens for c in tuning.choices[0].candidates}
    assert tokens[SHORT] == min(tokens.values())
    assert tokens[LONG] == max(tokens.values())


def test_an_anchor_that_requests_do_not_carry_need_not_be_short(project, engine):
    # The long one is better, by less than a standard error: too little for an anchor that is paid
    # for in every request, enough for one that training shortens to nothing.
    def nll(text, row):
        return 1.0 + (text == LONG) * ((-1) ** int(row[-1]) * 0.01 - 0.001)

    engine["nll"] = nll
    _, tuning, _ = tune(project, anchor={"schedule": "constant"})
    assert tuning.choices[0].settings["anchor.text"] == SHORT
    _, tuning, _ = tune(project, anchor={"schedule": "anneal", "served_tokens": 0})
    assert tuning.choices[0].settings["anchor.text"] == LONG
    assert {c.anchor_tokens for c in tuning.choices[0].candidates} == {0}
    _, tuning, _ = tune(project, anchor={"schedule": "anneal", "served_tokens": 3})
    served = {c.settings["anchor.text"]: c.anchor_tokens for c in tuning.choices[0].candidates}
    assert 0 <= served[LONG] <= 3


def test_what_the_rows_share_gives_way_to_another_anchor_and_stays_under_their_own(project, engine):
    instruction = "Say which colour is meant here."
    prompts = instructed(project, instruction)
    engine["nll"] = lambda text, row: 1.0 if text == SHORT else 3.0
    recipe, tuning, _ = tune(project)
    assert [a.text for a in tuning.choices[0].anchors] == [instruction, SHORT, LONG]
    prepared = prepare_run(recipe)
    cell = next(prepared.build(p) for p in prepared.plans if p.arm.name == "tell")
    tokenizer = prepared.workspace.tokenizer
    decoded = [tokenizer.decode(row.input_ids) for row in cell.task]
    assert all(SHORT in text and instruction not in text for text in decoded)
    assert all(any(prompt in text for text in decoded) for prompt in prompts)
    # With the recipe's own, the rows are as they were: lifted, and put back once.
    engine["nll"] = lambda text, row: 1.0 if text == instruction else 3.0
    for path in RUN.rglob("trial.json"):
        path.unlink()
    _, tuning, _ = tune(project)
    assert tuning.choices[0].settings == {"anchor.text": "auto", "anchor.shared": "keep"}


def test_a_tuning_that_goes_on_races_the_same_anchors_without_writing_them_anew(
    project, engine, monkeypatch
):
    real, written = anchor_race.suggest_anchors, []

    def suggest(*args, **options):
        written.append(1)
        return real(*args, **options)

    monkeypatch.setattr(anchor_race, "suggest_anchors", suggest)
    stop = trial_module.write_trial

    def killed(path, trial):
        stop(path, trial)
        raise KeyboardInterrupt

    monkeypatch.setattr(trial_module, "write_trial", killed)
    with pytest.raises(KeyboardInterrupt):
        tune(project)
    monkeypatch.setattr(trial_module, "write_trial", stop)
    _, tuning, _ = tune(project)
    assert len(written) == 1
    assert len(engine["trained"]) == len(set(engine["trained"])) == 9
    # Other rows or other texts are another question.
    tune(project, AnchorField(ways=("template",), texts=(SHORT,)))
    assert len(written) == 2
    assert tuning.choices


def test_a_dry_run_writes_no_anchor_asks_no_model_and_says_how_much_would_be_asked(
    project, engine, monkeypatch
):
    monkeypatch.setattr(anchor_race, "suggest_anchors", None)
    said = []
    field = AnchorField(texts=(SHORT,))
    options = {"what": ["anchor"], "anchors": field, "dry_run": True, "say": said.append}
    tune_recipe(project.recipe(), **options)
    assert not RUN.exists()
    told = "anchors are still to be written, by at most 24 answers of a model; the estimate leaves"
    assert any(told in line for line in said)
    assert any("6 candidates, at most" in line for line in said)
    long = AnchorField(ways=(), texts=(SHORT, " ".join(["colour"] * 300)))
    said.clear()
    tune_recipe(project.recipe(), what=["anchor"], anchors=long, dry_run=True, say=said.append)
    assert any("2 candidates, at most" in line for line in said)
    bad = AnchorField(texts=("Stop <|im_end|> here",))
    with pytest.raises(RecipeError, match="control token"):
        tune_recipe(project.recipe(), what=["anchor"], anchors=bad, dry_run=True)


def test_a_dry_run_after_the_anchors_were_written_counts_these(project, engine, monkeypatch):
    tune(project)
    said = []
    monkeypatch.setattr(anchor_race, "suggest_anchors", None)
    tune_recipe(project.recipe(), what=["anchor"], anchors=BY_HAND, dry_run=True, say=said.append)
    assert any("3 candidates, at most 3 + 3 + 3 trials" in line for line in said)
    assert not any("still to be written" in line for line in said)


def test_anchors_are_written_while_the_folder_is_held(project, engine, monkeypatch):
    real, held = anchor_race.suggest_anchors, []

    def suggest(*args, **options):
        with (
            pytest.raises(RunError, match="a tuning is under way"),
            hold_folder(RUN, what="a tuning", warn=pytest.fail),
        ):
            pass
        held.append(1)
        return real(*args, **options)

    monkeypatch.setattr(anchor_race, "suggest_anchors", suggest)
    tune(project)
    assert held == [1]


def test_anchors_are_written_anew_when_the_file_or_the_pool_they_come_from_changes(
    project, engine, monkeypatch
):
    own = project.folder / "own.txt"
    own.write_text("Say which colour it is.", "utf-8")
    field = AnchorField(ways=("pool",), texts=(SHORT,))
    _, tuning, _ = tune(project, field, anchor__text="file:own.txt")
    assert tuning.choices[0].anchors[0].text == "Say which colour it is."
    own.write_text("Give the colour.", "utf-8")
    _, tuning, _ = tune(project, field, anchor__text="file:own.txt")
    assert tuning.choices[0].anchors[0].text == "Give the colour."
    real = kept.merge_pools
    before = [path.read_text("utf-8") for path in RUN.rglob("anchors.json")]

    def one_less(places):
        pool = real(places)
        return replace(pool, entries=pool.entries[1:])

    monkeypatch.setattr(kept, "merge_pools", one_less)
    tune(project, field, anchor__text="file:own.txt")
    assert [path.read_text("utf-8") for path in RUN.rglob("anchors.json")] != before


def test_a_generator_races_too_and_another_one_is_another_question(project, engine, monkeypatch):
    asked = []
    text = "Name the colour that is meant here."

    def suggest(recipe, view, *, ways, generator, **options):
        asked.append((ways, generator))
        return Suggested((AnchorCandidate(text, "transfer"),), ())

    monkeypatch.setattr(anchor_race, "suggest_anchors", suggest)
    names = iter(["one", "one", "two"])
    monkeypatch.setattr(anchor_race, "name_generator", lambda folder: next(names))
    field = AnchorField(ways=parse_ways("transfer", "g"), generator="g")
    for _ in range(3):
        _, tuning, _ = tune(project, field)
    assert [a.way for a in tuning.choices[0].anchors] == ["recipe", "transfer"]
    assert asked == [(("transfer",), "g")] * 2
    assert (field.most_answers, field.most_written) == (9, 9)


def test_each_fold_writes_its_anchors_from_its_own_training_rows(project, engine):
    seen = []

    def remember(text, row):
        seen.append(row)
        return 1.0

    engine["nll"] = remember
    _, tuning, _ = tune(project, task__test="cv:2")
    assert [choice.fold for choice in tuning.choices] == [0, 1, None]
    assert len(list((RUN / "tune").rglob("anchors.json"))) == 3


def test_only_the_likeliest_race_and_all_are_on_record(project, engine):
    field = AnchorField(ways=("template", "pool"), texts=(SHORT,), most=3)
    _, tuning, _ = tune(project, field)
    anchors = tuning.choices[0].anchors
    raced = [a for a in anchors if a.left_out is None]
    assert [a.way for a in raced] == ["recipe", "hand", "pool"]
    others = [a for a in anchors if a.way == "pool"]
    assert len(others) > 1
    assert raced[2].nll == min(a.nll for a in others if a.nll is not None)
    assert all(a.left_out for a in others if a is not raced[2])
    written = json.loads((RUN / "tune" / "tune.json").read_text())["choices"][0]["anchors"]
    assert [a["text"] for a in written] == [a.text for a in anchors]
    assert read_tuning(RUN).choices[0].anchors == anchors


def test_those_left_out_say_how_many_race_and_by_which_ranking(project, engine):
    texts = tuple(f"{SHORT} {word}." for word in ("One", "Two", "Three"))
    _, tuning, _ = tune(project, AnchorField(ways=("template", "pool"), texts=texts, most=2))
    anchors = tuning.choices[0].anchors
    raced = [a for a in anchors if a.left_out is None]
    assert [a.way for a in raced] == ["recipe", "hand", "hand", "hand"]
    others = [a for a in anchors if a.way == "pool" and a.nll is not None]
    assert others
    for place, anchor in enumerate(others, start=5):
        assert anchor.left_out == f"ranked {place} of {4 + len(others)}; at most the first 4 race"
    assert [a.nll for a in others] == sorted(a.nll for a in others)


def test_each_anchor_that_the_budget_leaves_out_is_said_and_on_record(project, engine, monkeypatch):
    written = []

    def suggest(recipe, view, **options):
        written.append(len(written))
        texts = [f"Name the colour, {written[-1]} {word}." for word in ("first", "second")]
        return Suggested(tuple(AnchorCandidate(text, "pool") for text in texts), ())

    monkeypatch.setattr(anchor_race, "suggest_anchors", suggest)
    monkeypatch.setattr(
        tune_module,
        "estimate_seconds",
        lambda contests, rate, at_once: sum(len(contest.candidates) for contest in contests),
    )
    said = []
    tuning = tune_recipe(
        project.recipe(task__test="cv:2"),
        what=["anchor"],
        anchors=AnchorField(ways=("pool",)),
        budget_seconds=6,
        say=said.append,
    ).tuning
    told = [line for line in said if "left out to meet the budget" in line]
    where = ["training rows of fold 1", "training rows of fold 2", "all training rows"]
    assert len(told) == len(tuning.choices) == 3
    for place, choice, line in zip(where, tuning.choices, told, strict=True):
        [left] = [a for a in choice.anchors if a.left_out is not None]
        assert left == choice.anchors[-1]
        assert left.left_out == "left out to meet the budget of 6 s"
        assert line.startswith(f"tell, {place}: ")
        assert left.text in line
        raced = {candidate.settings["anchor.text"] for candidate in choice.candidates}
        assert raced == {a.setting for a in choice.anchors[:-1]}
    assert len({choice.anchors[-1].text for choice in tuning.choices}) == 3


def test_an_anchor_that_still_races_with_fewer_rows_is_not_left_out(project, engine, monkeypatch):
    monkeypatch.setattr(
        tune_module,
        "estimate_seconds",
        lambda contests, rate, at_once: sum(len(contest.candidates) for contest in contests),
    )
    what = ["anchor", "exposures"]
    recipe = project.recipe()
    options = {"what": what, "anchors": BY_HAND, "budget_seconds": 5}
    choice = tune_recipe(recipe, **options).tuning.choices[0]
    assert len(choice.candidates) == 5
    assert all(a.left_out is None for a in choice.anchors)
    choice = tune_recipe(recipe, **{**options, "budget_seconds": 2}).tuning.choices[0]
    assert [bool(a.left_out) for a in choice.anchors] == [False, False, True]


def test_an_anchor_too_long_for_the_rows_does_not_race_and_says_so(project, engine):
    long = " ".join(["colour"] * 300)
    _, tuning, _ = tune(project, AnchorField(ways=(), texts=(SHORT, long)))
    [left] = [a for a in tuning.choices[0].anchors if a.left_out]
    assert left.text == long
    assert "rows are over" in left.left_out
    assert left.nll is None


def test_an_anchor_of_the_users_that_quotes_a_row_is_refused(project, engine):
    prompts = instructed(project, "Say which colour is meant in these few words of mine.")
    quoting = f"For example {prompts[0]} and more words behind it to fill the line."
    project.write("task.jsonl", [(f"{p} and some more words", "red") for p in prompts])
    quoting = f"Say the colour: {prompts[0]} and some more words"
    with pytest.raises(RecipeError, match="contains the whole prompt of training row"):
        tune(project, AnchorField(ways=(), texts=(quoting,)))


@pytest.mark.parametrize("text", ["file:secret.txt", " file:none.txt", "pool:none", "auto", "None"])
def test_a_text_that_would_name_something_is_refused_and_never_looked_up(project, engine, text):
    (project.folder / "secret.txt").write_text("The key is under the mat.", "utf-8")
    with pytest.raises(RecipeError, match=r"which anchor\.text takes for .*\. Write another\."):
        tune(project, AnchorField(ways=(), texts=(SHORT, text)))


def test_no_file_is_read_for_an_anchor_that_a_model_or_a_pool_wrote(project, engine, monkeypatch):
    (project.folder / "secret.txt").write_text("The key is under the mat.", "utf-8")
    texts = ("file:secret.txt", "pool:none", "auto", LONG)
    written = WayResult(tuple(AnchorCandidate(text, "pool") for text in texts))
    monkeypatch.setattr(anchor_candidates, "_find_in_pool", lambda *args, **options: written)
    _, tuning, said = tune(project, AnchorField(ways=("pool",)))
    assert [a.text for a in tuning.choices[0].anchors[1:]] == [LONG]
    assert sum("A candidate of pool is left out: it" in line for line in said) == 3


def test_a_recipe_without_an_anchor_has_none_to_tune(project, engine):
    with pytest.raises(RecipeError, match=r"anchor\.text=null. Set it to auto"):
        tune(project, anchor__text=None)


def test_arms_without_an_anchor_have_none_to_tune(project):
    with pytest.raises(RecipeError, match=r"--arm sft: has no anchor to tune\. Use --arm tell\."):
        tune_recipe(project.recipe(), what=["anchor"], arms=["sft"])


def test_one_anchor_is_nothing_to_choose_between(project, engine):
    with pytest.raises(RecipeError, match=r"found 1 anchor\. Name other ways with --ways"):
        tune(project, AnchorField(ways=("template",)))


def test_transfer_is_raced_with_a_generator_alone():
    assert parse_ways(None, "g") == ("template", "features", "pool", "model", "transfer")
    with pytest.raises(RecipeError, match="--way transfer: needs a generator; found none"):
        parse_ways("template,transfer")
    with pytest.raises(RecipeError, match="--generator: is asked by --way transfer alone"):
        parse_ways("template", "g")


@pytest.mark.parametrize("text", ["templates", "template,evolve"])
def test_an_unknown_way_is_refused(text):
    with pytest.raises(RecipeError, match="--ways: must be among"):
        parse_ways(text)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        (AnchorField(ways=("transfer",)), "--way transfer: needs a generator; found none"),
        (AnchorField(ways=("template",), generator="g"), "--generator: is asked by --way transfer"),
        (AnchorField(ways=("evolve",), texts=(SHORT, LONG)), "--ways: must be among .*'evolve'"),
    ],
)
def test_from_python_too_a_way_that_cannot_race_is_refused_by_a_look(project, field, message):
    with pytest.raises(RecipeError, match=message):
        tune_recipe(project.recipe(), what=["anchor"], anchors=field, dry_run=True)
    with pytest.raises(RecipeError, match="--what: must be among .*'anchors'"):
        tune_recipe(project.recipe(), what=["anchors"], dry_run=True)


def test_ways_are_all_by_default_and_in_one_order():
    assert parse_ways(None) == ("template", "features", "pool", "model")
    assert parse_ways("pool, template") == ("template", "pool")


def test_the_command_trains_really_and_shows_tokens(project, capsys):
    arguments = [
        "tune", "recipe.yaml", "--what", "anchor", "--ways", "template", "--text", SHORT,
        "training.effective_batch_size=50", "training.save_steps=50",
    ]  # fmt: skip
    project.recipe_file()
    assert main(arguments) == 0
    shown = capsys.readouterr()
    assert "anchor tokens" in shown.out + shown.err
    tuning = read_tuning(RUN)
    assert all(c.nll is not None for c in tuning.choices[0].candidates)


def test_anchors_for_another_tuning_are_refused(project, capsys):
    project.recipe_file()
    assert main(["tune", "recipe.yaml", "--text", SHORT]) == 2
    assert "are for --what anchor" in capsys.readouterr().err


def test_a_trial_is_measured_with_the_anchor_that_refining_ended_with(project, monkeypatch):
    seen = []
    real = trial_module.as_trained

    def remember(cell, folder, workspace):
        found = real(cell, folder, workspace)
        seen.append((cell.choice.is_open, found.choice.is_open, found.choice.reason))
        return found

    monkeypatch.setattr(trial_module, "as_trained", remember)
    draw = random.Random(5)
    words = ["".join(draw.choices("bdklmnrst", k=3)) + draw.choice("aeiou") for _ in range(180)]
    prompts = [" ".join(words[i : i + 6]) for i in range(0, 180, 6)]
    project.write("task.jsonl", [(p, ("red", "blue")[i % 2]) for i, p in enumerate(prompts)])
    recipe = project.recipe(
        anchor__refine_rows=0.3,
        anchor__schedule="refine",
        anchor__refine_every=0.4,
        anchor__challengers=1,
        general__rows="auto",
        training__effective_batch_size=25,
        training__save_steps=50,
    )
    tuning = tune_recipe(recipe, what=["general"]).tuning
    assert all(candidate.nll is not None for candidate in tuning.choices[0].candidates)
    assert seen
    assert all(before and not after and "check" in reason for before, after, reason in seen)
