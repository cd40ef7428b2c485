"""Greedy answers from vLLM, in a process and, if wanted, an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from levertune.errors import RecipeError, RunError

if TYPE_CHECKING:
    from levertune.models.hardware import Hardware

PYTHON_VARIABLE = "LEVERTUNE_VLLM_PYTHON"
MAX_RANK = 512

_WORKER = Path(__file__).with_name("vllm_worker.py")
_HAS_VLLM = "import importlib.util; raise SystemExit(importlib.util.find_spec('vllm') is None)"

# Of the GPU memory that is free: the rest is for what vLLM does not count.
_SHARE_OF_FREE = 0.9


def require_vllm(environment: Mapping[str, str]) -> None:
    """Refuse `evaluation.backend: vllm` where there is no vLLM, before anything is trained.

    Args:
        environment: The process's environment; `LEVERTUNE_VLLM_PYTHON` names another interpreter.

    Raises:
        RecipeError: If the interpreter is not there, or has no vLLM.
    """
    python = _python(environment)
    try:
        found = subprocess.run(
            [python, "-c", _HAS_VLLM], env=_seen_by(environment), capture_output=True, check=False
        )
    except OSError as error:
        raise RecipeError(
            f"{PYTHON_VARIABLE}: {python!r} cannot be started; {error.strerror}. Name the Python "
            "of an environment that has vllm."
        ) from error
    if found.returncode != 0:
        raise RecipeError(
            f"evaluation.backend: vllm is not installed for {python}. Install it into an "
            f"environment of its own and set {PYTHON_VARIABLE} to the Python there, or leave "
            "evaluation.backend at transformers."
        )


def continue_with_vllm(
    prompts: Sequence[Sequence[int]],
    *,
    model: Path,
    adapter: Path | None,
    hardware: Hardware,
    stop_ids: Sequence[int],
    max_new_tokens: int,
    environment: Mapping[str, str] = os.environ,
) -> list[list[int]]:
    """The new ids of each prompt, in order, the one that ends an answer included.

    Args:
        prompts: Ids.
        model: Folder of the base model.
        adapter: Folder of a PEFT LoRA adapter; None for the base model.
        hardware: Device and precision.
        stop_ids: What ends an answer.
        max_new_tokens: Most tokens of an answer.
        environment: What the process sees, `LEVERTUNE_VLLM_PYTHON` with it.

    Raises:
        RunError: If the adapter's rank is too high for vLLM, or vLLM fails.
    """
    if not prompts:
        return []
    rank = _rank_of(adapter) if adapter is not None else None
    job = {
        "model": str(model.resolve()),
        "adapter": str(adapter.resolve()) if adapter is not None else None,
        "rank": rank,
        "dtype": hardware.dtype_name,
        "prompts": [list(ids) for ids in prompts],
        "stop_ids": list(stop_ids),
        "max_new_tokens": max_new_tokens,
        "max_length": max(map(len, prompts)) + max_new_tokens,
        "memory_share": _free_share() if hardware.device == "cuda" else None,
    }
    with tempfile.TemporaryDirectory() as name:
        job_file, out_file = Path(name, "job.json"), Path(name, "out.json")
        job_file.write_text(json.dumps(job), encoding="utf-8")
        command = [_python(environment), str(_WORKER), str(job_file), str(out_file)]
        done = subprocess.run(
            command,
            env=_seen_by(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode != 0:
            lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            said = lines[-1] if lines else f"status {done.returncode}"
            raise RunError(
                f"evaluation.backend: vllm failed: {said} What was trained is kept: mend it, or "
                "set evaluation.backend=transformers and start again."
            )
        answers: list[list[int]] = json.loads(out_file.read_text(encoding="utf-8"))
    if len(answers) != len(prompts):
        raise RunError(
            f"evaluation.backend: vllm answered {len(answers)} of {len(prompts)} prompts. Set "
            "evaluation.backend=transformers and start again."
        )
    return answers


def _python(environment: Mapping[str, str]) -> str:
    return environment.get(PYTHON_VARIABLE) or sys.executable


def _seen_by(environment: Mapping[str, str]) -> dict[str, str]:
    """What the process sees: no folders of modules that are meant for another Python."""
    is_other = PYTHON_VARIABLE in environment
    return {k: v for k, v in environment.items() if not (is_other and k == "PYTHONPATH")}


def _rank_of(adapter: Path) -> int:
    rank = int(json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))["r"])
    if rank > MAX_RANK:
        raise RunError(
            f"evaluation.backend: vllm takes adapters up to rank {MAX_RANK}; training.lora_r is "
            f"{rank}. Set evaluation.backend=transformers."
        )
    return rank


def _free_share() -> float:
    """The share of the GPU vLLM may take beside what this process holds."""
    import torch

    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info()
    return round(_SHARE_OF_FREE * free / total, 3)
