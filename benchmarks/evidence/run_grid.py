"""A grid of runs: variants of a few recipes, each compared with one of them, row by row.

Run:
    python benchmarks/evidence/run_grid.py run GRID.yaml [--jobs 2] [--seeds 1] [--only NAME ...]
    python benchmarks/evidence/run_grid.py table GRID.yaml

`run` does what is not done; a run that was killed goes on where it stopped. `--seeds 1` takes a
first look at the whole grid. With `--jobs N` each of N runs at once gets its share of the cores.
`table` prints a Markdown table for each recipe and writes ids and numbers, no texts, into the
grid's `results` file.

A variant is settings by recipe key, and besides:

- `recipes`: the names of the recipes it is run for; all if not given;
- `by_recipe`: settings for each recipe of the grid, by its file's name;
- `by_seed`: settings that are texts have `{seed}` in them, so that each seed is a run of its own;
- `trained_as`: a variant trained the same, with whose adapters this one is only tested otherwise;
- `suggest`: a way of `levertune anchor suggest`; its first candidate, written from the rows of the
  first seed, is the anchor. `suggest_options` are more of its options.
- `tune`: what `levertune tune` is to choose first.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from levertune.errors import RunError
from levertune.results.cells import CELL_FILE
from levertune.results.files import write_text_atomically
from levertune.results.schema import ArmSummary, Comparison, Interval, read_result
from levertune.runs.compare import compare_runs
from levertune.runs.jobs import count_cores

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
from write_public_result import public_result


@dataclass(frozen=True)
class Run:
    """One variant of one recipe.

    Args:
        recipe: The recipe.
        variant: Its name in the grid.
        settings: What it changes.
        folder: Its run folder.
        trained_as: Run folder whose adapters it takes; None to train its own.
        suggest: Words of `anchor suggest` that write its anchor; empty if it has one.
        tune: What is tuned first; None for nothing.
        seed: Its one seed; None for all of the grid.
    """

    recipe: Path
    variant: str
    settings: Mapping[str, Any]
    folder: Path
    trained_as: Path | None = None
    suggest: tuple[str, ...] = ()
    tune: str | None = None
    seed: int | None = None

    @property
    def arm(self) -> str:
        """The one arm it trains."""
        [arm] = self.settings["arms"]
        return str(arm)

    def is_done(self, seeds: int) -> bool:
        """Whether every seed has its cell."""
        own = range(seeds) if self.seed is None else [self.seed]
        cells = (self.folder / "arms" / self.arm / f"seed-{s}" / CELL_FILE for s in own)
        return all(cell.is_file() for cell in cells) and (self.folder / "result.json").is_file()

    @property
    def anchor_file(self) -> Path:
        """Where an anchor that was suggested is kept."""
        return self.folder.with_name(self.folder.name + ".anchor.txt")

    def commands(self, seeds: int) -> Iterator[list[str]]:
        """What is to be done for it, in turn."""
        own: int | list[int] = seeds if self.seed is None else [self.seed]
        changes = {**self.settings, "seeds": own, "output_dir": str(self.folder)}
        if self.suggest and not self.anchor_file.is_file():
            candidates = self.anchor_file.with_suffix(".jsonl")
            words = [*_words(changes), *self.suggest, "--to", str(candidates)]
            yield _levertune("anchor", "suggest", str(self.recipe), *words)
            first = json.loads(candidates.read_text(encoding="utf-8").splitlines()[0])
            write_text_atomically(self.anchor_file, first["text"])
        if self.suggest:
            changes |= {"anchor.text": f"file:{self.anchor_file}", "anchor.shared": "replace"}
        words = [str(self.recipe), *_words(changes), "--jobs", "1", "--quiet"]
        if self.tune is not None and not (self.folder / "tune" / "tune.json").is_file():
            yield _levertune("tune", *words, "--what", self.tune)
        if self.trained_as is not None and not (self.folder / "arms").is_dir():
            partial = self.folder / "arms.partial"
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(self.trained_as / "arms", partial)
            partial.rename(self.folder / "arms")
        yield _levertune("run", *words)


def _words(settings: Mapping[str, Any]) -> list[str]:
    return [f"{key}={json.dumps(value)}" for key, value in settings.items()]


def _levertune(*words: str) -> list[str]:
    program = "from levertune.cli.main import main; raise SystemExit(main())"
    return [sys.executable, "-c", program, *words]


def main() -> int:
    """Run a grid or show what it found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("run", "table"))
    parser.add_argument("grid", type=Path)
    parser.add_argument("--jobs", type=int, default=1, help="runs at once")
    parser.add_argument("--seeds", type=int, help="only the first so many seeds")
    parser.add_argument("--only", nargs="+", help="variants; all if not given")
    args = parser.parse_args()
    grid = yaml.safe_load(args.grid.read_text(encoding="utf-8"))
    runs = [run for run in expand(grid) if not args.only or run.variant in args.only]
    if args.what == "run":
        return run_all(runs, args.seeds or grid["seeds"], args.jobs)
    write_tables(grid, runs)
    return 0


