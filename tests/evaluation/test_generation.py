import random

import pytest
import torch
from transformers import GenerationConfig

from levertune.anchors.anchor import Example
from levertune.data.records import Message
from levertune.errors import DataError
from levertune.evaluation.generation import generate_completions
from levertune.models.adapters import attach_lora

NEW_TOKENS = 12


@pytest.fixture(scope="module")
def examples():
    draw = random.Random(3)
    words = ["red", "green", "blue", "one", "two", "three", "answer"]
    return [
        Example(
            str(number),
            "task",
            (Message("user", " ".join(draw.choices(words, k=draw.randrange(1, 12)))),),
            "unused",
        )
        for number in range(9)
    ]


def generate(model, tokenizer, examples, cpu, **options):
    settings = {"max_new_tokens": NEW_TOKENS, "batch_size": 4, **options}
    return generate_completions(model, tokenizer, examples, hardware=cpu, **settings)


def greedy(model, tokenizer, example, limit=NEW_TOKENS):
    """One token at a time, one row, no padding, no cache."""
    ids = list(tokenizer.encode_prompt(example))
    start = len(ids)
    while len(ids) - start < limit:
        with torch.no_grad():
            best = int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
        ids.append(best)
        if best in tokenizer.stop_ids:
            return ids[start:-1], "stop"
    return ids[start:], "length"


def stopping(model, share=1.5):
    """A copy of nothing: makes the end of turn likelier, so that some rows stop early."""
    with torch.no_grad():
        model.get_output_embeddings().weight[1] *= share
    return model


@pytest.mark.parametrize("share", [1.0, 3.0, 10.0])
def test_a_batch_answers_as_greedy_decoding_of_each_row_alone(
    tiny_model, tiny_tokenizer, examples, cpu, share
):
    model = stopping(tiny_model, share)
    answers = generate(model, tiny_tokenizer, examples, cpu)
    assert [answer.id for answer in answers] == [example.id for example in examples]
    for example, answer in zip(examples, answers, strict=True):
        ids, finish_reason = greedy(model, tiny_tokenizer, example)
        assert answer.text == tiny_tokenizer.decode(ids).strip()
        assert answer.finish_reason == finish_reason
        assert answer.num_tokens == len(ids) + (finish_reason == "stop")


def test_both_finish_reasons_come_up(tiny_model, tiny_tokenizer, examples, cpu):
    reasons = set()
    for share in (1.0, 3.0, 10.0):
        model = stopping(tiny_model, share)
        reasons |= {a.finish_reason for a in generate(model, tiny_tokenizer, examples, cpu)}
    assert reasons == {"stop", "length"}


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_the_batch_size_changes_no_answer(tiny_model, tiny_tokenizer, examples, cpu, batch_size):
    expected = generate(tiny_model, tiny_tokenizer, examples, cpu)
    assert generate(tiny_model, tiny_tokenizer, examples, cpu, batch_size=batch_size) == expected


@pytest.mark.parametrize("is_adapted", [False, True])
def test_the_settings_that_came_with_the_model_are_set_aside_and_stay(
    tiny_model, tiny_tokenizer, examples, cpu, is_adapted
):
    model = tiny_model
    if is_adapted:
        model = attach_lora(model, r=2, alpha=4, dropout=0.0, target_modules="all-linear").eval()
    expected = generate(model, tiny_tokenizer, examples, cpu)
    own = GenerationConfig(
        do_sample=True,
        temperature=3.0,
        repetition_penalty=5.0,
        no_repeat_ngram_size=1,
        min_new_tokens=NEW_TOKENS,
        suppress_tokens=list(range(3, 200)),
        eos_token_id=[9],
    )
    tiny_model.generation_config = own
    assert generate(model, tiny_tokenizer, examples, cpu) == expected
    assert tiny_model.generation_config is own


def test_a_model_that_cannot_share_beginnings_answers_the_same(
    tiny_model, tiny_tokenizer, examples, cpu, monkeypatch
):
    from levertune.evaluation import generation

    told = []
    monkeypatch.setattr(
        generation,
        "continue_greedily",
        lambda *_, **__: pytest.fail("this model has no business here"),
    )
    monkeypatch.setattr(generation, "can_share", lambda *_: told.append(1) and False)
    padded = generate(stopping(tiny_model, 3.0), tiny_tokenizer, examples, cpu)
    monkeypatch.undo()
    assert told
    assert generate(tiny_model, tiny_tokenizer, examples, cpu) == padded


def test_settings_are_put_back_after_an_error(tiny_model, tiny_tokenizer, examples, cpu):
    own = tiny_model.generation_config

    def fail(*args, **kwargs):
        raise KeyboardInterrupt

    tiny_model.forward = fail
    with pytest.raises(KeyboardInterrupt):
        generate(tiny_model, tiny_tokenizer, examples, cpu)
    assert tiny_model.generation_config is own


def test_the_lead_in_opens_the_answer_and_is_not_part_of_it(
    tiny_model, tiny_tokenizer, examples, cpu
):
    led = Example("a", "task", examples[0].messages, "", lead_in="one two")
    answer = generate(tiny_model, tiny_tokenizer, [led], cpu)[0]
    ids, _ = greedy(tiny_model, tiny_tokenizer, led)
    assert answer.text == tiny_tokenizer.decode(ids).strip()


def test_a_control_token_in_a_prompt_is_refused(tiny_model, tiny_tokenizer, cpu):
    bad = Example("3", "task", (Message("user", "a<|im_end|>"),), "")
    with pytest.raises(DataError, match="row '3': contains the control token '<|im_end|>'"):
        generate(tiny_model, tiny_tokenizer, [bad], cpu)


def test_no_rows_give_no_answers(tiny_model, tiny_tokenizer, cpu):
    assert generate(tiny_model, tiny_tokenizer, [], cpu) == []
