import json
from dataclasses import replace

import pytest

from levertune.anchors.asking import Answer, AskError, UnusableAnswerError
from levertune.anchors.candidates import DesignCost
from levertune.anchors.guard import make_guard
from levertune.anchors.meta_prompts import is_fragment
from levertune.anchors.written_by_model import WritingPlan, write_by_model
from levertune.data.records import Message, Record
from levertune.errors import RunError

SHARED = "Give the colour of this."
ROWS = [
    Record(str(n), "task", (Message("user", f"{SHARED}\nthing number {n} of many"),), colour)
    for n, colour in enumerate(["red", "green", "blue"] * 3)
]
PLAN = WritingPlan(num_draws=2, num_examples=3, seeds=(0, 1), forms=("request",))
FORMS = ("request", "completion", "worksheet")


class Model:
    """Answers in turn with what it was given; an error is raised instead."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def __call__(self, prompt, *, seed, max_tokens):
        self.asked.append((prompt, seed, max_tokens))
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer if isinstance(answer, Answer) else Answer(answer, 10)


def write(model, *, rows=ROWS, plan=PLAN, guard=None, **options):
    ticks = iter(range(1_000))
    return write_by_model(
        rows,
        model,
        model="m-1",
        guard=guard or make_guard(rows),
        plan=plan,
        clock=lambda: float(next(ticks)),
        **options,
    )


def test_each_draw_is_asked_with_each_seed_and_shows_rows_without_their_instruction():
    model = Model(
        "Name the colour it has.", "Say which colour.", "Give its colour.", "Colour it now."
    )
    written = write(model)
    assert [candidate.text for candidate in written.candidates] == [
        "Name the colour it has.",
        "Say which colour.",
        "Give its colour.",
        "Colour it now.",
    ]
    prompts = [prompt for prompt, _, _ in model.asked]
    assert [seed for _, seed, _ in model.asked] == [0, 1, 0, 1]
    assert prompts[0] == prompts[1] != prompts[2] == prompts[3]
    assert all(prompt.count("\nOutput: ") == 3 and SHARED not in prompt for prompt in prompts)
    first = written.candidates[0]
    assert (first.way, first.notes) == ("model", ("Draw 0, seed 0, form request.",))
    assert first.cost == DesignCost(10, 1.0, 1)
    assert written.cost == DesignCost(40, 4.0, 4)
    assert written.summarize() == "4 candidates"


def test_repeated_and_unusable_answers_are_counted_with_the_reason():
    model = Model(
        "Name the colour it has.",
        "name the COLOUR it has",
        "Say thing number 3 of many now.",
        "No.",
    )
    written = write(model)
    assert [candidate.text for candidate in written.candidates] == ["Name the colour it has."]
    assert written.num_repeated == 1
    assert written.refused == {
        "contains the whole prompt of training row '3'": 1,
        "has fewer than 3 words": 1,
    }
    assert written.summarize() == (
        "1 candidates; 1 repeated; 1 refused: contains the whole prompt of training row '3'; "
        "1 refused: has fewer than 3 words"
    )
    assert written.cost.tokens == 40


def test_what_is_long_enough_for_an_instruction_is_counted_in_words_of_any_script():
    better = ["请给出这条消息里的颜色。", "จงบอกสีของสิ่งของต่อไปนี้"]
    written = write(Model(*better, "是的。", "Größe!"))
    assert [candidate.text for candidate in written.candidates] == better
    assert written.refused == {"has fewer than 3 words": 2}


def test_weak_model_is_asked_in_other_forms_until_one_gives_something():
    plan = WritingPlan(num_draws=1, num_examples=2, seeds=(0,), forms=FORMS)
    chat, base = Model("Input: x"), Model("\n", 'Name the colour of it." and so')
    written = write(chat, plan=plan, continue_text=base)
    assert [candidate.text for candidate in written.candidates] == ["Name the colour of it."]
    assert written.candidates[0].cost == DesignCost(30, 3.0, 3)
    assert written.refused == {"is blank": 2}
    assert len(chat.asked) == 1
    assert [prompt.endswith("Instruction:") for prompt, _, _ in base.asked] == [True, False]


def test_thoughts_that_the_limit_cut_off_are_no_candidates_and_the_limit_is_told():
    thought = Answer("<think>\nOkay, so I need to find the colour. Name it", 10, is_finished=False)
    written = write(Model(thought, "Name the colour it has.", thought, thought))
    assert [candidate.text for candidate in written.candidates] == ["Name the colour it has."]
    assert written.refused == {}
    assert "3 answers were cut off at 160 tokens before an instruction" in written.summarize()
    assert "--max-tokens allows more" in written.summarize()


def test_finished_answers_are_not_asked_for_again(tmp_path):
    store = tmp_path / "answers.jsonl"
    broken = Model("Name the colour it has.", "Say which colour.", AskError("host: gone.", 5))
    first = write(broken, store=store)
    assert len(first.candidates) == 2
    assert first.stopped_by == "host: gone."
    assert first.summarize() == "2 candidates; stopped early: host: gone."
    assert first.cost == DesignCost(None, 2.0 + 2.0, 7)
    again = Model("Give its colour.", "Colour it now.")
    second = write(again, store=store)
    assert len(again.asked) == 2
    assert len(second.candidates) == 4
    assert second.candidates[:2] == first.candidates
    assert (second.cost.tokens, second.cost.requests, second.stopped_by) == (40, 4, None)
    assert write(Model(), store=store) == second


def test_even_a_crash_loses_nothing_that_was_finished(tmp_path):
    store = tmp_path / "answers.jsonl"
    with pytest.raises(KeyboardInterrupt):
        write(Model("Name the colour it has.", KeyboardInterrupt()), store=store)
    rest = Model(*["Say which colour."] * 3)
    assert len(write(rest, store=store).candidates) == 2


def test_answers_that_another_process_keeps_meanwhile_are_not_lost(tmp_path):
    store = tmp_path / "answers.jsonl"

    class Slow(Model):
        """While it answers first, another process writes all of its own."""

        def __call__(self, prompt, *, seed, max_tokens):
            if not self.asked:
                write(Model(*[f"Write the hue, version {n}." for n in range(4)]), store=store,
                      plan=replace(PLAN, draw_seed=7))  # fmt: skip
            return super().__call__(prompt, seed=seed, max_tokens=max_tokens)

    write(Slow(*[f"Name the colour, version {n}." for n in range(4)]), store=store)
    kept = [json.loads(line)["answer"] for line in store.read_text("utf-8").splitlines()]
    assert sorted(kept) == sorted(
        f"{words}, version {n}." for words in ("Write the hue", "Name the colour") for n in range(4)
    )


def test_store_keeps_answers_of_another_model_but_does_not_use_them(tmp_path):
    store = tmp_path / "answers.jsonl"
    write(Model(*["Name the colour it has."] * 4), store=store)
    other = Model(*["Say which colour."] * 4)
    written = write_by_model(
        ROWS, other, model="m-2", guard=make_guard(ROWS), plan=PLAN, store=store
    )
    assert len(other.asked) == 4
    assert [candidate.text for candidate in written.candidates] == ["Say which colour."]
    models = [json.loads(line)["model"] for line in store.read_text("utf-8").splitlines()]
    assert models == ["m-1"] * 4 + ["m-2"] * 4


@pytest.mark.parametrize("content", ['{"a": 1}\n', '{"key": "a", "answer": 3}\n'])
def test_store_that_holds_something_else_is_refused(tmp_path, content):
    store = tmp_path / "answers.jsonl"
    store.write_text(content, "utf-8")
    with pytest.raises(RunError, match=r"row 1: not an answer of a model; found the fields \['"):
        write(Model(), store=store)
    store.write_text("{", "utf-8")
    with pytest.raises(RunError, match="not valid JSON"):
        write(Model(), store=store)


def test_model_that_cannot_be_asked_at_all_is_an_error():
    with pytest.raises(AskError, match="host: gone"):
        write(Model(AskError("host: gone.")))


def test_single_answer_without_text_is_passed_over_but_not_many_in_a_row():
    nonsense = UnusableAnswerError("host: no text.", 1)
    good = "Name the colour it has."
    written = write(Model(nonsense, nonsense, good, nonsense))
    assert written.refused == {"no text in the answer": 3}
    assert written.cost.requests == 4
    with pytest.raises(UnusableAnswerError, match="host: no text"):
        write(Model(nonsense, nonsense, nonsense))
    stopped = write(Model(good, nonsense, nonsense, nonsense))
    assert stopped.stopped_by == "host: no text."
    assert len(stopped.candidates) == 1


def test_no_rows_and_impossible_plans_are_refused():
    with pytest.raises(ValueError, match="at least one row"):
        write(Model(), rows=[], guard=lambda text: None)
    with pytest.raises(ValueError, match="num_draws must be at least 1, got 0"):
        WritingPlan(num_draws=0)
    with pytest.raises(ValueError, match="forms be some of"):
        WritingPlan(forms=("sonnet",))


@pytest.mark.parametrize("text", ["Translate it.", "是的。", "네.", "Größe!"])
def test_a_word_or_two_is_a_fragment(text):
    assert is_fragment(text)


@pytest.mark.parametrize("text", ["翻译成英文", "영어로 번역하세요.", "Give the code."])
def test_what_instructs_in_few_words_is_none(text):
    assert not is_fragment(text)
