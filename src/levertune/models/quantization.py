"""Base weights in 4 bits (QLoRA, 2305.14314), by bitsandbytes.

The linear layers are kept in 4-bit NormalFloat, their scales in 8 bits, and multiplied in the
hardware's precision; embeddings, norms and head stay in it. Adapters are float32 as ever.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from levertune.errors import ModelError
from levertune.models.model_files import read_object
from levertune.models.quiet import quiet_libraries

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from levertune.models.hardware import Hardware

NF4 = "nf4"
QUANTIZATION_KEY = "model.quantization"
INSTALL_COMMAND = 'pip install "levertune[quantized]"'


def require_quantizer(quantization: str, where: str) -> None:
    """Refuse what cannot be quantised for want of bitsandbytes; needs no torch.

    Args:
        quantization: What the weights are to be kept in.
        where: The recipe key, or the adapter, that asks for it.

    Raises:
        ModelError: If it is no known kind, or bitsandbytes is not installed.
    """
    if quantization != NF4:
        raise ModelError(f"{where}: must be {NF4} or null; found {quantization!r}.")
    if find_spec("bitsandbytes") is None:
        raise ModelError(
            f"{where}: {NF4} needs bitsandbytes, which is not installed. Get it with: "
            f"{INSTALL_COMMAND}"
        )


def require_device(quantization: str, device: str, where: str) -> None:
    """Refuse a device that bitsandbytes does not compute on.

    Args:
        quantization: What the weights are to be kept in.
        device: `cpu`, `cuda` or `mps`.
        where: The recipe key, or the adapter, that asks for it.

    Raises:
        ModelError: If it does not, or as `require_quantizer`.
    """
    require_quantizer(quantization, where)
    known = _import_bitsandbytes().supported_torch_devices
    if device not in known:
        raise ModelError(
            f"{where}: bitsandbytes computes on {sorted(known)}; found {device}. Set "
            "model.quantization=null."
        )


def quantization_options(quantization: str, hardware: Hardware, folder: Path) -> dict[str, Any]:
    """What `from_pretrained` is asked for.

    Args:
        quantization: What the weights are to be kept in.
        hardware: Device and precision.
        folder: The model's folder.

    Raises:
        ModelError: If it cannot be done here, or the weights are quantised already.
    """
    import torch
    from transformers import BitsAndBytesConfig

    require_device(quantization, hardware.device, QUANTIZATION_KEY)
    content = read_object(folder / "config.json")
    if content.get("quantization_config") is not None:
        raise ModelError(
            f"{QUANTIZATION_KEY}: the weights in {folder.name!r} are quantised already. Name the "
            f"model they were made from, or set {QUANTIZATION_KEY}=null."
        )
    # accelerate compares the device by number with the one it trains on.
    device = torch.cuda.current_device() if hardware.device == "cuda" else hardware.device
    return {
        "quantization_config": BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type=quantization,
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=hardware.dtype,
        ),
        "device_map": {"": device},
    }


def settle_quantized(model: PreTrainedModel, name: str) -> None:
    """Make sure that a model was quantised, and that it computes the same at all times.

    bitsandbytes repacks the weights for CPUs with bfloat16 the first time they answer. A model that
    is trained afterwards gets no gradient through them, and none of this is said.

    Args:
        model: The model, just loaded.
        name: What the user calls it, for the message.

    Raises:
        ModelError: If it has no layer that can be quantised.
    """
    linear = _import_bitsandbytes().nn.Linear4bit
    layers = [module for module in model.modules() if isinstance(module, linear)]
    if not layers:
        raise ModelError(
            f"model {name!r}: has no linear layer that can be quantised. Set "
            "model.quantization=null."
        )
    for layer in layers:
        layer.support_avx512bf16_for_cpu = False


def num_weights(parameter: Any) -> int:
    """Numbers that a parameter stands for: two of them share a byte where it is quantised.

    Args:
        parameter: A parameter of a model.
    """
    state = getattr(parameter, "quant_state", None)
    return int(parameter.numel() if state is None else state.shape.numel())


@contextlib.contextmanager
def float32_adapter(model: PeftModel) -> Iterator[None]:
    """Let a trainer be made without rounding the adapter of a quantised base.

    TRL would turn it into bfloat16, in which small steps of the optimizer are lost.

    Args:
        model: The model to train; nothing is changed for good.
    """
    if not getattr(model, "is_loaded_in_4bit", False):
        yield
        return
    vars(model)["is_loaded_in_4bit"] = False  # hides the base model's
    try:
        yield
    finally:
        del vars(model)["is_loaded_in_4bit"]


def _import_bitsandbytes() -> Any:
    with quiet_libraries():
        import bitsandbytes
    return bitsandbytes
