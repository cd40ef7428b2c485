"""Whether rows that share their beginnings train as rows apart: loss and gradient of a few steps.

    python -m benchmarks.shared_rows

SmolLM2-135M-Instruct on the throughput benchmark's short rows. Padded rows in float32 are the
reference; each line says how far a way of computing lies from it: of the four steps' losses the
largest relative difference, of the summed gradient the length of the difference, relative.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import torch

from benchmarks.train.mixtures import CASES, read_rows, write_recipe
from levertune.models.adapters import attach_lora
from levertune.models.batches import CPU_COST, Batching, PaddedRows
from levertune.models.embedded import EMBEDDED_NAME
from levertune.models.hardware import Hardware
from levertune.models.head import select_logits
from levertune.models.load import load_base_model
from levertune.models.lora_linear import autocast_for, grouped_lora
from levertune.models.rendering import ChatTokenizer, TokenizedExample
from levertune.models.resolve import resolve_model
from levertune.models.shared_rows import SharedRows

STEPS, BATCH = 4, 8


def main() -> None:
    """Compute the reference and print each way beside it."""
    model = resolve_model(EMBEDDED_NAME).folder
    tokenizer = ChatTokenizer.from_folder(model)
    with tempfile.TemporaryDirectory() as name:
        folder, case = Path(name, "mixture"), CASES["short"]
        recipe = write_recipe(
            case, STEPS, folder, model=model, dtype="bfloat16", tokenizer=tokenizer
        )
        rows = read_rows(recipe)
    padded, shared = PaddedRows(tokenizer.pad_id, CPU_COST), SharedRows(CPU_COST.max_tokens)
    losses, gradient = measure(rows, torch.float32, padded, grouped=False)
    print("| way | loss | gradient |\n| --- | ---: | ---: |")
    for name, dtype, batching, grouped in (
        ("float32, shared and grouped", torch.float32, shared, True),
        ("bfloat16, padded", torch.bfloat16, padded, False),
        ("bfloat16, shared", torch.bfloat16, shared, False),
        ("bfloat16, shared and grouped", torch.bfloat16, shared, True),
    ):
        found, own = measure(rows, dtype, batching, grouped=grouped)
        loss = ((found - losses) / losses).abs().max()
        print(f"| {name} | {loss:.1e} | {(own - gradient).norm() / gradient.norm():.1e} |")


def measure(
    rows: list[TokenizedExample], dtype: torch.dtype, batching: Batching, *, grouped: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss of each step, and the gradient of all of them."""
    hardware = Hardware("cpu", dtype)
    base = load_base_model(resolve_model(EMBEDDED_NAME), hardware, attention="eager")
    torch.manual_seed(0)
    model = attach_lora(base, r=16, alpha=32, dropout=0.0, target_modules="all-linear")
    for name, parameter in model.named_parameters():
        if "lora_B" in name:  # zero at the start, where A would get no gradient
            parameter.data.normal_(std=0.01)
    losses = torch.zeros(STEPS, dtype=torch.float64)
    together = grouped_lora(model) if grouped else contextlib.nullcontext()
    with batching.engage(model), together:
        for step in range(STEPS):
            own = rows[BATCH * step : BATCH * (step + 1)]
            for part in batching.split(own):
                batch = batching.collate([own[i] for i in part])
                with autocast_for(model, hardware):
                    logits = select_logits(model, batch.inputs, batch.index)
                loss = torch.nn.functional.cross_entropy(
                    logits.float(), batch.targets, reduction="sum"
                )
                loss.backward()
                losses[step] += loss.item()
    gradients = [p.grad.float().flatten() for p in model.parameters() if p.grad is not None]
    return losses, torch.cat(gradients)


if __name__ == "__main__":
    main()
