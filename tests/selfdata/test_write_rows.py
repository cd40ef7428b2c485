import json
from dataclasses import replace

import pytest

from levertune.data.records import Message, Record
from levertune.errors import DataError, ModelError
from levertune.models.rendering import ChatTokenizer
from levertune.selfdata import write_rows
from levertune.selfdata.sampling import Continuation, ModelSampler
from levertune.selfdata.write_rows import BATCH_ROWS, CANDIDATES_PER_ROW, SelfWriter


class FakeSampler:
    """Writes plausible text from the seed and the place; `break_after` calls it breaks off."""

    max_length = None

    def __init__(self, tokenizer, answer=None):
        self.tokenizer = tokenizer
        self.answer = answer or (lambda prompt: Continuation(f" About {prompt}: yes indeed.", True))
        self.calls = []
        self.break_after = None

    def write(self, heads, *, stop_ids, max_new_tokens, temperature, seed):
        if self.break_after is not None and len(self.calls) >= self.break_after:
            raise KeyboardInterrupt
        texts = [self.tokenizer.decode_all(head) for head in heads]
        self.calls.append((texts, seed))
        if texts and texts[0].endswith("assistant\n"):
            return [self.answer(f"{seed}-{i}") for i in range(len(texts))]
        return [Continuation(f" {_words(seed, i)}?", i % 8 != 7) for i in range(len(texts))]


def _words(seed, place):
    """Words that differ from one place to the next."""
    import random

    generator = random.Random(f"{seed} {place}")
    letters = "abcdefghijklmnopqrstuvwxyz"
    return " ".join("".join(generator.choices(letters, k=7)) for _ in range(5))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("LEVERTUNE_CACHE", str(folder))
    return folder


@pytest.fixture
def sampler(tiny_tokenizer, cache):
    return FakeSampler(tiny_tokenizer)


def writer(sampler, key=("model", "tokenizer"), **settings):
    return SelfWriter(sampler.tokenizer, key, lambda: sampler, **settings)


def read(written):
    return [json.loads(line) for line in written.path.read_text("utf-8").splitlines()]


def prompts(*texts):
    return [
        Record(f"k{i}", "a", (Message("system", "Be brief."), Message("user", text)), "")
        for i, text in enumerate(texts)
    ]


def test_requests_are_what_follows_the_template_and_are_then_answered(sampler):
    rows = read(writer(sampler).write_rows(5))
    assert len(rows) == 5
    assert [m["role"] for m in rows[0]["messages"]] == ["user", "assistant"]
    heads, _ = sampler.calls[0]
    assert len(heads) == BATCH_ROWS
    user_turn = "<|im_start|>system\nBe of use.<|im_end|>\n<|im_start|>user\n"
    assert all(head.startswith(user_turn) for head in heads)
    assert sum(head == user_turn for head in heads) == BATCH_ROWS // 4
    assert len({head.removeprefix(user_turn) for head in heads}) > 8
    asked, _ = sampler.calls[1]
    request = rows[0]["messages"][0]["content"]
    assert asked[0] == f"{user_turn}{request}<|im_end|>\n<|im_start|>assistant\n"
    assert len(asked) == BATCH_ROWS - BATCH_ROWS // 8  # those that came to an end
    assert rows[0]["messages"][1]["content"] == "About 1-0: yes indeed."


def test_rows_are_sampled_once_and_more_of_them_contain_the_fewer(sampler):
    first = writer(sampler).write_rows(10)
    again = writer(sampler).write_rows(10)
    assert (again, len(sampler.calls)) == (first, 2)
    more = read(writer(sampler).write_rows(40))
    assert more[:10] == read(first)
    assert len(sampler.calls) == 4
    assert len({row["id"] for row in more}) == 40
    assert read(writer(sampler, key=("other", "tokenizer")).write_rows(10)) == read(first)
    assert len(sampler.calls) == 6


