"""One export, whole: into a folder of its own, by the format's name."""

from __future__ import annotations

import difflib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from levertune.errors import RecipeError, RunError
from levertune.mixtures.export.axolotl import write_axolotl
from levertune.mixtures.export.llama_factory import write_llama_factory
from levertune.mixtures.export.ms_swift import write_ms_swift
from levertune.mixtures.export.plain import write_jsonl, write_parquet_file
from levertune.mixtures.export.readme import Readme, render_readme
from levertune.mixtures.export.rows import Export, require_equal_weights
from levertune.mixtures.export.trl import write_trl
from levertune.results.files import write_text_atomically

Writer = Callable[[Export, Path], Readme]

FORMATS: dict[str, Writer] = {
    "trl": write_trl,
    "llama-factory": write_llama_factory,
    "axolotl": write_axolotl,
    "ms-swift": write_ms_swift,
    "jsonl": write_jsonl,
    "parquet": write_parquet_file,
}
"""What `--to` takes."""

_TRAINERS = {
    "trl": "TRL",
    "llama-factory": "LLaMA-Factory",
    "axolotl": "axolotl",
    "ms-swift": "ms-swift",
}
_SHARED_DIFFERENCES = (
    "The adapter starts from other random numbers than levertune's, so the weights will differ.",
    "A whole step fits one device's batch here. On N devices divide the batch size by N; if memory "
    "is short divide it by M and set `gradient_accumulation_steps: M`. Otherwise a step has other "
    "rows than levertune's.",
    "Nothing but the rows carries the anchor: put it on every prompt at inference too, as above.",
)


def check_format(name: str) -> None:
    """Refuse a format that is not known.

    Args:
        name: What `--to` was given.

    Raises:
        RecipeError: If there is no such format.
    """
    if name not in FORMATS:
        near = difflib.get_close_matches(name, FORMATS, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else "Name one of them."
        raise RecipeError(f"--to {name}: is no format; there are {', '.join(FORMATS)}. {hint}")


def check_loss_weight(name: str, weight: float) -> None:
    """Refuse a loss weight that a format cannot express, before anything is built for it.

    Args:
        name: The format, one of `FORMATS`.
        weight: `general.loss_weight` of a recipe with general rows.

    Raises:
        RecipeError: If it is not 1 and the format is a trainer's.
    """
    if name in _TRAINERS:
        require_equal_weights(weight, _TRAINERS[name])


def check_place(folder: Path, *, force: bool) -> None:
    """Refuse to write over an export that is there.

    Args:
        folder: Where the export is to go.
        force: Whether to replace what is there.

    Raises:
        RunError: If something is there and `force` is not set.
    """
    if folder.exists() and not force:
        raise RunError(f"{folder}: is there already. Replace it with --force, or move it away.")


def write_export(export: Export, name: str, folder: Path, *, force: bool = False) -> Path:
    """Write a mixture for a trainer, whole or not at all.

    Args:
        export: The mixture.
        name: The format, one of `FORMATS`.
        folder: Where it goes; it appears when everything in it is written.
        force: Whether to replace a folder that is there.

    Returns:
        The folder.

    Raises:
        RecipeError: If there is no such format, or it cannot express a setting of the recipe.
        DataError: If it cannot express a row.
        RunError: If the folder is there already, or cannot be written to.
    """
    check_format(name)
    check_place(folder, force=force)
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        readme = FORMATS[name](export, partial)
        if name in _TRAINERS:
            readme = replace(readme, differences=(*readme.differences, *_SHARED_DIFFERENCES))
        text = render_readme(readme, export.facts, export.notes, len(export.rows))
        write_text_atomically(partial / "README.md", text)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return folder
