"""What this machine computes with: device, precision, attention implementation, memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from levertune.errors import RecipeError
from levertune.models.machine_memory import machine_memory

_DEVICES = ("cuda", "mps", "cpu")
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

EAGER_ATTENTION_MAX_LENGTH = 320
"""Longest row for which plain matrix attention is used on a CPU (LOG.md 2026-11-22).

The CPU kernel behind `sdpa` has a slow backward pass; plain attention is faster on short rows but
its memory grows with the square of the length.
"""


@dataclass(frozen=True, slots=True)
class Hardware:
    """Device and precision of a run.

    Args:
        device: `cpu`, `cuda` or `mps`.
        dtype: Precision of the frozen base weights and of the matrix products. Adapter weights
            stay in float32.
    """

    device: str
    dtype: torch.dtype

    @property
    def dtype_name(self) -> str:
        """The dtype as recipes spell it."""
        return str(self.dtype).removeprefix("torch.")


def choose_hardware(dtype: str = "auto", device: str | None = None) -> Hardware:
    """Pick device and precision.

    Args:
        dtype: A recipe's `model.dtype`. `auto` is bfloat16 where the hardware multiplies it
            natively (accelerators, CPUs with AMX or AVX-512 BF16), else float32.
        device: Overrides the choice of device.

    Raises:
        RecipeError: If the dtype is unknown, float16 is asked for on a CPU, or there is no such
            device.
    """
    available = _available_devices()
    if device is None:
        device = available[0]
    elif device not in _DEVICES:
        raise RecipeError(f"device: must be one of {list(_DEVICES)}; found {device!r}.")
    elif device not in available:
        raise RecipeError(
            f"device: {device!r} is not to be had here; found {available}. Use one of these."
        )
    if dtype == "auto":
        return Hardware(device, torch.bfloat16 if has_native_bfloat16(device) else torch.float32)
    if dtype not in _DTYPES:
        raise RecipeError(f"model.dtype: must be auto or one of {list(_DTYPES)}; found {dtype!r}.")
    if dtype == "float16" and device == "cpu":
        raise RecipeError("model.dtype: float16 does not train on a CPU. Use bfloat16 or float32.")
    return Hardware(device, _DTYPES[dtype])


def _available_devices() -> list[str]:
    """Devices of this machine, the fastest first."""
    is_there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    return [device for device in _DEVICES if is_there[device]]


def has_native_bfloat16(device: str) -> bool:
    """Whether the device multiplies bfloat16 natively."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device == "cpu":
        return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
    return False


def choose_attention(hardware: Hardware, longest_row: int) -> str:
    """Attention implementation for training: `eager` for short rows on a CPU, else `sdpa`."""
    if hardware.device == "cpu" and longest_row <= EAGER_ATTENTION_MAX_LENGTH:
        return "eager"
    return "sdpa"


def memory_bytes(device: str) -> int:
    """Memory of the device: its own, or the machine's."""
    if device == "cuda":
        return int(torch.cuda.get_device_properties(0).total_memory)
    return machine_memory()


def peak_memory_bytes(device: str) -> int | None:
    """Most memory this process has used: device memory on CUDA, else resident memory."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    try:
        import resource
        import sys
    except ImportError:  # Windows has no resource module
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
