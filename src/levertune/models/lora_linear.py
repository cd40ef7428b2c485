"""LoRA's linear layer in fewer passes over memory than PEFT's own: the same sum, the same adapter.

PEFT computes `W x`, `B (A x)`, the scaled product and the sum one after the other, each a pass over
the activations, and autocast adds a copy wherever the float32 adapter meets half-precision rows.
Here the low-rank product is added while it is computed, and the backward pass is written out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, cast

import torch
from peft.tuners.lora.layer import Linear as PeftLinear
from torch import nn

from levertune.models.hardware import Hardware

# Names of layers that a block of the architectures we know hands one input, in their order.
_SAME_INPUT = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))


class _LowRankSum(torch.autograd.Function):
    """`y = W x + b + s B A x` (2106.09685, section 4.1) for a frozen `W`, for one layer or several.

    Several layers of one input are computed as one: their `W` one below the other, their `A` too,
    and their `B` as the blocks of a diagonal. Everything is computed in `W`'s precision; gradients
    of `A` and `B` come in theirs.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        scaling: float,
        *factors: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        n = len(factors) // 2
        all_a, all_b = factors[:n], factors[n:]
        dtype, rank = weight.dtype, all_a[0].shape[0]
        sizes = [b.shape[0] for b in all_b]
        flat = x.reshape(-1, x.shape[-1]).to(dtype)
        a, b = _stack(all_a, all_b, scaling, dtype)
        low = flat @ a.t()
        y = nn.functional.linear(flat, weight, bias)
        y.addmm_(low, b.t())
        ctx.save_for_backward(flat, low, weight, a, b)
        ctx.scaling, ctx.x_shape, ctx.rank, ctx.sizes = scaling, x.shape, rank, sizes
        ctx.dtypes = (x.dtype, [one.dtype for one in factors])
        return tuple(part.view(*x.shape[:-1], -1) for part in y.split(sizes, dim=1))

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        flat, low, weight, a, b = ctx.saved_tensors
        x_dtype, dtypes = ctx.dtypes
        n = len(ctx.sizes)
        parts = [part.reshape(flat.shape[0], -1) for part in grads]
        grad = parts[0] if n == 1 else torch.cat(parts, dim=1)
        grad_low = grad @ b
        grad_a = (grad_low.t() @ flat).split(ctx.rank)
        # Of what every layer's low part would do for every layer, the diagonal is theirs.
        grad_b = [
            block.split(ctx.sizes, dim=1)[i]
            for i, block in enumerate((low.t() @ grad).split(ctx.rank))
        ]
        factors = [one.to(dtype) for one, dtype in zip(grad_a, dtypes[:n], strict=True)]
        factors += [
            one.to(dtype).mul(ctx.scaling).t()
            for one, dtype in zip(grad_b, dtypes[n:], strict=True)
        ]
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = (grad @ weight).addmm_(grad_low, a).view(ctx.x_shape).to(x_dtype)
        return grad_x, None, None, None, *factors


