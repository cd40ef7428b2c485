"""What this machine has, and which base models fit it."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass

from levertune.models.machine_memory import machine_memory
from levertune.recipes.recipe import DEFAULT_MODEL

GIB = 2**30

# Assumed, not measured. Of the 4 bytes a parameter, 2 hold the frozen weight in bfloat16; the rest
# is for what grows with the model beside it. A LoRA of rank 16 on all linear layers has 3.6 %
# of SmolLM2-135M's parameters (0.5 % in the model of 7B), each with weight, gradient and two Adam
# moments in float32: 0.036 x 16 = 0.6 bytes. What is left, 1.4 bytes, is for activations.
_BYTES_PER_PARAMETER = 4
# Python, torch and the rows, whatever the model; on an accelerator its context and buffers.
_BYTES_BESIDE = 2 * GIB


@dataclass(frozen=True, slots=True)
class Machine:
    """Hardware to train on.

    Args:
        cores: Processor cores this process may use.
        memory_bytes: Memory, or the container's limit.
        accelerator: Name of the accelerator, or None.
        accelerator_memory_bytes: Its memory; that of the machine where both share it.
    """

    cores: int
    memory_bytes: int
    accelerator: str | None = None
    accelerator_memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A base model worth proposing.

    Args:
        name: Its name on the Hub.
        parameters: How many it has.
        licence: Licence of the weights.
        languages: Languages it was made for.
        min_cores: Cores from which training on a CPU is bearable, None for never.
    """

    name: str
    parameters: int
    licence: str
    languages: str
    min_cores: int | None

    def fits(self, machine: Machine) -> bool:
        """Whether the machine has the memory, and an accelerator or the cores."""
        needed = self.parameters * _BYTES_PER_PARAMETER + _BYTES_BESIDE
        if machine.accelerator is not None and needed <= machine.accelerator_memory_bytes:
            return True
        has_cores = self.min_cores is not None and machine.cores >= self.min_cores
        return has_cores and needed <= machine.memory_bytes


# By size. All are instruction-tuned and under Apache-2.0 (the 3B of Qwen2.5 is not: left out).
BASE_MODELS = (
    BaseModel(DEFAULT_MODEL, 135_000_000, "Apache-2.0", "English", 1),
    BaseModel("HuggingFaceTB/SmolLM2-360M-Instruct", 362_000_000, "Apache-2.0", "English", 4),
    BaseModel("Qwen/Qwen2.5-0.5B-Instruct", 494_000_000, "Apache-2.0", "29 languages", 6),
    BaseModel("Qwen/Qwen2.5-1.5B-Instruct", 1_544_000_000, "Apache-2.0", "29 languages", 16),
    BaseModel("HuggingFaceTB/SmolLM2-1.7B-Instruct", 1_711_000_000, "Apache-2.0", "English", 16),
    BaseModel("Qwen/Qwen2.5-7B-Instruct", 7_616_000_000, "Apache-2.0", "29 languages", None),
)


def propose_models(machine: Machine) -> list[BaseModel]:
    """The base models larger than the default that fit, the largest two first.

    Args:
        machine: The hardware.

    Returns:
        At most two, of different language coverage where possible; empty on a small machine.
    """
    fitting = [model for model in BASE_MODELS[1:] if model.fits(machine)][::-1]
    if not fitting:
        return []
    others = [model for model in fitting if model.languages != fitting[0].languages]
    return [fitting[0], *(others or fitting[1:])[:1]]


def read_machine() -> Machine:
    """Look at this machine; torch is imported only where there may be an accelerator."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    memory = machine_memory()
    is_apple = platform.system() == "Darwin" and platform.machine() == "arm64"
    if not is_apple and shutil.which("nvidia-smi") is None and shutil.which("rocm-smi") is None:
        return Machine(cores, memory)
    name, accelerator_memory = find_accelerator()
    return Machine(cores, memory, name, accelerator_memory or memory)


def find_accelerator() -> tuple[str | None, int | None]:
    """Name and memory of the accelerator torch sees; None for what there is not."""
    try:
        import torch
    except ImportError:
        return None, None
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        return properties.name, properties.total_memory
    if torch.backends.mps.is_available():
        return "Apple GPU", None
    return None, None
