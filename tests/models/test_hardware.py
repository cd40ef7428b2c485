import pytest
import torch

from levertune.errors import RecipeError
from levertune.models.hardware import (
    EAGER_ATTENTION_MAX_LENGTH,
    Hardware,
    choose_attention,
    choose_hardware,
    has_native_bfloat16,
    peak_memory_bytes,
)


def set_cpu(monkeypatch, *, amx=False, avx=False):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx)


@pytest.mark.parametrize(
    ("amx", "avx", "dtype"),
    [
        (False, False, torch.float32),
        (True, False, torch.bfloat16),
        (False, True, torch.bfloat16),
    ],
)
def test_auto_is_bfloat16_only_where_the_cpu_multiplies_it(monkeypatch, amx, avx, dtype):
    set_cpu(monkeypatch, amx=amx, avx=avx)
    assert choose_hardware("auto", "cpu").dtype == dtype


@pytest.mark.parametrize("is_native", [True, False])
def test_auto_is_bfloat16_only_where_the_accelerator_multiplies_it(monkeypatch, is_native):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: is_native)
    hardware = choose_hardware()
    assert hardware.device == "cuda"
    assert hardware.dtype == (torch.bfloat16 if is_native else torch.float32)


@pytest.mark.parametrize(("has_mps", "device"), [(True, "mps"), (False, "cpu")])
def test_the_best_device_there_is_is_taken(monkeypatch, has_mps, device):
    set_cpu(monkeypatch)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: has_mps)
    assert choose_hardware() == Hardware(device, torch.float32)
    assert not has_native_bfloat16("mps")


@pytest.mark.parametrize(
    ("dtype", "device", "message"),
    [
        ("int8", "cpu", "model.dtype: must be auto or one of .*; found 'int8'"),
        ("float16", "cpu", "model.dtype: float16 does not train on a CPU"),
        ("auto", "cuda", r"device: 'cuda' is not to be had here; found \['cpu'\]"),
        ("auto", "tpu", "device: must be one of .*; found 'tpu'"),
    ],
)
def test_what_cannot_be_used_is_refused(monkeypatch, dtype, device, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(RecipeError, match=message):
        choose_hardware(dtype, device)


def test_the_dtype_is_named_as_recipes_name_it():
    assert Hardware("cpu", torch.bfloat16).dtype_name == "bfloat16"


def test_short_rows_on_a_cpu_get_plain_attention():
    cpu = Hardware("cpu", torch.float32)
    assert choose_attention(cpu, EAGER_ATTENTION_MAX_LENGTH) == "eager"
    assert choose_attention(cpu, EAGER_ATTENTION_MAX_LENGTH + 1) == "sdpa"
    assert choose_attention(Hardware("cuda", torch.bfloat16), 10) == "sdpa"


def test_peak_memory_is_at_least_what_is_held_now():
    held = torch.ones(4_000_000)
    assert peak_memory_bytes("cpu") > held.nbytes
