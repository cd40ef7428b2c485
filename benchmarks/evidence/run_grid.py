"""A grid of runs: variants of a few recipes, each compared with one of them, row by row.

Run:
    python benchmarks/evidence/run_grid.py run GRID.yaml [--jobs 2] [--seeds 1] [--only NAME ...]
    python benchmarks/evidence/run_grid.py table GRID.yaml [--seeds 8] [--only ...] [--against NAME]
        [--from-seed 3]

`run` does what is not done; a run that was killed goes on where it stopped. `--seeds 1` takes a
first look at the whole grid; more seeds than the grid has settle one comparison (`--recipe` names
the task), and `--from-seed` leaves out the seeds that something was chosen on. With `--jobs N` each
of N runs at once gets its share of the cores.
A finished cell is kept as ids and numbers, no texts, in the grid's `results` folder (`kept.py`);
what is kept there is not trained again, on whatever machine it was trained. Run folders and kept
cells carry a hash of the recipe and of all that the grid says of the variant: a change makes
another run. `table` prints a Markdown table for each recipe.

`settings` of a grid are for all its runs, `by_recipe` beside it for those of one recipe.

A variant is settings by recipe key, and besides:

- `recipes`: the names of the recipes it is run for; all if not given;
- `by_recipe`: settings for each recipe of the grid, by its file's name;
- `by_seed`: settings that are texts have `{seed}` in them, so that each seed is a run of its own;
- `trained_as`: a variant with whose adapters this one is only tested otherwise; what that one sets
  holds for this one as well;
- `suggest`: a way of `levertune anchor suggest`; its first candidate, written from the rows of the
  first seed, is the anchor. `suggest_options` are more of its options.
- `tune`: what `levertune tune` is to choose first.
"""

from __future__ import annotations

import argparse
import hashlib
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

from levertune.results.cells import CELL_FILE, PREDICTIONS_FILE, cell_dir
from levertune.results.files import write_text_atomically
from levertune.runs.jobs import count_cores

sys.path.insert(0, str(Path(__file__).parent))
from anchor_design import cost_numbers, suggestion_cost, tuning_cost
from kept import KeptCell, keep_cell, read_kept
from kept_table import make_table

NO_SETTINGS = (
    "recipes",
    "by_recipe",
    "by_seed",
    "trained_as",
    "suggest",
    "suggest_options",
    "tune",
)
"""What a variant may say besides settings."""

TESTED = (CELL_FILE, PREDICTIONS_FILE, "likelihoods.jsonl")
"""What a cell's folder holds of the test."""