def test_a_killed_sampling_goes_on_and_ends_in_the_same_rows(sampler, cache, tmp_path, monkeypatch):
    sampler.break_after = 5
    with pytest.raises(KeyboardInterrupt):
        writer(sampler).write_rows(90)
    sampler.break_after = None
    resumed = read(writer(sampler).write_rows(90))
    assert len(sampler.calls) == 9  # the half-made batch again, none of the whole ones
    monkeypatch.setenv("LEVERTUNE_CACHE", str(tmp_path / "fresh"))
    assert read(writer(FakeSampler(sampler.tokenizer)).write_rows(90)) == resumed


def test_rows_are_told_as_they_are_kept(sampler, watched):
    sampler.break_after = 3
    with pytest.raises(KeyboardInterrupt):
        writer(sampler, progress=watched).write_rows(40)
    [[name, total, unit, done]] = watched.stages
    assert (name, total, unit) == ("write self:40", 40, "row")
    assert 0 < done < BATCH_ROWS
    sampler.break_after = None
    writer(sampler, progress=watched).write_rows(40)
    assert watched.stages[1:] == [["write self:40", 40, "row", 40]]
    writer(sampler, progress=watched).write_rows(40)
    assert len(watched.stages) == 2  # nothing was written
    asked = prompts("Where do swallows go?", "Where do storks go?")
    writer(sampler, progress=watched).answer(asked, "self-answers:p.jsonl")
    assert watched.stages[2:] == [["write self-answers:p.jsonl", 2, "row", 2]]


def test_near_copies_are_kept_once_and_what_is_left_out_is_counted(sampler, monkeypatch):
    monkeypatch.setitem(globals(), "_words", lambda seed, place: _same(place))
    written = writer(sampler).write_rows(60)
    requests = [row["messages"][0]["content"] for row in read(written)]
    assert 0 < len(requests) < 60
    assert len(set(requests)) == len(requests)
    (note,) = written.notes
    limit = f"the limit of {CANDIDATES_PER_ROW} candidates a row was reached"
    assert note.startswith(f"self:60: {len(requests)} rows of 60 kept, {limit}; left out: ")
    assert "near_copy" in note
    assert "never_ended" in note
    counted = sum(int(part.split()[0]) for part in note.partition("left out: ")[2].split(", "))
    assert counted + len(requests) == 60 * CANDIDATES_PER_ROW
    assert writer(sampler).write_rows(60) == written


def _same(place):
    return "grows in the garden in spring time"


def test_a_model_that_writes_nothing_of_use_is_refused_and_never_asked_for_ever(tiny_tokenizer):
    sampler = FakeSampler(tiny_tokenizer, lambda prompt: Continuation("As an AI", True))
    with pytest.raises(DataError, match=r"self:4: none of the 32 rows .* wrote can be used; found"):
        writer(sampler).write_rows(4)
    assert len(sampler.calls) == 2


def test_answers_keep_the_ids_and_all_turns_of_their_prompts(sampler):
    asked = prompts("Where do swallows go?", "Where do storks go?", "Where do swallows go?")
    rows = read(writer(sampler).answer(asked, "self-answers:p.jsonl"))
    assert [row["id"] for row in rows] == ["k0", "k1", "k2"]
    assert rows[1]["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Where do storks go?"},
        {"role": "assistant", "content": "About 0-1: yes indeed."},
    ]
    writer(sampler).answer(asked, "self-answers:moved.jsonl")
    assert len(sampler.calls) == 1
    writer(sampler).answer(asked[:2], "self-answers:p.jsonl")
    assert len(sampler.calls) == 2


def test_prompts_that_cannot_be_answered_are_counted(sampler):
    sampler.max_length = 256
    asked = prompts("Where do swallows go?", "a b " * 200, "Now <|im_end|> and then?")
    written = writer(sampler).answer(asked, "self-answers:p.jsonl")
    assert [row["id"] for row in read(written)] == ["k0"]
    assert written.notes == (
        "self-answers:p.jsonl: 1 answers of 3 kept; left out: 1 prompt_too_long, 1 "
        "control_token_in_prompt.",
    )


def test_a_model_without_chat_template_is_refused_in_one_line(tiny_tokenizer):
    plain = ChatTokenizer(tiny_tokenizer.tokenizer, None, tiny_tokenizer.special_tokens, "plain")
    with pytest.raises(
        ModelError, match="plain: has no chat template, so it can write no requests"
    ):
        SelfWriter(plain, ("m", "t"), lambda: None)


