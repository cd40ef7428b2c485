"""levertune from Python: one function that does what `levertune run` does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from levertune.errors import RecipeError, RunError
from levertune.progress import Progress
from levertune.recipes.loading import load_recipe, recipe_for_task
from levertune.results.schema import RunResult, read_result

if TYPE_CHECKING:
    import pandas as pd

    from levertune.serving.adapter import Assistant


@dataclass(frozen=True)
class Run:
    """A finished run.

    Args:
        folder: The run folder.
        trust_remote_code: Whether `best` may run code that came with the base model; as the recipe
            says, where `run` made this, and else no.
    """

    folder: Path
    trust_remote_code: bool = False

    @cached_property
    def result(self) -> RunResult:
        """Everything `result.json` holds."""
        return read_result(self.folder)

    @property
    def verdict(self) -> str:
        """Whether leverage paid, in one sentence with its interval."""
        verdict = self.result.verdict
        return (
            verdict.sentence
            if verdict
            else "No verdict: nothing was compared, or this was a quick look."
        )

    @property
    def report(self) -> Path:
        """The page that shows the run."""
        return self.folder / "report.html"

    @property
    def table(self) -> pd.DataFrame:
        """One row a cell: arm, seed, fold, scores, likelihoods, tokens, time."""
        from levertune.results.load import load_results

        return load_results(self.folder)

    @cached_property
    def best(self) -> Assistant:
        """The best adapter, its anchor applied: `run.best.generate("…")`.

        Raises:
            RunError: If the run kept none (as with `quick`).
        """
        if not (self.folder / "best").is_dir():
            raise RunError(f"{self.folder}: has no best/ folder. Run it without `quick`.")
        from levertune.serving.adapter import Assistant

        # The adapter knows a local base model by its folder's name alone, the recipe by its path.
        base = load_recipe(self.folder / "recipe.yaml").model.model_name_or_path
        return Assistant.load(
            self.folder / "best", base=base, trust_remote_code=self.trust_remote_code
        )


def run(
    recipe: str | Path | None = None,
    *,
    task: str | Path | None = None,
    seeds: int | list[int] | None = None,
    quick: bool = False,
    jobs: int | str = "auto",
    num_processes: int | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Run:
    """Run a recipe, or the defaults on a task file; go on with it if it was interrupted.

    Args:
        recipe: A recipe file.
        task: Task rows, in place of a recipe: everything else is defaulted.
        seeds: Seeds, or how many.
        quick: First seed and first fold only.
        jobs: Arms, seeds and folds to work on at once; `auto` as cores and memory allow.
        num_processes: Processes of this machine that share each training; as many as pay by
            default.
        progress: Where to show progress; nothing is shown by default.
        **settings: Further settings by dotted key, as `**{"training.learning_rate": 1e-4}`.

    Returns:
        The run.

    Raises:
        UserError: If something named cannot be used.
    """
    from levertune.runs.run import run_recipe

    if (recipe is None) == (task is None):
        raise RecipeError("levertune.run: takes a recipe file or task=FILE. Give one of them.")
    if seeds is not None:
        settings["seeds"] = seeds
    overrides = [f"{key}={_as_yaml(value)}" for key, value in settings.items()]
    if recipe is not None:
        loaded = load_recipe(recipe, overrides)
    else:
        loaded = recipe_for_task(str(task), overrides)
    outcome = run_recipe(
        loaded, quick=quick, jobs=jobs, num_processes=num_processes, progress=progress
    )
    folder = Path(outcome.run_dir or loaded.output_dir)
    return Run(folder, trust_remote_code=loaded.model.trust_remote_code)


def _as_yaml(value: object) -> str:
    """A setting as an override spells it; JSON is YAML but for the escapes of rare characters."""
    return json.dumps(value, ensure_ascii=False, default=str)