@dataclass(frozen=True)
class Run:
    """One variant of one recipe.

    Args:
        recipe: The recipe.
        variant: Its name in the grid.
        settings: What it changes.
        folder: Its run folder.
        results: Where its cells are kept.
        trained_as: Run folder whose adapters it takes; None to train its own.
        suggest: Words of `anchor suggest` that write its anchor; empty if it has one.
        tune: What is tuned first; None for nothing.
        seed: Its one seed; None for all of the grid.
        made_by: Hash of the recipe and of what the grid says of it.
    """

    recipe: Path
    variant: str
    settings: Mapping[str, Any]
    folder: Path
    results: Path
    made_by: str
    trained_as: Path | None = None
    suggest: tuple[str, ...] = ()
    tune: str | None = None
    seed: int | None = None

    @property
    def arm(self) -> str:
        """The one arm it trains."""
        [arm] = self.settings["arms"]
        return str(arm)

    def own_seeds(self, seeds: int) -> list[int]:
        """The seeds it is run with, of the first so many."""
        return [seed for seed in range(seeds) if self.seed in (None, seed)]

    def kept(self, seed: int) -> KeptCell | None:
        """Its cell of a seed, if it was kept."""
        return read_kept(self.results / f"seed-{seed}.json", self.made_by)

    def left(self, seeds: int) -> list[int]:
        """The seeds it is still to be run with."""
        return [seed for seed in self.own_seeds(seeds) if self.kept(seed) is None]

    def keep(self, seeds: int) -> None:
        """Keep what is finished and not kept yet."""
        for seed in self.left(seeds):
            path = self.results / f"seed-{seed}.json"
            keep_cell(
                self.folder,
                self.arm,
                seed,
                made_by=self.made_by,
                settings=self.settings,
                to=path,
                design=self._design(),
            )

    def _design(self) -> dict[str, Any] | None:
        """What designing its anchor cost; None if nothing wrote it."""
        if self.suggest and self._candidates.is_file():
            return cost_numbers(suggestion_cost(self._candidates))
        return tuning_cost(self.folder) if self.tune is not None else None

    def is_trained_here(self, seeds: list[int]) -> bool:
        """Whether its folder holds the cells of these seeds, adapters and all."""
        cells = (self.folder / cell_dir(self.arm, seed) / CELL_FILE for seed in seeds)
        return all(cell.is_file() for cell in cells)

    @property
    def anchor_file(self) -> Path:
        """Where an anchor that was suggested is kept."""
        return self.folder.with_name(self.folder.name + ".anchor.txt")

    @property
    def _candidates(self) -> Path:
        """Where all that were suggested with it are."""
        return self.anchor_file.with_suffix(".jsonl")

    def commands(self, seeds: list[int]) -> Iterator[list[str]]:
        """What is to be done for these seeds of it, in turn."""
        changes = {**self.settings, "seeds": seeds, "output_dir": str(self.folder)}
        if self.suggest and not self.anchor_file.is_file():
            # The same text whichever seeds are left.
            one = {**changes, "seeds": [self.seed or 0]}
            words = [*_words(one), *self.suggest, "--to", str(self._candidates)]
            yield _levertune("anchor", "suggest", str(self.recipe), *words)
            first = json.loads(self._candidates.read_text(encoding="utf-8").splitlines()[0])
            write_text_atomically(self.anchor_file, first["text"])
        if self.suggest:
            changes |= {"anchor.text": f"file:{self.anchor_file}", "anchor.shared": "replace"}
        words = [str(self.recipe), *_words(changes), "--jobs", "1", "--quiet"]
        if self.tune is not None and not (self.folder / "tune" / "tune.json").is_file():
            yield _levertune("tune", *words, "--what", self.tune)
        if self.trained_as is not None:
            for seed in seeds:
                self._take_adapter(self.trained_as, seed)
        yield _levertune("run", *words)

    def _take_adapter(self, origin: Path, seed: int) -> None:
        """Copy what was trained, and nothing of how it was tested: that is done anew."""
        place = cell_dir(self.arm, seed)
        if (self.folder / place).is_dir():
            return
        partial = self.folder / "copied.partial"
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(origin / place, partial, ignore=shutil.ignore_patterns(*TESTED))
        (self.folder / place).parent.mkdir(parents=True, exist_ok=True)
        partial.rename(self.folder / place)


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
    parser.add_argument("--seeds", type=int, help="the first so many seeds, if not the grid's")
    parser.add_argument("--from-seed", type=int, default=0, help="the first seed in `table`")
    parser.add_argument("--recipe", help="one of the recipes, by its file's name; all if not given")
    parser.add_argument("--only", nargs="+", help="variants; all if not given")
    parser.add_argument("--against", help="what `table` compares with, if not the grid's reference")
    args = parser.parse_args()
    grid = yaml.safe_load(args.grid.read_text(encoding="utf-8"))
    seeds = args.seeds or grid["seeds"]
    for named in (*(args.only or ()), *([args.against] if args.against else ())):
        if named not in grid["variants"]:
            parser.error(f"{args.grid}: no variant {named!r}; it has {', '.join(grid['variants'])}")
    only = set(args.only or grid["variants"])
    if args.what == "run":
        # What is only tested otherwise needs the adapters of the variant it was trained as.
        only |= {grid["variants"][name].get("trained_as", name) for name in only}
    runs = [
        run
        for run in expand(grid, seeds)
        if run.variant in only and args.recipe in (None, run.recipe.stem)
    ]
    if args.what == "run":
        return run_all(runs, seeds, args.jobs)
    write_tables(runs, seeds, args.against or grid["reference"], first_seed=args.from_seed)
    return 0


def expand(grid: Mapping[str, Any], seeds: int | None = None) -> Iterator[Run]:
    """The runs of a grid, recipe by recipe within each variant.

    Args:
        grid: The grid.
        seeds: How many seeds a variant has that has a run for each; the grid's if None.
    """
    for variant, given in grid["variants"].items():
        for recipe in map(Path, grid["recipes"]):
            if recipe.stem not in given.get("recipes", [recipe.stem]):
                continue
            origin, way = given.get("trained_as"), given.get("suggest")
            run = Run(
                recipe,
                variant,
                folder=_folder(grid, recipe, variant),
                results=Path(grid["results"], recipe.stem, variant),
                made_by=_hash_of(grid, recipe, variant),
                trained_as=_folder(grid, recipe, origin) if origin is not None else None,
                suggest=("--way", way, *given.get("suggest_options", []))
                if way is not None
                else (),
                tune=given.get("tune"),
                settings={
                    **_settings(grid, recipe),
                    **(_own_settings(grid, recipe, origin) if origin is not None else {}),
                    **_own_settings(grid, recipe, variant),
                },
            )
            if given.get("by_seed", False):
                yield from (_for_seed(run, seed) for seed in range(seeds or grid["seeds"]))
            else:
                yield run


