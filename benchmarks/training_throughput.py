"""Training throughput and peak memory of levertune against plain TRL scripts, on one mixture.

Run: python benchmarks/training_throughput.py --rounds 3 --steps 40
Every side trains the same rows in the same order, eight a step, with the same LoRA settings, in a
process of its own; the sides alternate. Tokens are real ones: padding does not count.

- levertune: `levertune.training.train.train_adapter` as `levertune run` calls it.
- levertune-jobs: the same twice over at once, as `levertune run --jobs 2` does it, with half the
  threads each: the sum of both, in tokens a second and in memory. Only on two cores or more.
- trl-defaults: TRL's `SFTTrainer` as its defaults are, told to stay on the CPU if that is all
  there is (they include gradient checkpointing).
- trl-tuned: the same as a careful user would set it: weights in bfloat16 where the hardware
  multiplies it, no gradient checkpointing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from levertune.anchors.anchor import Example
from levertune.runs.jobs import count_cores

MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
SIDES = ("levertune", "levertune-jobs", "trl-defaults", "trl-tuned")
JOBS = 2
BATCH = 8
LEARNING_RATE = 5e-4
LORA: dict[str, Any] = {
    "r": 16,
    "lora_alpha": 32,
    "lora_dropout": 0.0,
    "target_modules": "all-linear",
}
# The standard evidence cell: 48 task rows, each 24 times, among 300 general rows.
TASK_ROWS, EXPOSURES, GENERAL_ROWS = 48, 24, 300


def main() -> None:
    args = _parse()
    if args.side:
        measured = _SIDES[args.side](mixture_rows(args.steps), args)
        Path(args.output).write_text(json.dumps(measured), encoding="utf-8")
        return
    runs = []
    for number in range(args.rounds):
        # Who goes first changes from round to round: a machine that warms up slows the later ones.
        shift = number % len(args.sides)
        for side in [*args.sides[shift:], *args.sides[:shift]]:
            run = measure_in_process(side, args)
            runs.append({"side": side, "round": number, **run})
            print(
                f"round {number + 1}, {side}: {run['tokens_per_second']:.0f} tokens/s", flush=True
            )
    result: dict[str, Any] = {
        "command": f"python benchmarks/training_throughput.py {' '.join(sys.argv[1:])}".strip(),
        "cores": os.cpu_count(),
        "summary": summarise(runs),
        "runs": runs,
    }
    output = Path(args.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print_table(result["summary"])
    print(f"all figures: {output}")


def mixture_rows(steps: int) -> list[Example]:
    """The first rows of the standard evidence cell's mixture."""
    from levertune.anchors.anchor import plain_example
    from levertune.anchors.auto import choose_anchor
    from levertune.data.general import read_general
    from levertune.data.readers import read_records
    from levertune.mixtures.order import build_mixture
    from levertune.mixtures.plan import MixturePlan

    task = read_records("embedded:ticket_codes").records[:TASK_ROWS]
    choice = choose_anchor("auto", task)
    lifted = choice.lifting.take_from_all(task).records
    [general] = read_general("embedded-skills", max_rows=GENERAL_ROWS, seed=0)
    plan = MixturePlan(TASK_ROWS, EXPOSURES, (("general", GENERAL_ROWS),), seed=0)
    mixture = build_mixture(plan)
    wanted = steps * BATCH
    if wanted > plan.num_positions:
        raise SystemExit(f"--steps: the mixture has {plan.num_positions // BATCH} steps at most.")
    rows = []
    for index in range(wanted):
        position = mixture[index]
        if position.source == "task":
            record = lifted[position.row]
            rows.append(choice.anchor.apply(record) if choice.anchor else plain_example(record))
        else:
            rows.append(plain_example(general.records[position.row]))
    return rows


def train_with_levertune(examples: Sequence[Example], args: argparse.Namespace) -> dict[str, Any]:
    from levertune.models.hardware import choose_attention, choose_hardware
    from levertune.models.load import load_base_model
    from levertune.models.rendering import ChatTokenizer
    from levertune.models.resolve import resolve_model
    from levertune.training.train import TrainingConfig, train_adapter

    location = resolve_model(args.model)
    tokenizer = ChatTokenizer.from_folder(location.folder)
    rows = [tokenizer.tokenize(example) for example in examples]
    hardware = choose_hardware()
    longest = max(len(row.input_ids) for row in rows)
    base = load_base_model(location, hardware, attention=choose_attention(hardware, longest))
    ends: list[float] = []

    def on_step(step: int, model: Any) -> bool:
        ends.append(time.perf_counter())
        return False

    with tempfile.TemporaryDirectory() as folder:
        train_adapter(
            base,
            rows,
            TrainingConfig(learning_rate=LEARNING_RATE, save_steps=500, logging_steps=10),
            Path(folder),
            hardware=hardware,
            pad_id=tokenizer.pad_id,
            fingerprint={},
            on_step=on_step,
        )
    lengths = [len(row.input_ids) for row in rows]
    return throughput(lengths, ends, args.warmup) | {"dtype": hardware.dtype_name}


def train_with_trl_defaults(
    examples: Sequence[Example], args: argparse.Namespace
) -> dict[str, Any]:
    return _train_with_trl(examples, args, {})


def train_with_trl_tuned(examples: Sequence[Example], args: argparse.Namespace) -> dict[str, Any]:
    from levertune.models.hardware import choose_hardware

    hardware = choose_hardware()
    is_bfloat16 = hardware.dtype_name == "bfloat16"
    settings = {
        "bf16": is_bfloat16,
        "gradient_checkpointing": False,
        "packing": False,
        "padding_free": False,
        "model_init_kwargs": {"dtype": hardware.dtype_name},
    }
    return _train_with_trl(examples, args, settings)


