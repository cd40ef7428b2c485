"""General sources that the base model writes itself: sampled before the sources are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from levertune.data.general import is_self_written, read_general
from levertune.data.reading_keys import source_keys
from levertune.data.records import Record
from levertune.models.rendering import ChatTokenizer
from levertune.progress import Progress
from levertune.recipes.general_section import GeneralSource
from levertune.recipes.recipe import Recipe
from levertune.recipes.values import SELF_ANSWERS, SELF_ROWS
from levertune.results.url_secrets import without_url_secrets
from levertune.runs.workspace import Workspace
from levertune.selfdata.write_rows import SelfWriter, SelfWritten, require_chat_template

if TYPE_CHECKING:
    from levertune.selfdata.sampling import Sampler


def write_self_sources(
    recipe: Recipe, workspace: Workspace, *, progress: Progress | None = None
) -> dict[str, SelfWritten]:
    """Let the base model write what the recipe asks for, unless it is in the cache.

    Args:
        recipe: The recipe.
        workspace: The model side; the model is loaded only if something must be sampled.
        progress: Where to show progress.

    Returns:
        The rows written, by the name of their source.

    Raises:
        UserError: If the model has no chat template, a file of prompts cannot be read, or nothing
            the model wrote can be used.
    """
    sources = self_sources(recipe)
    if not sources:
        return {}
    writer = SelfWriter(
        workspace.tokenizer,
        (workspace.model_hash, workspace.tokenizer_hash),
        lambda: make_sampler(workspace),
        progress=progress,
    )
    written = {}
    for source in sources:
        if source.path.startswith(SELF_ROWS):
            rows = writer.write_rows(int(source.path.removeprefix(SELF_ROWS)))
        else:
            prompts = _read_prompts(recipe, source, progress)
            rows = writer.answer(prompts, str(without_url_secrets(source.path)))
        written[source.source_name] = rows
    return written


def self_sources(recipe: Recipe) -> list[GeneralSource]:
    """The sources in use that the base model writes."""
    return [s for s in recipe.general.sources if s.is_used and is_self_written(s.path)]


def check_self_sources(
    recipe: Recipe, tokenizer: ChatTokenizer, *, progress: Progress | None = None
) -> list[str]:
    """Refuse what writing the sources would, but sample nothing.

    Args:
        recipe: The recipe.
        tokenizer: The model's tokenizer.
        progress: Where to show the progress of downloads.

    Returns:
        Which sources are not there before a run, for those who look at the rows only.

    Raises:
        UserError: If the model has no chat template, or a file of prompts cannot be read.
    """
    sources = self_sources(recipe)
    if sources:
        require_chat_template(tokenizer)
    for source in sources:
        if source.path.startswith(SELF_ANSWERS):
            _read_prompts(recipe, source, progress)
    return [
        f"{without_url_secrets(source.path)}: the base model writes these rows when a run starts; "
        "they are not sampled and not looked at here."
        for source in sources
    ]


def make_sampler(workspace: Workspace) -> Sampler:
    """The base model, ready to write."""
    from levertune.selfdata.sampling import ModelSampler

    return ModelSampler(workspace.base(), workspace.tokenizer, workspace.hardware)


def _read_prompts(
    recipe: Recipe, source: GeneralSource, progress: Progress | None
) -> Sequence[Record]:
    files = read_general(
        source.path.removeprefix(SELF_ANSWERS),
        prompt=source.prompt,
        encoding=source.encoding,
        max_rows=source.max_rows,
        require_completion=False,
        seed=recipe.mixture.seed,
        progress=progress,
        keys=source_keys(recipe.general.sources.index(source)),
    )
    if len(files) == 1:
        return files[0].records
    return [
        replace(record, id=f"{record.source}/{record.id}")
        for file in files
        for record in file.records
    ]
