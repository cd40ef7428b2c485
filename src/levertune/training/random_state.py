"""What dropout draws from, kept and put back, so that a step can be taken again."""

from __future__ import annotations

import torch

RandomState = tuple[torch.Tensor, torch.Tensor | None]


def random_state(device: torch.device) -> RandomState:
    """What dropout draws from: a step that is taken again draws the same.

    Args:
        device: Where the model is.
    """
    on_device = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    return torch.get_rng_state(), on_device


def set_random_state(state: RandomState, device: torch.device) -> None:
    """Go back to a state.

    Args:
        state: What `random_state` gave.
        device: Where the model is.
    """
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1], device)
