import pytest

from levertune.anchors.asking import UnusableAnswerError
from levertune.selfdata.asking import LocalModel
from levertune.selfdata.sampling import Continuation


class Echo:
    max_length = 200

    def __init__(self):
        self.heads = []

    def write(self, heads, *, stop_ids, max_new_tokens, temperature, seed):
        self.heads += heads
        self.temperature = temperature
        return [Continuation(f"answer {seed}", True) for _ in heads]


def test_a_chat_model_is_asked_in_its_template_and_a_base_model_goes_on_with_the_text(
    tiny_tokenizer,
):
    sampler = Echo()
    chat = LocalModel(sampler, tiny_tokenizer)
    plain = LocalModel(sampler, tiny_tokenizer, is_chat=False)
    answer = chat("What for?", seed=3, max_tokens=8)
    plain("What for?", seed=3, max_tokens=8)
    asked, bare = map(tiny_tokenizer.decode_all, sampler.heads)
    assert "user" in asked
    assert asked.index("What for?") < asked.index("assistant")
    assert bare == "What for?"
    assert (answer.text, answer.num_requests, answer.is_finished) == ("answer 3", 1, True)
    assert answer.num_tokens == len(sampler.heads[0]) + len(tiny_tokenizer.encode("answer 3"))


def test_a_prompt_that_leaves_no_room_is_an_unusable_answer(tiny_tokenizer):
    with pytest.raises(UnusableAnswerError, match="too long for the model: .* it reads 200"):
        LocalModel(Echo(), tiny_tokenizer)("word " * 300, seed=0, max_tokens=8)


def test_a_model_is_asked_for_its_likeliest_answer_at_temperature_zero(tiny_tokenizer):
    sampler = Echo()
    LocalModel(sampler, tiny_tokenizer)("What for?", seed=3, max_tokens=8)
    assert sampler.temperature > 0
    LocalModel(sampler, tiny_tokenizer, temperature=0.0)("What for?", seed=3, max_tokens=8)
    assert sampler.temperature == 0