def expand(grid: Mapping[str, Any]) -> Iterator[Run]:
    """The runs of a grid, recipe by recipe within each variant."""
    for variant, given in grid["variants"].items():
        for recipe in map(Path, grid["recipes"]):
            own = dict(given)
            if recipe.stem not in own.pop("recipes", [recipe.stem]):
                continue
            folder = Path(grid["output"], recipe.stem)
            by_recipe = own.pop("by_recipe", {}).get(recipe.stem, {})
            origin, way = own.pop("trained_as", None), own.pop("suggest", None)
            options, is_by_seed = own.pop("suggest_options", []), own.pop("by_seed", False)
            run = Run(
                recipe,
                variant,
                folder=folder / variant,
                trained_as=folder / origin if origin is not None else None,
                suggest=("--way", way, *options) if way is not None else (),
                tune=own.pop("tune", None),
                settings={**grid["settings"], **own, **by_recipe},
            )
            if is_by_seed:
                yield from (_for_seed(run, seed) for seed in range(grid["seeds"]))
            else:
                yield run


def _for_seed(run: Run, seed: int) -> Run:
    settings = {
        key: value.replace("{seed}", str(seed)) if isinstance(value, str) else value
        for key, value in run.settings.items()
    }
    name = f"{run.variant}-seed-{seed}"
    folder = run.folder.with_name(name)
    return replace(run, variant=name, settings=settings, folder=folder, seed=seed)


def run_all(runs: list[Run], seeds: int, jobs: int) -> int:
    """Do what is not done.

    Returns:
        1 if a run failed, else 0; the others go on.
    """
    threads = max(1, count_cores() // jobs)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}

    def do(run: Run) -> bool:
        started = time.perf_counter()
        state = "done"
        for command in run.commands(seeds):
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode != 0:
                state = f"FAILED: {done.stderr.strip()[-400:]}"
                break
        minutes = (time.perf_counter() - started) / 60
        print(f"{run.folder}: {state}, {minutes:.1f} minutes", flush=True)
        return state == "done"

    wanted = [run for run in runs if run.seed is None or run.seed < seeds]
    left = [run for run in wanted if not run.is_done(seeds)]
    found: list[bool] = []
    with ThreadPoolExecutor(jobs) as pool:
        # What takes adapters of others comes when these are trained.
        for takes in (False, True):
            found += pool.map(do, [run for run in left if (run.trained_as is not None) == takes])
    return int(not all(found))


def write_tables(grid: Mapping[str, Any], runs: list[Run]) -> None:
    """A table a recipe, and one file of ids and numbers."""
    found: dict[str, dict[str, Any]] = {}
    for recipe in dict.fromkeys(run.recipe for run in runs):
        mine = [r for r in runs if r.recipe == recipe and (r.folder / "result.json").is_file()]
        by_name = {run.variant: run for run in mine}
        reference = by_name.get(grid["reference"])
        print(f"\n{recipe.stem}, differences from {grid['reference']}:\n")
        print("| variant | seeds | score | difference | task NLL | difference | retention NLL |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
        for run in mine:
            result = read_result(run.folder)
            [arm] = [summary for summary in result.arms if summary.arm == run.arm]
            primary = result.metrics.primary
            differences = _differences(run, reference)
            print(
                f"| {run.variant} | {len(arm.seeds)} | {_shown(arm.scores[primary], 100, 1)} "
                f"| {_difference(differences.get(primary), 100, 1)} "
                f"| {_shown(arm.nll['task'], 1, 3)} "
                f"| {_difference(differences.get('nll.task'), 1, 3)} "
                f"| {_shown(arm.nll['retention'], 1, 3)} |"
            )
            found.setdefault(recipe.stem, {})[run.variant] = {
                "differences": {name: _numbers(d.difference) for name, d in differences.items()},
                "seconds": _seconds(arm),
                **public_result(run.folder),
            }
    text = json.dumps(found, separators=(",", ":"), allow_nan=False)
    write_text_atomically(Path(grid["results"]), text + "\n")


def _differences(run: Run, reference: Run | None) -> dict[str, Comparison]:
    if reference is None or reference == run:
        return {}
    try:
        compared = compare_runs(
            run.folder, reference.folder, arm=run.arm, against_arm=reference.arm
        )
    except RunError as error:
        print(f"not compared: {error}", file=sys.stderr)
        return {}
    return {difference.metric: difference for difference in compared.differences}


def _difference(found: Comparison | None, factor: float, decimals: int) -> str:
    return "-" if found is None else _shown(found.difference, factor, decimals, sign="+")


def _shown(found: Interval | None, factor: float, decimals: int, sign: str = "") -> str:
    if found is None or found.value is None:
        return "not measured"
    value = f"{found.value * factor:{sign}.{decimals}f}"
    if found.low is None or found.high is None:
        return value
    return f"{value} [{found.low * factor:.{decimals}f}, {found.high * factor:.{decimals}f}]"


def _numbers(interval: Interval) -> dict[str, float | int | None]:
    return {"value": interval.value, "low": interval.low, "high": interval.high, "n": interval.n}


def _seconds(arm: ArmSummary) -> dict[str, float | None]:
    return {"train": arm.seconds.train, "evaluate": arm.seconds.evaluate}


if __name__ == "__main__":
    sys.exit(main())