def test_what_was_kept_is_never_trusted_by_its_name(sampler, cache):
    written = writer(sampler).write_rows(6)
    expected = written.path.read_bytes()
    written.path.write_bytes(b'{"id": "x"}\n')
    assert writer(sampler).write_rows(6).path.read_bytes() == expected
    assert len(sampler.calls) == 2  # chosen again from the batches that are there
    (cache / "self" / written.path.parent.name / "batch-000000.jsonl").write_text("{")
    written.path.unlink()
    assert writer(sampler).write_rows(6).path.read_bytes() == expected
    assert len(sampler.calls) == 4
    facts = written.path.with_name("facts.json")
    facts.write_text(facts.read_text().replace('"model"', '"modle"', 1))
    assert writer(sampler).write_rows(6).path.read_bytes() == expected
    assert len(sampler.calls) == 6


@pytest.mark.parametrize("damage", ["flip", "short", "no hash"])
def test_one_flipped_byte_of_a_batch_is_found_and_only_that_batch_sampled_again(
    sampler, cache, damage
):
    written = writer(sampler).write_rows(40)
    expected = written.path.read_bytes()
    assert len(sampler.calls) == 4
    first, _ = sorted(written.path.parent.glob("batch-*.jsonl"))
    whole = first.read_bytes()
    if damage == "flip":
        place = whole.index(b"yes indeed")
        first.write_bytes(whole[:place] + b"Y" + whole[place + 1 :])
    elif damage == "short":
        first.write_bytes(b'{"id": "x"}\n')
    else:
        first.with_name(f"{first.name}.sha256").unlink()
    written.path.unlink()
    assert writer(sampler).write_rows(40).path.read_bytes() == expected
    assert len(sampler.calls) == 6
    assert first.read_bytes() == whole


def test_what_is_said_of_rows_chosen_before_is_not_trusted_by_its_name(sampler):
    written = writer(sampler).write_rows(6)
    facts = written.path.with_suffix(".json")
    for content in ("{}", facts.read_text().replace("left out", "left in")):
        facts.write_text(content)
        assert writer(sampler).write_rows(6) == written
    assert len(sampler.calls) == 2  # chosen again from the batches that are there


def test_the_model_samples_the_same_from_the_same_seed_and_leaves_the_generator_alone(
    tiny_model, tiny_tokenizer, cpu
):
    import torch

    sampler = ModelSampler(tiny_model, tiny_tokenizer, cpu)
    heads = [tiny_tokenizer.encode(text) for text in ("one", "one two three")]
    state = torch.random.get_rng_state()

    def write(seed):
        return sampler.write(
            heads, stop_ids=tiny_tokenizer.stop_ids, max_new_tokens=6, temperature=1.0, seed=seed
        )

    assert write(3) == write(3)
    assert write(3) != write(4)
    assert torch.equal(state, torch.random.get_rng_state())
    assert sampler.write([], stop_ids=[1], max_new_tokens=1, temperature=1.0, seed=0) == []


def test_a_real_model_goes_the_whole_way(tiny_model, tiny_tokenizer, cpu, cache, monkeypatch):
    monkeypatch.setattr(write_rows, "BATCH_ROWS", 4)
    monkeypatch.setattr(write_rows, "reason_against", lambda request, answer: None)
    monkeypatch.setattr(write_rows, "ANSWER_TOKENS", 40)
    monkeypatch.setattr(write_rows, "REQUEST_TOKENS", 20)

    class Finishing(ModelSampler):
        """Random weights seldom come to an end."""

        def write(self, heads, **settings):
            return [replace(found, is_finished=True) for found in super().write(heads, **settings)]

    sampler = Finishing(tiny_model, tiny_tokenizer, cpu)
    written = SelfWriter(tiny_tokenizer, ("m", "t"), lambda: sampler).write_rows(2)
    rows = read(written)
    assert len(rows) == 2
    assert all(row["messages"][0]["content"] for row in rows)
