import json
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from levertune.anchors.asking import Answer, AskError, UnusableAnswerError
from levertune.anchors.candidates import AnchorCandidate
from levertune.anchors.evolve import INSTALL_COMMAND, evolve, require_gepa
from levertune.anchors.evolve_plan import EvolvePlan
from levertune.anchors.evolve_record import RowLoss
from levertune.data.records import Message, Record
from levertune.errors import DataError, RecipeError, RunError

ROWS = [
    Record(f"row{i}", "task", (Message("user", f"thing number {i}"),), f"colour {i}")
    for i in range(12)
]
START = AnchorCandidate("Answer in few words.", "template")
PLAN = EvolvePlan(num_calls=150, num_shown=3)
BETTER = "Name the colour of the thing."
BEST = "Name the colour of the thing in lower case."


class Scripted:
    """Answers one text after the other, the last one again and again."""

    def __init__(self, *answers):
        self.answers = answers
        self.prompts = []

    def __call__(self, prompt, *, seed, max_tokens):
        answer = self.answers[min(len(self.prompts), len(self.answers) - 1)]
        self.prompts.append(prompt)
        if isinstance(answer, BaseException):
            raise answer
        return Answer(answer, num_tokens=10)


class Metric:
    """Three nats a token, one less for each planted word, and a little by row."""

    def __init__(self):
        self.measured = []

    def __call__(self, text, rows):
        self.measured += [(text, row.id) for row in rows]
        nats = 3.0 - ("colour" in text) - ("lower case" in text)
        return [RowLoss(2 * (nats + 0.01 * int(row.id[3:])), 2) for row in rows]


def guard(text):
    return "contains the whole prompt of training row 'row3'" if "number 3" in text else None


@pytest.fixture
def search(tmp_path):
    pytest.importorskip("gepa")

    def run(ask, measure=None, starts=(START,), rows=ROWS, plan=PLAN, guard=guard, folder=tmp_path):
        return evolve(
            rows, starts, measure or Metric(), ask, model="m", identity="base", guard=guard,
            answers=folder / "a.jsonl", record=folder / "c.jsonl", plan=plan,
        )  # fmt: skip

    return run


def test_a_planted_better_mutation_is_found(search, capsys):
    ask = Scripted("Say nothing much at all.", BETTER, "Be brief, please.", BEST)
    found = search(ask)
    assert found.candidate.text == BEST
    assert found.candidate.way == "evolve"
    [note] = found.candidate.notes
    assert "nats per token against" in note
    assert "on 6 training rows" in note
    assert found.start_nll == pytest.approx(3.0, abs=0.2)
    assert found.cost == found.candidate.cost
    assert (found.cost.requests, found.cost.tokens) == (len(ask.prompts), 10 * len(ask.prompts))
    assert found.num_calls <= PLAN.num_calls + 12  # the last turn may end beyond
    assert "better than every start" in found.summarize()
    assert capsys.readouterr().out == ""


def test_the_model_sees_rows_to_show_alone_with_how_they_went(search):
    ask, metric = Scripted(BETTER), Metric()
    search(ask, metric)
    shown = "\n".join(ask.prompts)
    in_prompts = {row.id for row in ROWS if f"Input: {row.user_text}\n" in shown}
    assert len(in_prompts) <= 6
    assert f"<instruction>\n{START.text}\n</instruction>" in ask.prompts[0]
    assert "Surprise: 3." in ask.prompts[0]
    first = ask.prompts[0]
    surprises = [float(x.split()[0]) for x in first.split("Surprise: ")[1:]]
    assert surprises == sorted(surprises, reverse=True)
    # The others validate: each was measured under the start before any request.
    validation = {row for text, row in metric.measured[:6] if text == START.text}
    assert len(validation) == 6
    assert not validation & in_prompts


def test_what_is_refused_scores_worst_is_not_measured_and_the_model_is_told_why(search, tmp_path):
    refused = "Do as for thing number 3 here."
    ask, metric = Scripted(refused, BETTER), Metric()
    found = search(ask, metric)
    assert found.candidate.text == BETTER
    assert refused not in {text for text, _ in metric.measured}
    assert "contains the whole prompt of training row 'row3'" in ask.prompts[1]
    assert refused in ask.prompts[1]
    [row] = [row for row in read(tmp_path / "c.jsonl") if row["text"] == refused]
    assert row["fault"].startswith("contains the whole prompt")
    assert (row["losses"], row["validation_nll"]) == ({}, None)
    assert "1 refused" in found.summarize()


