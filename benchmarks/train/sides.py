"""Who takes part: which trainer, from which configuration, in which interpreter."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from benchmarks.train.mixtures import export

CONFIG_FILE = "train.yaml"
BENCH_FILE = "bench.yaml"


@dataclass(frozen=True, slots=True)
class Side:
    """One way of doing the same work.

    Args:
        name: What the tables call it.
        about: How it is set, in a line.
        trainer: The trainer, as `driver.TRAINERS` and `levertune mix --to` call it.
        processes: Processes at once, the cores divided among them.
        together: Whether they share the rows of one training; else each has one of its own.
        without: Keys of the exported configuration that are left out, to have the trainer's own
            defaults.
        with_: Keys that are set beside the exported ones.
        option: The option that names its interpreter; None for levertune's own.
    """

    name: str
    about: str
    trainer: str
    processes: int = 1
    together: bool = False
    without: tuple[str, ...] = ()
    with_: Mapping[str, Any] = field(default_factory=dict)
    option: str | None = None


SIDES = {
    side.name: side
    for side in (
        Side("levertune", "`levertune train --num-processes 1`", "levertune"),
        Side(
            "levertune-jobs",
            "two of them at once with half of the threads each, as `levertune run --jobs 2`",
            "levertune",
            processes=2,
        ),
        Side(
            "levertune-processes",
            "`levertune train` as it shares a long training: two processes, half the threads each",
            "levertune",
            processes=2,
            together=True,
        ),
        Side(
            "trl-defaults",
            "TRL, precision and gradient checkpointing as its defaults are",
            "trl",
            without=("dtype", "bf16", "fp16", "gradient_checkpointing"),
        ),
        Side("trl-tuned", "TRL as `mix --to trl` writes it, no gradient checkpointing", "trl"),
        Side(
            "llama-factory",
            "LLaMA-Factory as `mix --to llama-factory` writes it, no gradient checkpointing",
            "llama-factory",
            option="llamafactory",
        ),
        Side(
            "ms-swift",
            "ms-swift as `mix --to ms-swift` writes it, no gradient checkpointing",
            "ms-swift",
            # It does not tell by itself how a model of this kind writes its turns.
            with_={"model_type": "llama", "template": "chatml"},
            option="ms_swift",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Ready:
    """A side that can be started.

    Args:
        side: The side.
        python: Its interpreter.
        why_not: Why it is not run; None if it is.
    """

    side: Side
    python: str
    why_not: str | None = None


def find_sides(names: list[str], pythons: Mapping[str, str | None]) -> list[Ready]:
    """The sides asked for, with their interpreters.

    Args:
        names: Their names.
        pythons: Interpreter by option; None where none was named.
    """
    found = []
    for name in names:
        side = SIDES[name]
        if side.option is None:
            found.append(Ready(side, sys.executable))
            continue
        python, option = pythons.get(side.option), f"--{side.option.replace('_', '-')}"
        if python is None:
            found.append(Ready(side, "", f"{option} names no Python that has it"))
        elif not Path(python).is_file():
            found.append(Ready(side, "", f"{option}: there is no such file"))
        else:
            # Not resolved: a link in an environment's bin/ is what tells Python where it is.
            found.append(Ready(side, str(Path(python).absolute())))
    return found


def write_config(side: Side, recipe: Path, folder: Path, *, use_cpu: bool) -> Path:
    """The configuration a side is started with, in a folder of its own.

    Args:
        side: The side.
        recipe: The recipe of the mixture.
        folder: Where everything goes that the training writes.
        use_cpu: Whether there is nothing but a CPU.

    Returns:
        The configuration.
    """
    if side.trainer == "levertune":
        settings = yaml.safe_load(recipe.read_text(encoding="utf-8"))
        settings["output_dir"] = str(folder / "run")
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / BENCH_FILE
    else:
        exported = export(recipe, side.trainer, folder)
        settings = yaml.safe_load((exported / CONFIG_FILE).read_text(encoding="utf-8"))
        settings = {key: value for key, value in settings.items() if key not in side.without}
        settings |= {"logging_first_step": True, "use_cpu": use_cpu, **side.with_}
        path = exported / BENCH_FILE
    path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return path
