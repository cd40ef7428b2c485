"""What one training step costs on this machine: the constants of the engine, measured.

    python benchmarks/step_cost.py [--rounds 3]

Prints seconds (median and range over rounds, settings alternating) of forward and backward passes
of SmolLM2-135M-Instruct with LoRA on all linear layers:

- `eager` against `sdpa` attention by row length (models/hardware.py, EAGER_ATTENTION_MAX_LENGTH);
- micro-batches of 1 to 8 rows (models/batches.py, CPU_COST);
- LoRA inputs cast up to float32, as PEFT does by default, against left as they are;
- greedy generation with and without a dense head input (models/head.py).
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from collections.abc import Callable
from typing import Any, cast

import torch
from peft.tuners.lora import LoraLayer

from levertune.anchors.anchor import Example
from levertune.data.records import Message
from levertune.evaluation import generation
from levertune.models import adapters
from levertune.models.embedded import EMBEDDED_NAME
from levertune.models.hardware import choose_hardware
from levertune.models.head import select_logits
from levertune.models.load import load_base_model
from levertune.models.lora_linear import autocast_for
from levertune.models.rendering import ChatTokenizer
from levertune.models.resolve import resolve_model

SUPERVISED = 20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    hardware = choose_hardware()
    location = resolve_model(EMBEDDED_NAME)
    print(f"{hardware.device}, {hardware.dtype_name}, {torch.get_num_threads()} threads")

    base = load_base_model(location, hardware)
    torch.manual_seed(0)
    model = adapters.attach_lora(base, r=16, alpha=32, dropout=0.0, target_modules="all-linear")
    model.train()

    def one_pass(rows: int, length: int, attention: str = "eager") -> Callable[[], None]:
        ids = torch.randint(100, 40_000, (rows, length), device=hardware.device)
        selected = torch.zeros_like(ids, dtype=torch.bool)
        selected[:, -SUPERVISED - 1 : -1] = True

        def run() -> None:
            base.set_attn_implementation(attention)
            with autocast_for(model, hardware):
                inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
                logits = select_logits(model, inputs, selected.view(-1).nonzero().squeeze(-1))
            targets = ids[:, -SUPERVISED:].reshape(-1)
            torch.nn.functional.cross_entropy(logits.float(), targets).backward()

        return run

    settings = {
        f"attention {name}, 800 tokens as {800 // n} rows of {n}": one_pass(800 // n, n, name)
        for n in (50, 100, 200, 400)
        for name in ("eager", "sdpa")
    }
    report(settings, rounds)
    report({f"{rows} rows of 100": one_pass(rows, 100) for rows in (1, 2, 4, 8)}, rounds)

    def casting(enabled: bool) -> Callable[[], None]:
        run = one_pass(8, 100)

        def with_casting() -> None:
            for module in model.modules():
                if isinstance(module, LoraLayer):
                    module.cast_input_dtype_enabled = enabled
            run()

        return with_casting

    report({"LoRA input cast up": casting(True), "left as it is": casting(False)}, rounds)

    model.eval()
    base.set_attn_implementation("sdpa")
    tokenizer = ChatTokenizer.from_folder(location.folder)
    examples = [
        Example(str(i), "task", (Message("user", f"Say what the number {i} means. " * 4),), "x")
        for i in range(32)
    ]
    dense = generation.contiguous_head_input
    generation.can_share = lambda *_: False  # transformers' own generation

    def generate(context: Any) -> Callable[[], None]:
        def run() -> None:
            generation.contiguous_head_input = context
            generation.generate_completions(
                cast(Any, model),
                tokenizer,
                examples,
                hardware=hardware,
                max_new_tokens=14,
                batch_size=16,
            )

        return run

    report(
        {
            "32 answers of 14 tokens, head input as transformers slices it": generate(
                lambda _: contextlib.nullcontext()
            ),
            "the same, dense": generate(dense),
        },
        rounds,
    )


def report(settings: dict[str, Callable[[], None]], rounds: int) -> None:
    """Run each setting once to warm up, then `rounds` times in turn, and print its seconds."""
    seconds: dict[str, list[float]] = {name: [] for name in settings}
    for number in range(rounds + 1):
        for name, run in settings.items():
            started = time.perf_counter()
            run()
            if number:
                seconds[name].append(time.perf_counter() - started)
    width = max(map(len, settings))
    print()
    for name, values in seconds.items():
        low, high = min(values), max(values)
        print(f"{name:{width}}  {statistics.median(values):7.3f} s  [{low:.3f}, {high:.3f}]")


if __name__ == "__main__":
    main()