def test_nothing_of_a_test_row_is_told_to_the_model(search):
    def strict(text):
        fault = "contains the answer of test row 'secret7', which no training row has"
        return fault if "hidden" in text else None

    ask = Scripted("Say the hidden words.", BETTER)
    search(ask, guard=strict)
    assert "it holds words it must not hold" in ask.prompts[1]
    assert "secret7" not in "\n".join(ask.prompts)


def test_what_did_not_help_is_told_and_what_did_is_the_next_parent(search):
    worse = "Say nothing much at all."
    ask = Scripted(worse, BETTER, "Name it and the colour.", "Hm, hm, hm.")
    search(ask)
    assert f"made the right outputs no likelier:\n- {worse}" in ask.prompts[1]
    assert BETTER not in ask.prompts[2].partition("no likelier")[2]
    assert any(f"<instruction>\n{BETTER}\n</instruction>" in prompt for prompt in ask.prompts[2:])


def test_the_best_start_is_the_first_parent_and_the_others_are_tried_too(search, tmp_path):
    other = AnchorCandidate(BETTER, "features")
    found = search(Scripted("Be brief, please."), starts=(START, other, other))
    assert found.candidate is None
    assert found.start_nll == pytest.approx(2.0, abs=0.2)
    assert "none better than the best start" in found.summarize()
    rows = read(tmp_path / "c.jsonl")
    assert [row["origin"] for row in rows][:2] == ["seed: template", "seed: features"]


def test_every_candidate_is_on_record_with_its_losses(search, tmp_path):
    found = search(Scripted("Say nothing much at all.", BETTER, BETTER + " Now."))
    rows = read(tmp_path / "c.jsonl")
    assert [row["text"] for row in rows] == [one.text for one in found.tried]
    assert [row["text"] for row in rows][:3] == [START.text, "Say nothing much at all.", BETTER]
    better = rows[2]
    assert (better["origin"], better["parent"]) == ("reflection", START.text)
    assert better["validation_nll"] == pytest.approx(2.0, abs=0.2)
    assert all(tokens == 2 for _, tokens in better["losses"].values())
    assert rows[1]["validation_nll"] is None


def test_a_search_that_broke_off_goes_on_and_does_nothing_twice(search, tmp_path):
    texts = ("Say nothing much at all.", BETTER, "Be brief, please.", BEST)
    whole = search(Scripted(*texts), folder=tmp_path / "whole")
    metric = Metric()
    with pytest.raises(KeyboardInterrupt):
        search(Scripted(*texts[:2], KeyboardInterrupt()), metric)
    ask = Scripted(*texts[2:])
    again = search(ask, metric)
    assert len(metric.measured) == len(set(metric.measured))
    assert again.candidate.text == whole.candidate.text == BEST
    assert [one.text for one in again.tried] == [one.text for one in whole.tried]
    assert again.cost.requests == whole.cost.requests
    assert len(ask.prompts) == whole.cost.requests - 2
    # And once it is over, nothing is left to do.
    done = search(Scripted(AssertionError("asked again")), metric)
    assert done.candidate == replace(again.candidate, cost=done.cost)
    assert len(metric.measured) == len(set(metric.measured))


def test_losses_of_other_rows_or_another_model_are_not_taken(search, tmp_path):
    search(Scripted(BETTER))
    metric = Metric()
    changed = [replace(row, completion=row.completion + "!") for row in ROWS]
    search(Scripted(BETTER), metric, rows=changed)
    assert START.text in {text for text, _ in metric.measured}
    texts = [row["text"] for row in read(tmp_path / "c.jsonl")]
    assert texts.count(START.text) == 2  # neither search forgot the other


def test_what_was_found_is_kept_where_the_model_cannot_be_asked_any_more(search):
    found = search(Scripted(BETTER, AskError("host: no answer in 5 tries. Try again later.", 5)))
    assert found.candidate.text == BETTER
    assert "stopped early: host: no answer" in found.summarize()
    assert (found.cost.requests, found.cost.tokens) == (6, None)


def test_a_model_that_never_answers_is_an_error(search):
    with pytest.raises(AskError, match="no permission"):
        search(Scripted(AskError("host: no permission.")))


def test_answers_without_a_text_are_passed_over_thrice_in_a_row_at_most(search):
    nothing = UnusableAnswerError("host: no text.", 1)
    found = search(Scripted(nothing, nothing, BETTER))
    assert found.candidate.text == BETTER
    with pytest.raises(AskError, match="host: no text"):
        search(Scripted(nothing), rows=[replace(row, completion="other") for row in ROWS])


