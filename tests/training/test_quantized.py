"""Adapters trained on a base model in 4 bits; skipped where bitsandbytes is not installed."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from levertune.models.hardware import Hardware
from levertune.models.load import load_base_model
from levertune.models.quantization import NF4
from levertune.models.resolve import resolve_model
from levertune.training.train import TrainingConfig, train_adapter

pytest.importorskip("bitsandbytes", reason="needs levertune[quantized]")

CONFIG = TrainingConfig(
    learning_rate=2e-2, effective_batch_size=4, save_steps=1, logging_steps=1, lora_dropout=0.1
)


@pytest.fixture(params=[torch.float32, torch.bfloat16], ids=str)
def hardware(request):
    return Hardware("cpu", request.param)


@pytest.fixture
def base(tiny_model_folder, hardware):
    return load_base_model(resolve_model(str(tiny_model_folder)), hardware, quantization=NF4)


@pytest.fixture
def train(rows, hardware):
    def start(base, folder, config=CONFIG, times=1, **options):
        return train_adapter(
            base,
            rows * times,
            config,
            folder,
            hardware=hardware,
            pad_id=2,
            fingerprint={"a": 1},
            **options,
        )

    return start


def weights(folder):
    return load_file(folder / "adapter" / "adapter_model.safetensors")


def interrupt(number, model):
    """Looks at rows in between, as early stopping does, then stops."""
    model(input_ids=torch.arange(8)[None])
    if number == 3:
        raise KeyboardInterrupt
    return False


def test_an_interrupted_training_ends_as_an_unbroken_one(base, train, tmp_path):
    unbroken = train(base, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(base, tmp_path / "broken", on_step=interrupt)
    resumed = train(base, tmp_path / "broken")
    assert resumed.resumed_from == 2
    assert resumed.curve == unbroken.curve
    whole, broken = weights(tmp_path / "whole"), weights(tmp_path / "broken")
    assert whole.keys() == broken.keys()
    assert all(torch.equal(whole[name], broken[name]) for name in whole)


def test_the_adapter_learns_and_stays_in_float32(base, train, tmp_path):
    curve = train(base, tmp_path, times=5).curve
    assert curve[-1]["loss"] < 0.8 * curve[0]["loss"]
    for weight in weights(tmp_path).values():
        assert weight.dtype is torch.float32
        assert not torch.equal(weight, weight.bfloat16().float())


def test_activations_can_be_computed_again_to_save_memory(base, train, tmp_path):
    tolerance = 1e-3 if base.dtype is torch.float32 else 2e-2
    plain = replace(CONFIG, lora_dropout=0.0)
    train(base, tmp_path / "kept", plain)
    train(base, tmp_path / "again", replace(plain, gradient_checkpointing=True))
    kept, again = weights(tmp_path / "kept"), weights(tmp_path / "again")
    assert all(torch.allclose(kept[name], again[name], atol=tolerance) for name in kept)