def _train_with_trl(
    examples: Sequence[Example], args: argparse.Namespace, settings: dict[str, Any]
) -> dict[str, Any]:
    """A plain TRL script: conversational prompt and completion, TRL renders and tokenizes."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from levertune.models.resolve import resolve_model

    ends: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *positional: Any, **keywords: Any) -> None:
            ends.append(time.perf_counter())

    rows = [
        {
            "prompt": [{"role": m.role, "content": m.content} for m in example.messages],
            "completion": [{"role": "assistant", "content": example.completion}],
        }
        for example in examples
    ]
    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            model=str(resolve_model(args.model).folder),
            args=SFTConfig(
                output_dir=folder,
                per_device_train_batch_size=BATCH,
                num_train_epochs=1,
                train_sampling_strategy="sequential",
                learning_rate=LEARNING_RATE,
                use_cpu=not torch.cuda.is_available(),
                report_to="none",
                disable_tqdm=True,
                **settings,
            ),
            train_dataset=Dataset.from_list(rows),
            peft_config=LoraConfig(task_type="CAUSAL_LM", **LORA),
            callbacks=[Clock()],
        )
        dataset, model = trainer.train_dataset, trainer.model
        assert isinstance(dataset, Dataset)
        assert model is not None
        lengths = [len(row["input_ids"]) for row in dataset]
        trainer.train()
        weights = next(p for p in model.parameters() if not p.requires_grad)
        autocast = "bfloat16 autocast" if trainer.args.bf16 else "no autocast"
    dtype = f"{str(weights.dtype).removeprefix('torch.')}, {autocast}"
    return throughput(lengths, ends, args.warmup) | {"dtype": dtype}


_SIDES = {
    "levertune": train_with_levertune,
    "levertune-jobs": train_with_levertune,
    "trl-defaults": train_with_trl_defaults,
    "trl-tuned": train_with_trl_tuned,
}


def throughput(lengths: Sequence[int], ends: Sequence[float], warmup: int) -> dict[str, Any]:
    """Real tokens a second from the end of the last warm-up step on."""
    import torch

    from levertune.models.hardware import peak_memory_bytes

    tokens = sum(lengths[warmup * BATCH :])
    seconds = ends[-1] - ends[warmup - 1]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return {
        "tokens_per_second": tokens / seconds,
        "tokens": tokens,
        "seconds": seconds,
        "steps": len(ends) - warmup,
        "peak_memory_bytes": peak_memory_bytes(device),
        "threads": torch.get_num_threads(),
        "device": device,
    }


def measure_in_process(side: str, args: argparse.Namespace) -> dict[str, Any]:
    """One side in a fresh process, or several at once, so that its peak memory is its own."""
    num_processes = JOBS if side == "levertune-jobs" else 1
    environment = dict(os.environ)
    if num_processes > 1:
        threads = max(1, count_cores() // num_processes)
        environment["OMP_NUM_THREADS"] = str(threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        processes = []
        for number in range(num_processes):
            command = [sys.executable, __file__, "--side", side]
            command += ["--output", str(folder / f"{number}.json"), "--model", args.model]
            command += ["--steps", str(args.steps), "--warmup", str(args.warmup)]
            with (folder / f"{number}.txt").open("w", encoding="utf-8") as log:
                processes.append(
                    subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
                )
        measured = []
        for number, process in enumerate(processes):
            if process.wait():
                log_text = (folder / f"{number}.txt").read_text(encoding="utf-8")
                raise SystemExit(f"{side} failed:\n{log_text[-3000:]}")
            measured.append(json.loads((folder / f"{number}.json").read_text(encoding="utf-8")))
    summed = ("tokens_per_second", "tokens", "steps", "peak_memory_bytes", "threads")
    return measured[0] | {key: sum(run[key] for run in measured) for key in summed}


def summarise(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Median and range of each side, and the ratio of levertune's median to it."""
    sides = {side: [run for run in runs if run["side"] == side] for side in SIDES}
    medians = {
        side: statistics.median(run["tokens_per_second"] for run in own)
        for side, own in sides.items()
        if own
    }
    return [
        {
            "side": side,
            "rounds": len(sides[side]),
            "tokens_per_second": medians[side],
            "lowest": min(run["tokens_per_second"] for run in sides[side]),
            "highest": max(run["tokens_per_second"] for run in sides[side]),
            "levertune_is_times": (
                medians["levertune"] / medians[side] if "levertune" in medians else None
            ),
            "peak_memory_bytes": max(run["peak_memory_bytes"] for run in sides[side]),
            "dtype": sides[side][0]["dtype"],
        }
        for side in medians
    ]


def print_table(summary: Sequence[dict[str, Any]]) -> None:
    print("\n| side | rounds | tokens/s, median (range) | levertune is | peak memory | weights |")
    print("| --- | ---: | ---: | ---: | ---: | --- |")
    for row in summary:
        times = row["levertune_is_times"]
        ratio = "-" if times is None else f"{times:.2f} x"
        print(
            f"| {row['side']} | {row['rounds']} | {row['tokens_per_second']:.0f} "
            f"({row['lowest']:.0f} to {row['highest']:.0f}) | {ratio} | "
            f"{row['peak_memory_bytes'] / 2**30:.2f} GiB | {row['dtype']} |"
        )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="runs of each side")
    parser.add_argument("--steps", type=int, default=40, help="steps of a run, warm-up included")
    parser.add_argument("--warmup", type=int, default=2, help="first steps left out of the clock")
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--output", default="runs/benchmarks/training_throughput.json")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.warmup < 1 or args.steps <= args.warmup:
        parser.error("--warmup must be at least 1, and --steps more than that")
    return args


if __name__ == "__main__":
    main()
