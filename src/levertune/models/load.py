"""Base weights into memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from levertune.errors import ModelError
from levertune.models.memory import limit_kernel_cache
from levertune.models.quantization import num_weights, quantization_options, settle_quantized
from levertune.models.quiet import quiet_libraries
from levertune.models.resolve import ModelLocation

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from levertune.models.hardware import Hardware


def load_base_model(
    location: ModelLocation,
    hardware: Hardware,
    *,
    attention: str = "sdpa",
    trust_remote_code: bool = False,
    quantization: str | None = None,
) -> PreTrainedModel:
    """Load a causal language model, frozen and in evaluation mode.

    Args:
        location: Where its files are.
        hardware: Device and precision.
        attention: Attention implementation; `eager` where the model has no other.
        trust_remote_code: Whether code that came with the model may run.
        quantization: `nf4` to keep its linear layers in 4 bits; None leaves them as they are.

    Raises:
        ModelError: If transformers cannot load it, or it cannot be quantised.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    options: dict[str, Any] = {}
    if quantization is not None:
        options = quantization_options(quantization, hardware, location.folder)
    limit_kernel_cache()
    try:
        with quiet_libraries():
            model = AutoModelForCausalLM.from_pretrained(
                location.folder,
                dtype=hardware.dtype,
                # `sdpa` by name is refused by models without it (Gemma 2); unnamed it is taken
                # where there is one.
                attn_implementation=None if attention == "sdpa" else attention,
                trust_remote_code=trust_remote_code,
                use_safetensors=True,
                **options,
            )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        if not trust_remote_code and "trust_remote_code" in str(error):
            reason = (
                "it brings code of its own. Look at that code, then let it run: in a recipe by "
                "model.trust_remote_code=true, in chat and generate by --trust-remote-code"
            )
        raise ModelError(f"model {location.name!r}: cannot be loaded; {reason}") from error
    # Saved adapters name their base by these; a path of this machine must not get out.
    model.config._name_or_path = model.name_or_path = location.name
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    if quantization is not None:
        settle_quantized(model, location.name)
        return model.eval()  # it was made where it is to be
    return model.to(hardware.device).eval()  # type: ignore[arg-type]  # its decorator hides it


def set_attention(model: PreTrainedModel, attention: str) -> None:
    """Change a loaded model's attention implementation; `eager` where it has no other.

    Args:
        model: The model.
        attention: `eager` or `sdpa`.
    """
    has_sdpa = all(
        module._supports_sdpa for module in model.modules() if hasattr(module, "_supports_sdpa")
    )
    model.set_attn_implementation(attention if has_sdpa else "eager")


def count_parameters(model: PreTrainedModel) -> tuple[int, int]:
    """Parameters in all, and those that train."""
    total = sum(num_weights(p) for p in model.parameters())
    return total, sum(num_weights(p) for p in model.parameters() if p.requires_grad)