def _folder(grid: Mapping[str, Any], recipe: Path, variant: str) -> Path:
    return Path(grid["output"], recipe.stem, f"{variant}-{_hash_of(grid, recipe, variant)}")


def _hash_of(grid: Mapping[str, Any], recipe: Path, variant: str) -> str:
    """Of the recipe and all that the grid says of a variant of it."""
    given = dict(grid["variants"][variant])
    given.pop("recipes", None)
    given["by_recipe"] = given.get("by_recipe", {}).get(recipe.stem, {})
    origin = given.get("trained_as")
    text = yaml.safe_load(recipe.read_text(encoding="utf-8")) if recipe.is_file() else None
    parts = (text, _settings(grid, recipe), given, origin and _hash_of(grid, recipe, origin))
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:8]


def _settings(grid: Mapping[str, Any], recipe: Path) -> dict[str, Any]:
    """What a grid sets for all variants of a recipe."""
    return {**grid["settings"], **grid.get("by_recipe", {}).get(recipe.stem, {})}


def _own_settings(grid: Mapping[str, Any], recipe: Path, variant: str) -> dict[str, Any]:
    """What a variant sets for a recipe."""
    given = grid["variants"][variant]
    by_recipe = given.get("by_recipe", {}).get(recipe.stem, {})
    own = {key: value for key, value in given.items() if key not in NO_SETTINGS}
    return {**own, **by_recipe}


def _for_seed(run: Run, seed: int) -> Run:
    settings = {
        key: value.replace("{seed}", str(seed)) if isinstance(value, str) else value
        for key, value in run.settings.items()
    }
    return replace(
        run,
        settings=settings,
        folder=run.folder.with_name(f"{run.folder.name}-seed-{seed}"),
        results=run.results.with_name(f"{run.variant}-seed-{seed}"),
        seed=seed,
    )


def run_all(runs: list[Run], seeds: int, jobs: int) -> int:
    """Do what is not done.

    Returns:
        1 if a run failed, else 0; the others go on.
    """
    threads = max(1, count_cores() // jobs)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}

    def do(run: Run, own: list[int]) -> bool:
        started = time.perf_counter()
        state = "done"
        for command in run.commands(own):
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode != 0:
                state = f"FAILED: {done.stderr.strip()[-400:]}"
                break
        run.keep(seeds)
        minutes = (time.perf_counter() - started) / 60
        print(f"{run.folder}: {state}, {minutes:.1f} minutes", flush=True)
        return state == "done"

    for run in runs:
        run.keep(seeds)
    left = {run.folder: run.left(seeds) for run in runs}
    # What takes adapters of another variant needs them here, and comes when they are trained.
    for run in runs:
        if run.trained_as is not None and left[run.folder]:
            [origin] = [other for other in runs if other.folder == run.trained_as]
            if not origin.is_trained_here(left[run.folder]):
                left[origin.folder] = sorted({*left[origin.folder], *left[run.folder]})
    found: list[bool] = []
    with ThreadPoolExecutor(jobs) as pool:
        for takes in (False, True):
            turn = [r for r in runs if left[r.folder] and (r.trained_as is not None) == takes]
            found += pool.map(do, turn, [left[run.folder] for run in turn])
    return int(not all(found))


def write_tables(runs: list[Run], seeds: int, reference_name: str, *, first_seed: int = 0) -> None:
    """Print a table for each recipe, of all that is kept.

    Args:
        runs: The runs.
        seeds: How many seeds, the first ones.
        reference_name: The variant the others are compared with.
        first_seed: The first of them that is shown.
    """
    for run in runs:
        run.keep(seeds)
    for recipe in dict.fromkeys(run.recipe for run in runs):
        cells: dict[str, dict[int, KeptCell]] = {}
        for run in (run for run in runs if run.recipe == recipe):
            of_variant = cells.setdefault(run.variant, {})
            for seed in run.own_seeds(seeds):
                if seed >= first_seed and (cell := run.kept(seed)) is not None:
                    of_variant[seed] = cell
        print(f"\n{recipe.stem}, differences from {reference_name}:\n")
        print(make_table(cells, reference_name))


if __name__ == "__main__":
    sys.exit(main())
