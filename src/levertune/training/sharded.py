"""FSDP2: a model spread over the processes, its checkpoints like those of a whole one.

accelerate does the spreading, as its configuration file says. Checkpoints are ours: the adapter is
small, so that each holds it whole, and its optimizer's state, and any number of processes goes on
from them, with FSDP or without.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from levertune.errors import RunError

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator
    from peft import PeftModel


def is_asked_for(environment: Mapping[str, str]) -> bool:
    """Whether `accelerate launch` was told to spread the model.

    Args:
        environment: The process's environment.
    """
    return environment.get("ACCELERATE_USE_FSDP", "").strip().lower() in ("1", "true", "yes")


def require_version_2(environment: Mapping[str, str]) -> None:
    """Refuse the first version of FSDP, which packs frozen and trained weights together.

    Args:
        environment: The process's environment.

    Raises:
        RunError: If a configuration asks for it.
    """
    found = environment.get("FSDP_VERSION", "1").strip()
    if found != "2":
        raise RunError(
            f"fsdp_version: must be 2; found {found!r}. Write `fsdp_version: 2` below fsdp_config "
            "in the file that accelerate launch reads."
        )


def let_accelerate_shard(accelerator: Accelerator) -> None:
    """Let accelerate spread a model over CPUs as it does over GPUs.

    It takes FSDP's settings for accelerators only, and trains on CPUs as if there were none
    (accelerate 1.15, `AcceleratorState.__init__`), though torch spreads over both.

    Args:
        accelerator: The trainer's, changed in place.
    """
    from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin

    plugin = FullyShardedDataParallelPlugin()  # reads its settings from the environment
    state: Any = accelerator.state
    if accelerator.mixed_precision != "no":
        plugin.set_mixed_precision(accelerator.mixed_precision)
    state.distributed_type = DistributedType.FSDP
    state.fsdp_plugin = plugin


def gather_adapter(model: PeftModel) -> dict[str, torch.Tensor]:
    """The whole adapter, in every process; all must call it.

    Args:
        model: The spread model.
    """
    return {
        name: _whole(parameter.detach())
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


def gather_optimizer(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The whole state of an optimizer, in every process; all must call it.

    Args:
        optimizer: The optimizer of a spread model.
    """
    content = optimizer.state_dict()
    content["state"] = {
        number: {name: _whole(value) for name, value in values.items()}
        for number, values in content["state"].items()
    }
    return content


def scatter_adapter(model: PeftModel, checkpoint: Path) -> None:
    """Give each process its part of a saved adapter; all must call it.

    Args:
        model: The spread model, changed in place.
        checkpoint: A PEFT folder.
    """
    import torch
    from peft.utils import load_peft_weights

    # PEFT leaves the adapter's name out of the names it saves.
    saved = load_peft_weights(str(checkpoint), device="cpu")
    [adapter] = model.peft_config
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                whole = saved[name.replace(f".{adapter}.", ".")]
                parameter.copy_(_like(whole, parameter))


def scatter_optimizer(optimizer: torch.optim.Optimizer, path: Path) -> None:
    """Give each process its part of an optimizer's saved state; all must call it.

    Args:
        optimizer: The optimizer of a spread model, changed in place.
        path: The state, whole.
    """
    import torch

    content = torch.load(path, map_location="cpu", weights_only=True)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for number, values in content["state"].items():
        for name, value in values.items():
            if getattr(value, "shape", None) == parameters[number].shape:
                values[name] = _like(value, parameters[number])
    optimizer.load_state_dict(content)


def _whole(value: Any) -> Any:
    """A tensor that is spread, put together; anything else as it is."""
    from torch.distributed.tensor import DTensor

    return value.full_tensor() if isinstance(value, DTensor) else value


def _like(whole: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """A whole tensor, spread as a parameter is."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    whole = whole.to(parameter.device)
    if not isinstance(parameter, DTensor):
        return whole
    return distribute_tensor(whole, parameter.device_mesh, parameter.placements)
