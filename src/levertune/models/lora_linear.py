"""LoRA's linear layer in fewer passes over memory than PEFT's own: the same sum, the same adapter.

PEFT computes `W x`, `B (A x)`, the scaled product and the sum one after the other, each a pass over
the activations, and autocast adds a copy wherever the float32 adapter meets half-precision rows.
Here the low-rank product is added while it is computed, and the backward pass is written out.
"""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from typing import Any

import torch
from peft.tuners.lora.layer import Linear as PeftLinear
from torch import nn

from levertune.models.hardware import Hardware


class _LowRankSum(torch.autograd.Function):
    """`y = W x + b + s B A x` (2106.09685, section 4.1) for a frozen `W`.

    Everything is computed in `W`'s precision; gradients of `A` and `B` come in theirs.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        a: torch.Tensor,
        b: torch.Tensor,
        scaling: float,
    ) -> torch.Tensor:
        flat = x.reshape(-1, x.shape[-1]).to(weight.dtype)
        a_cast, b_scaled = a.to(weight.dtype), (b * scaling).to(weight.dtype)
        low = flat @ a_cast.t()
        y = nn.functional.linear(flat, weight, bias)
        y.addmm_(low, b_scaled.t())
        ctx.save_for_backward(flat, low, weight, a_cast, b_scaled)
        ctx.scaling, ctx.x_shape = scaling, x.shape
        ctx.dtypes = (x.dtype, a.dtype, b.dtype)
        return y.view(*x.shape[:-1], weight.shape[0])

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        flat, low, weight, a_cast, b_scaled = ctx.saved_tensors
        x_dtype, a_dtype, b_dtype = ctx.dtypes
        grad = grads[0].reshape(-1, weight.shape[0])
        grad_low = grad @ b_scaled
        grad_a = (grad_low.t() @ flat).to(a_dtype)
        grad_b = (low.t() @ grad).to(b_dtype).mul_(ctx.scaling).t()
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = (grad @ weight).addmm_(grad_low, a_cast).view(ctx.x_shape).to(x_dtype)
        return grad_x, None, None, grad_a, grad_b, None


class LowRankLinear(PeftLinear):
    """PEFT's LoRA layer with a faster way through the common case.

    Merged, switched off or mixed adapters, dropout, several adapters at once and LoRA's variants go
    PEFT's own way.
    """

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """The layer's output, as PEFT's."""
        output: torch.Tensor
        if args or kwargs or self.disable_adapters or self.merged or not is_plain(self):
            output = super().forward(x, *args, **kwargs)
            return output
        [name] = self.active_adapters
        base = self.base_layer
        output = _LowRankSum.apply(
            x,
            base.weight,
            base.bias,
            self.lora_A[name].weight,
            self.lora_B[name].weight,
            self.scaling[name],
        )
        return output


def is_plain(layer: PeftLinear) -> bool:
    """Whether the layer is one frozen linear map and one adapter without frills."""
    names = layer.active_adapters
    if len(names) != 1 or names[0] not in layer.lora_A:
        return False
    name = names[0]
    base = layer.base_layer
    return (
        type(base) is nn.Linear
        and base.weight.is_floating_point()
        and not base.weight.requires_grad
        and (base.bias is None or not base.bias.requires_grad)
        and name not in layer.lora_variant
        and isinstance(layer.lora_dropout[name], nn.Identity)
        and layer.lora_A[name].bias is None
        and layer.lora_B[name].bias is None
    )


def speed_up_lora(model: nn.Module) -> None:
    """Let every plain LoRA layer of a model take the faster way; PEFT goes on owning it.

    PEFT chooses a layer's class while it wraps the model, out of our reach for saved adapters, so
    the class is changed afterwards. Saving, merging and unloading stay PEFT's.

    Args:
        model: A PEFT model, changed in place.
    """
    for module in model.modules():
        if type(module) is PeftLinear:
            module.__class__ = LowRankLinear


def autocast_for(model: nn.Module, hardware: Hardware) -> AbstractContextManager[object]:
    """Autocast to the hardware's precision, or nothing where every operation has it already.

    Args:
        model: The model about to run.
        hardware: Device and precision.
    """
    if needs_autocast(model, hardware):
        return torch.autocast(hardware.device, dtype=hardware.dtype)
    return contextlib.nullcontext()


def needs_autocast(model: nn.Module, hardware: Hardware) -> bool:
    """Whether some weight has another precision than the hardware's and does not see to it itself.

    Args:
        model: The model about to run.
        hardware: Device and precision.
    """
    if hardware.dtype == torch.float32:
        return False
    if hardware.dtype == torch.float16:
        return True  # training scales the loss for it, which accelerate ties to autocast
    cared_for = {
        id(parameter)
        for layer in model.modules()
        if isinstance(layer, LowRankLinear) and is_plain(layer)
        for name in layer.active_adapters
        for parameter in (layer.lora_A[name].weight, layer.lora_B[name].weight)
    }
    return any(
        parameter.is_floating_point()
        and parameter.dtype != hardware.dtype
        and id(parameter) not in cared_for
        for parameter in model.parameters()
    )