def _stack(
    all_a: Sequence[torch.Tensor],
    all_b: Sequence[torch.Tensor],
    scaling: float,
    dtype: torch.dtype,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The `A` of layers one below the other, their scaled `B` as the blocks of a diagonal."""
    if len(all_a) == 1:
        return all_a[0].to(dtype), (all_b[0] * scaling).to(dtype)
    a = torch.cat([one.to(dtype) for one in all_a])
    sizes, rank = [one.shape[0] for one in all_b], all_a[0].shape[0]
    b = torch.zeros(sum(sizes), len(all_b) * rank, dtype=dtype, device=all_b[0].device)
    for i, (rows, one) in enumerate(zip(b.split(sizes), all_b, strict=True)):
        rows[:, i * rank : (i + 1) * rank] = one * scaling
    return a, b


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
        group: LoraGroup | None = vars(self).get("_group")
        if group is not None:
            return group.output_of(self, x)
        base = cast(nn.Linear, self.base_layer)
        [output] = add_low_rank([self], x, base.weight, base.bias)
        return output


class LoraGroup:
    """Layers that are handed the same input one after the other, computed at the first of them.

    Args:
        layers: The layers, all plain, of one rank and scaling.
        is_settled: Whether their adapters stay as they are for as long as the group lasts.
    """

    def __init__(self, layers: Sequence[LowRankLinear], *, is_settled: bool) -> None:
        self._layers = tuple(layers)
        bases = [cast(nn.Linear, layer.base_layer) for layer in layers]
        self._weight, self._bias = bases[0].weight.data, None
        if len(bases) > 1:
            self._weight = torch.cat([base.weight.data for base in bases])
            for base, part in zip(bases, self._weight.split(self._sizes), strict=True):
                base.weight.data = part  # nothing is held twice
        if bases[0].bias is not None:
            self._bias = torch.cat([base.bias.data for base in bases])
        self._settled = self._stacked() if is_settled else None
        self._input: torch.Tensor | None = None
        self._outputs: dict[LowRankLinear, torch.Tensor] = {}
        for layer in layers:
            vars(layer)["_group"] = self

    @property
    def _sizes(self) -> list[int]:
        return [cast(nn.Linear, layer.base_layer).weight.shape[0] for layer in self._layers]

    def _stacked(self) -> tuple[torch.Tensor, torch.Tensor]:
        """`A` and `B` of all layers, turned as a product with rows wants them."""
        [name] = self._layers[0].active_adapters
        with torch.no_grad():
            a, b = _stack(
                [cast(torch.Tensor, layer.lora_A[name].weight) for layer in self._layers],
                [cast(torch.Tensor, layer.lora_B[name].weight) for layer in self._layers],
                self._layers[0].scaling[name],
                self._weight.dtype,
            )
        return a.t(), b.t().contiguous()

    def output_of(self, layer: LowRankLinear, x: torch.Tensor) -> torch.Tensor:
        """A layer's output; those of the others are kept until they are asked for."""
        if self._input is not x or layer not in self._outputs:
            self._input = x
            self._outputs = dict(zip(self._layers, self._compute(x), strict=True))
        output = self._outputs.pop(layer)
        if not self._outputs:
            self._input = None
        return output

    def _compute(self, x: torch.Tensor) -> Sequence[torch.Tensor]:
        if self._settled is None or torch.is_grad_enabled():
            return add_low_rank(self._layers, x, self._weight, self._bias)
        a, b = self._settled
        flat = x.reshape(-1, x.shape[-1]).to(self._weight.dtype)
        y = nn.functional.linear(flat, self._weight, self._bias).addmm_(flat @ a, b)
        y = y.view(*x.shape[:-1], -1)
        return y.split(self._sizes, dim=-1) if len(self._layers) > 1 else [y]

    def dissolve(self) -> None:
        """Give each layer its own weight again."""
        for layer in self._layers:
            vars(layer).pop("_group", None)
            if len(self._layers) > 1:
                base = cast(nn.Linear, layer.base_layer)
                base.weight.data = base.weight.data.clone()


def add_low_rank(
    layers: Sequence[LowRankLinear],
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
) -> tuple[torch.Tensor, ...]:
    """The outputs of plain layers for one input.

    Args:
        layers: The layers, of one rank and scaling.
        x: Their input, `[..., size]`.
        weight: Their frozen weights, one below the other.
        bias: Their biases, one after the other, or None.
    """
    [name] = layers[0].active_adapters
    outputs: tuple[torch.Tensor, ...] = _LowRankSum.apply(
        x,
        weight,
        bias,
        layers[0].scaling[name],
        *(layer.lora_A[name].weight for layer in layers),
        *(layer.lora_B[name].weight for layer in layers),
    )
    return outputs


@contextlib.contextmanager
def grouped_lora(model: nn.Module, *, is_settled: bool = False) -> Iterator[None]:
    """Compute the LoRA layers of one input together while the context lasts.

    Queries, keys and values read the same rows, and so do the two ways into an MLP. As one product
    each they keep a CPU busier than as small ones.

    Args:
        model: A PEFT model, or one without adapters, of which nothing changes.
        is_settled: Whether no adapter is trained or loaded in the context. Its factors are then
            made ready once: in a generation making them ready takes longer than their product.
    """
    candidates: list[list[object]] = [
        [getattr(module, name, None) for name in names]
        for module in model.modules()
        for names in _SAME_INPUT
    ]
    if is_settled:
        candidates += [[module] for module in model.modules()]
    groups = [
        LoraGroup(layers, is_settled=is_settled)
        for candidate in candidates
        if (layers := _find_group(candidate))
    ]
    try:
        yield
    finally:
        for group in groups:
            group.dissolve()


def _find_group(layers: Sequence[object]) -> list[LowRankLinear]:
    """The layers, if they can be computed as one; else none."""
    found = [layer for layer in layers if isinstance(layer, LowRankLinear) and is_plain(layer)]
    if len(found) < len(layers) or any("_group" in vars(layer) for layer in found):
        return []
    kinds = {
        (
            layer.active_adapters[0],
            layer.scaling[layer.active_adapters[0]],
            layer.lora_A[layer.active_adapters[0]].weight.shape,
            layer.base_layer.weight.dtype,
            layer.base_layer.weight.device,
            layer.base_layer.bias is None,
        )
        for layer in found
    }
    return found if len(kinds) == 1 else []


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
