"""Random models of stated sizes, as the throughput benchmark takes them."""

import pytest
import torch
from benchmarks.train.model_sizes import SIZES, Size, write_random_model

from levertune.models.hardware import Hardware
from levertune.models.load import load_base_model
from levertune.models.rendering import ChatTokenizer
from levertune.models.resolve import resolve_model

MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"


@pytest.mark.parametrize(
    ("name", "parameters"), [("0.1b", 134.5e6), ("1b", 1.07e9), ("7b", 6.88e9)]
)
def test_a_size_is_about_what_it_says(name, parameters):
    size = SIZES[name]
    keys = size.hidden * size.key_heads // size.heads
    layer = 2 * size.hidden * size.hidden + 2 * size.hidden * keys
    layer += 3 * size.hidden * size.feed_forward + 2 * size.hidden
    embeddings = 49152 * size.hidden * (1 if size.is_tied else 2)
    total = size.layers * layer + embeddings + size.hidden
    assert total == pytest.approx(parameters, rel=0.01)


def test_a_random_model_is_one_that_levertune_trains(tmp_path):
    source = resolve_model(MODEL).folder
    size = Size("none", 32, 64, 2, 4, 2, is_tied=True)
    folder = write_random_model(size, tmp_path / "model", tokenizer=source, device="cpu")
    model = load_base_model(resolve_model(str(folder)), Hardware("cpu", torch.bfloat16))
    text = ChatTokenizer.from_folder(folder).encode("The library opens at nine.")
    assert text == ChatTokenizer.from_folder(source).encode("The library opens at nine.")
    logits = model(torch.tensor([text])).logits
    assert logits.shape == (1, len(text), 49152)
    assert torch.isfinite(logits).all()
