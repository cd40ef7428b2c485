"""One side's training, as its own command starts it, with the clock inside.

Run by the benchmark, in the interpreter of the side: python -m benchmarks.train.driver TRAINER
CONFIG OUTPUT. CONFIG is the trainer's own: a recipe, or what `levertune mix --to` wrote.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path


def train_with_levertune(config: str) -> None:
    """As `levertune train CONFIG`, in this process alone or as one of a launcher's."""
    from levertune.cli.main import main

    alone = [] if "WORLD_SIZE" in os.environ else ["--num-processes", "1"]
    if main(["train", config, "--quiet", *alone]):
        raise SystemExit("levertune train failed")


def train_with_trl(config: str) -> None:
    """As TRL's script `sft.py --config CONFIG`."""
    from trl.scripts.sft import main, make_parser

    main(*make_parser().parse_args_and_config(["--config", config]))


def train_with_llama_factory(config: str) -> None:
    """As `llamafactory-cli train CONFIG` on one device."""
    from llamafactory.train.tuner import run_exp

    sys.argv = ["llamafactory-cli", config]
    run_exp()


def train_with_ms_swift(config: str) -> None:
    """As `swift sft CONFIG` in one process."""
    from swift.cli.main import parse_yaml_args
    from swift.pipelines import sft_main

    words = [config]
    parse_yaml_args(words)
    sft_main(words)


TRAINERS: dict[str, tuple[str, Callable[[str], None]]] = {
    "levertune": ("levertune", train_with_levertune),
    "trl": ("trl", train_with_trl),
    "llama-factory": ("llamafactory", train_with_llama_factory),
    "ms-swift": ("ms-swift", train_with_ms_swift),
}
"""Name of the package, and how to start a training."""


def main() -> None:
    """Train, and write down what was seen."""
    started = time.perf_counter()
    parser = argparse.ArgumentParser()
    parser.add_argument("trainer", choices=TRAINERS)
    parser.add_argument("config")
    parser.add_argument("output", type=Path)
    parser.add_argument("--profile-after", type=int, help="profile the steps after so many")
    args = parser.parse_args()
    if args.trainer == "levertune":
        # As its command does, before torch is loaded.
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    from benchmarks.train.clock import (
        Batches,
        Clock,
        ProfiledSteps,
        add_callback,
        peak_device_bytes,
    )

    clock, batches = Clock(), Batches()
    batches.watch()
    add_callback(clock)
    if args.profile_after is not None:
        add_callback(ProfiledSteps(args.profile_after, args.output.with_suffix(".txt")))
    package, train = TRAINERS[args.trainer]
    train(args.config)
    if clock.began is None:
        raise SystemExit(f"{args.trainer}: no step was taken.")
    seen = {
        "version": importlib.metadata.version(package),
        "ends": clock.ends,
        "seconds_to_first_step": clock.began - started,
        "losses": {str(step): loss for step, loss in clock.losses.items()},
        "tokens": batches.tokens,
        "first_rows": batches.first,
        "peak_device_bytes": peak_device_bytes(),
        **clock.facts,
    }
    args.output.write_text(json.dumps(seen), encoding="utf-8")


if __name__ == "__main__":
    main()
