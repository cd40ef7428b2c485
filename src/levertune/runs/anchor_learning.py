"""`levertune anchor learn`: train a generator of anchors, as a run of its own pairs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from levertune.anchors.transfer.pairs import Pair, make_pairs
from levertune.errors import RecipeError, RunError
from levertune.progress import Progress
from levertune.recipes.loading import apply_overrides, recipe_from_mapping
from levertune.recipes.recipe import Recipe
from levertune.results.files import write_text_atomically
from levertune.runs.run import RunOutcome, Say, run_recipe

PAIRS_FILE = "pairs.jsonl"
TEST_FILE = "pairs-test.jsonl"
DEFAULT_PAIRS = 600
DEFAULT_FOLDER = "runs/anchor-generator"

_EXPOSURES = 3


def learn_generator(
    folder: str | Path = DEFAULT_FOLDER,
    *,
    num_pairs: int = DEFAULT_PAIRS,
    hold_out: Sequence[str] = (),
    with_pool: bool = True,
    num_test: int = 32,
    seed: int = 0,
    overrides: Sequence[str] = (),
    dry_run: bool = False,
    progress: Progress | None = None,
    say: Say | None = None,
) -> RunOutcome:
    """Write the pairs, and fine-tune a model on them; go on with it if it was interrupted.

    The folder is that of a run with the one arm `sft`: its `best/` is the generator.

    Args:
        folder: The folder.
        num_pairs: Pairs from drawn tasks.
        hold_out: Kinds of task to keep out of training. Tested on are the made-up ones among
            them, or else the pool's.
        with_pool: Whether to add a pair for each entry of the pool that comes along.
        num_test: Pairs of made-up tasks to test on.
        seed: Seed of the tasks and of the training.
        overrides: Settings of the run, as `training.learning_rate=2e-4`.
        dry_run: Say what would be done and how long it would take, then stop. The pairs are
            written, since a run is planned from its rows.
        progress: Where to show progress.
        say: Where to say, before the work starts, what was chosen and how long it will take.

    Returns:
        What came out.

    Raises:
        RecipeError: If a kind, number or setting is wrong.
        RunError: If the folder holds other pairs or another run.
        UserError: If the model cannot be used.
    """
    if seed < 0:
        raise RecipeError(f"--seed: must be at least 0; found {seed}.")
    place = Path(folder)
    if place.is_file():
        raise RunError(f"{place}: is a file. Name a folder with -o.")
    recipe = learning_recipe(place, seed=seed, overrides=overrides)
    pairs = make_pairs(
        num_pairs, hold_out=hold_out, with_pool=with_pool, num_test=num_test, seed=seed
    )
    if pairs.untested and say is not None:
        say(
            f"note: --hold-out keeps {', '.join(pairs.untested)} out of training and does not test "
            "on them: they have no made-up tasks, and other kinds held out have."
        )
    _write_once(place / PAIRS_FILE, pairs.train)
    _write_once(place / TEST_FILE, pairs.test)
    return run_recipe(recipe, dry_run=dry_run, jobs=1, progress=progress, say=say)


def learning_recipe(folder: Path, *, seed: int, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe that a generator is trained by.

    Args:
        folder: The folder of the pairs and of the run.
        seed: Seed of the training.
        overrides: Settings to change.

    Raises:
        RecipeError: If a setting is wrong.
    """
    mapping = {
        "task": {
            "path": str(folder / PAIRS_FILE),
            "test": str(folder / TEST_FILE),
            "exposures": _EXPOSURES,
        },
        "anchor": {"text": None},
        "general": {"sources": [], "rows": 0},
        "training": {"max_length": 2048},
        "evaluation": {"general_heldout": 0, "retention": None},
        "arms": ["sft"],
        "seeds": [seed],
        "output_dir": str(folder),
    }
    return recipe_from_mapping(apply_overrides(mapping, overrides))


def _write_once(path: Path, pairs: Iterable[Pair]) -> None:
    text = "".join(json.dumps(pair.to_json(), ensure_ascii=False) + "\n" for pair in pairs)
    if not path.is_file():
        write_text_atomically(path, text)
    elif path.read_text(encoding="utf-8", errors="replace") != text:
        raise RunError(
            f"{path}: holds other pairs than these; --pairs, --seed, --hold-out, --no-pool or the "
            "version of levertune were others. Give them as before, or name another folder with -o."
        )