def test_thoughts_that_the_limit_cut_off_are_counted(search):
    def ask(prompt, *, seed, max_tokens):
        return Answer("<think>\nOkay, so I name it. Well", is_finished=False)

    found = search(ask)
    assert found.candidate is None
    assert "answers were cut off at 2,048 tokens before an instruction" in found.summarize()


def test_an_answer_that_says_the_same_is_no_candidate(search):
    found = search(Scripted(f"Sure! Here is the instruction: {START.text.upper()}"))
    assert found.candidate is None
    assert [one.origin for one in found.tried] == ["seed: template"]


def test_a_fault_of_the_disk_ends_the_search(search, monkeypatch):
    def fail(*_):
        raise RunError("a.jsonl: the disk is full.")

    monkeypatch.setattr("levertune.anchors.answer_store.write_jsonl_atomically", fail)
    with pytest.raises(RunError, match="the disk is full"):
        search(Scripted(BETTER))


def test_a_budget_too_small_for_all_starts_takes_some_of_each_way_and_names_the_others(search):
    starts = [AnchorCandidate(f"Say it in {n} words.", "pool") for n in "345"]
    starts.append(AnchorCandidate(BETTER, "features"))
    ask, metric = Scripted(BEST), Metric()
    # 6 validation rows, 3 shown: 24 for one start and 12 for each other one.
    one = search(ask, metric, starts=starts, plan=EvolvePlan(num_calls=35, num_shown=3))
    assert one.candidate.text == BEST
    assert {text for text, _ in metric.measured} == {starts[0].text, BEST}
    search(ask, metric, starts=starts, plan=EvolvePlan(num_calls=36, num_shown=3))
    assert {text for text, _ in metric.measured} == {starts[0].text, BEST, BETTER}
    summary = one.summarize()
    assert "3 of 4 candidates to start from are left out, for which --evolve-calls 35" in summary
    assert "has no room (60 has): features 'Name the colour of the thing.', pool 'Say" in summary
    whole = search(ask, starts=starts, plan=EvolvePlan(num_calls=60, num_shown=3))
    assert "left out" not in whole.summarize()


def test_a_budget_for_no_start_is_refused_before_anything_is_measured(search):
    metric = Metric()
    with pytest.raises(RecipeError, match=r"--evolve-calls: must be at least 24 .*; found 23\."):
        search(Scripted(BEST), metric, plan=EvolvePlan(num_calls=23, num_shown=3))
    assert metric.measured == []


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"rows": ROWS[:3]}, DataError, "needs at least 4 training rows.*found 3"),
        ({"starts": ()}, RecipeError, r"found 0 that cannot be used \(none was written\)"),
        (
            {"starts": (AnchorCandidate("As number 3.", "pool"),)},
            RecipeError,
            r"found 1 that cannot be used \(contains the whole prompt",
        ),
        ({"plan": EvolvePlan(num_calls=20)}, RecipeError, "--evolve-calls: must be at least 30"),
    ],
)
def test_a_search_that_cannot_begin_is_refused(search, changes, kind, message):
    ask = Scripted(BETTER)
    with pytest.raises(kind, match=message):
        search(ask, **changes)
    assert ask.prompts == []


def test_a_record_that_is_none_is_refused(search, tmp_path):
    (tmp_path / "c.jsonl").write_text('{"text": "a"}\n', encoding="utf-8")
    with pytest.raises(RunError, match=r"c\.jsonl, row 1: no candidate of a search.*\['text'\]"):
        search(Scripted(BETTER))


def test_a_record_of_a_version_that_counted_no_tokens_is_gone_on_with(search, tmp_path):
    first = search(Scripted(BETTER))
    path = tmp_path / "c.jsonl"
    rows = [{k: v for k, v in row.items() if k != "read"} for row in read(path)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    again = search(Scripted(BETTER))
    assert [one.text for one in again.tried] == [one.text for one in first.tried]
    assert again.cost.tokens is None


def test_a_plan_of_nothing_is_refused():
    with pytest.raises(ValueError, match="num_shown must be at least 1, got 0"):
        EvolvePlan(num_shown=0)


def test_without_gepa_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gepa", None)
    with pytest.raises(RecipeError, match="found none. Install it with: pip install 'gepa>="):
        require_gepa()
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    [extra] = project["project"]["optional-dependencies"]["gepa"]
    assert f"pip install '{extra}'" == INSTALL_COMMAND


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
