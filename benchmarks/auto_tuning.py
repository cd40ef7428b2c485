"""What stands behind the constants of `auto` that need trainings (levertune/settings.py).

Run:
    python benchmarks/auto_tuning.py run [--tasks ticket_codes ...] [--rows 20 50 200] [--what ...]
    python benchmarks/auto_tuning.py table

For shipped tasks cut to a number of rows, `levertune tune` tries values around what `auto` would
set, one setting at a time, by the likelihood of training rows left out; no test row is seen. What
is done is kept in `--output`, so a run that was killed goes on, and `table` prints what there is:
half an hour to hours on two cores for each task, number of rows and setting.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from levertune.data.embedded.catalog import EMBEDDED_TASKS
from levertune.recipes.loading import recipe_from_mapping
from levertune.recipes.recipe import Recipe
from levertune.results.tuning import TUNING_FILE, Candidate, TunedChoice, read_tuning
from levertune.settings import choose_exposures, choose_general_rows, choose_learning_rate
from levertune.tuning.candidates import KEYS, What
from levertune.tuning.tune import tune_recipe

ROWS = (20, 50, 200)
WHAT: tuple[What, ...] = ("learning_rate", "exposures", "general")
PARAMETERS = 135_000_000


@dataclass(frozen=True)
class Case:
    """One tuning.

    Args:
        task: Name of a shipped task.
        rows: Task rows.
        what: What is tuned.
        output: Folder of all tunings.
    """

    task: str
    rows: int
    what: What
    output: Path

    @property
    def folder(self) -> Path:
        """Its run folder."""
        return self.output / f"{self.task}-{self.rows}-{self.what}"

    @property
    def arms(self) -> list[str]:
        """The arms it is tuned for."""
        return ["tell"] if self.what == "general" else ["tell", "sft"]

    @property
    def recipe(self) -> Recipe:
        """The task, cut to its rows, and `auto` for the rest."""
        return recipe_from_mapping(
            {
                "version": 1,
                "task": {"path": f"embedded:{self.task}", "subset": self.rows},
                "arms": ["sft", "tell"],
                "seeds": [0],
                "output_dir": str(self.folder),
            }
        )

    @property
    def automatic(self) -> float:
        """What `auto` sets here."""
        if self.what == "learning_rate":
            return choose_learning_rate(PARAMETERS)
        if self.what == "exposures":
            return choose_exposures(self.rows)
        return choose_general_rows(self.rows, sys.maxsize, "cpu")[0] / self.rows


def main() -> None:
    """Tune what is not tuned, or print what is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("verb", choices=("run", "table"))
    parser.add_argument("--tasks", nargs="+", choices=EMBEDDED_TASKS, default=EMBEDDED_TASKS)
    parser.add_argument("--rows", nargs="+", type=int, default=ROWS)
    parser.add_argument("--what", nargs="+", choices=WHAT, default=WHAT)
    parser.add_argument("--output", type=Path, default=Path("runs/auto_tuning"))
    parser.add_argument("--jobs", default="auto", help="trials at once, or auto")
    args = parser.parse_args()
    cases = [
        Case(task, rows, what, args.output)
        for rows in args.rows
        for what in args.what
        for task in args.tasks
    ]
    if args.verb == "run":
        jobs = args.jobs if args.jobs == "auto" else int(args.jobs)
        for case in cases:
            tune(case, jobs)
    print("\n".join(table(cases)))


def tune(case: Case, jobs: int | str) -> None:
    """Tune, unless it was done."""
    if (case.folder / TUNING_FILE).is_file():
        return
    print(f"{case.folder.name}", flush=True)
    tune_recipe(
        case.recipe,
        what=[case.what],
        arms=case.arms,
        jobs=jobs,
        say=lambda line: print(f"  {line}", flush=True),
    )


def table(cases: Sequence[Case]) -> Iterator[str]:
    """A row for each tuning and arm: what `auto` sets, what was chosen, every candidate."""
    yield "| task | rows | arm | setting | auto | chosen | NLL by value (against the chosen, se) |"
    yield "| --- | ---: | --- | --- | ---: | ---: | --- |"
    for case in cases:
        tuning = read_tuning(case.folder)
        for choice in tuning.choices if tuning is not None else ():
            yield _row(case, choice)


def _row(case: Case, choice: TunedChoice) -> str:
    by_value = sorted(choice.candidates, key=lambda candidate: _value(case, candidate))
    found = ", ".join(
        f"{_value(case, candidate):g}: {_figure(candidate)}" for candidate in by_value
    )
    chosen = _value(case, choice.candidates[0])
    return (
        f"| {case.task} | {case.rows} | {choice.arm} | {case.what} | {case.automatic:g} | "
        f"{chosen:g} | {found} |"
    )


def _value(case: Case, candidate: Candidate) -> float:
    """What was tried; general rows by task row, as folds have fewer of both."""
    if case.what == "general":
        return round(candidate.general_per_task_row, 1)
    (key,) = KEYS[case.what]
    return float(candidate.settings[key])


def _figure(candidate: Candidate) -> str:
    if candidate.nll is None:
        return "failed"
    figure = f"{candidate.nll:.3f}"
    if candidate.difference is not None and candidate.difference_se is not None:
        figure += f" ({candidate.difference:+.3f}, {candidate.difference_se:.3f})"
    return figure


if __name__ == "__main__":
    main()
