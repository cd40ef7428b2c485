"""A grid of runs: variants of a few recipes, each compared with one of them, row by row.

Run:
    python benchmarks/evidence/run_grid.py run GRID.yaml [--jobs 2] [--seeds 1] [--only NAME ...]
    python benchmarks/evidence/run_grid.py table GRID.yaml

`run` does what is not done; a run that was killed goes on where it stopped. `--seeds 1` takes a
first look at the whole grid. With `--jobs N` each of N runs at once gets its share of the cores.
`table` prints a Markdown table for each recipe and writes ids and numbers, no texts, into the
grid's `results` file.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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
    """

    recipe: Path
    variant: str
    settings: Mapping[str, Any]
    folder: Path

    @property
    def arm(self) -> str:
        """The one arm it trains."""
        [arm] = self.settings["arms"]
        return str(arm)

    def is_done(self, seeds: int) -> bool:
        """Whether every seed has its cell."""
        cells = (self.folder / "arms" / self.arm / f"seed-{s}" / CELL_FILE for s in range(seeds))
        return all(cell.is_file() for cell in cells) and (self.folder / "result.json").is_file()

    def command(self, seeds: int) -> list[str]:
        """`levertune run` for it."""
        changes = {**self.settings, "seeds": seeds, "output_dir": str(self.folder)}
        words = [f"{key}={json.dumps(value)}" for key, value in changes.items()]
        program = "from levertune.cli.main import main; raise SystemExit(main())"
        start = [sys.executable, "-c", program, "run", str(self.recipe)]
        return [*start, *words, "--jobs", "1", "--quiet"]


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
    for variant, settings in grid["variants"].items():
        for recipe in map(Path, grid["recipes"]):
            folder = Path(grid["output"], recipe.stem, variant)
            yield Run(recipe, variant, {**grid["settings"], **settings}, folder)


def run_all(runs: list[Run], seeds: int, jobs: int) -> int:
    """Do what is not done.

    Returns:
        1 if a run failed, else 0; the others go on.
    """
    threads = max(1, count_cores() // jobs)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}

    def do(run: Run) -> bool:
        started = time.perf_counter()
        done = subprocess.run(
            run.command(seeds), env=environment, capture_output=True, text=True, check=False
        )
        minutes = (time.perf_counter() - started) / 60
        state = "done" if done.returncode == 0 else f"FAILED: {done.stderr.strip()[-400:]}"
        print(f"{run.folder}: {state}, {minutes:.1f} minutes", flush=True)
        return done.returncode == 0

    with ThreadPoolExecutor(jobs) as pool:
        return int(not all(list(pool.map(do, [run for run in runs if not run.is_done(seeds)]))))


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
