"""The answers of one cell's test rows, by transformers or by vLLM."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from levertune.anchors.anchor import Example
from levertune.errors import DataError
from levertune.models.load import max_positions
from levertune.progress import Progress
from levertune.recipes.recipe import Recipe
from levertune.runs.workspace import Workspace

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from levertune.evaluation.generation import Generation


def require_backend(recipe: Recipe) -> None:
    """Refuse a backend that is not there, before anything is trained.

    Args:
        recipe: The recipe.

    Raises:
        RecipeError: If vLLM is asked for and not installed.
    """
    if recipe.evaluation.backend == "vllm":
        from levertune.evaluation.vllm_backend import require_vllm

        require_vllm(os.environ)


def answer_rows(
    recipe: Recipe,
    workspace: Workspace,
    model: PreTrainedModel,
    examples: Sequence[Example],
    *,
    adapter: Path | None,
    progress: Progress,
    label: str,
) -> list[Generation]:
    """Answer test rows greedily, by the recipe's `evaluation.backend`.

    Args:
        recipe: The recipe, resolved.
        workspace: The model's tokenizer, files and hardware.
        model: The model, with its adapter.
        examples: The rows as the model sees them.
        adapter: The adapter's folder; None for the base model.
        progress: Where to show progress.
        label: Name of the stage.

    Returns:
        One generation a row, in order.

    Raises:
        DataError: If a test row is longer than the model can read.
        RunError: If vLLM is asked for and fails.
    """
    from levertune.evaluation.generation import generate_completions, read_answers

    settings, tokenizer = recipe.evaluation, workspace.tokenizer
    max_new_tokens = int(settings.max_new_tokens)
    prompts = [tokenizer.encode_prompt(example) for example in examples]
    _require_room(model, examples, prompts, max_new_tokens)
    if settings.backend == "transformers":
        return generate_completions(
            model,
            tokenizer,
            examples,
            hardware=workspace.hardware,
            max_new_tokens=max_new_tokens,
            batch_size=int(settings.batch_size),
            progress=progress,
            label=label,
        )
    from levertune.evaluation.vllm_backend import continue_with_vllm

    with progress.stage(label, len(examples), "row") as stage:
        continued = continue_with_vllm(
            prompts,
            model=workspace.location.folder,
            adapter=adapter,
            hardware=workspace.hardware,
            stop_ids=tokenizer.stop_ids,
            max_new_tokens=max_new_tokens,
        )
        stage.advance(len(examples))
    return read_answers(examples, continued, tokenizer)


def _require_room(
    model: PreTrainedModel,
    examples: Sequence[Example],
    prompts: Sequence[Sequence[int]],
    new_tokens: int,
) -> None:
    limit = max_positions(model)
    if limit is None:
        return
    for example, prompt in zip(examples, prompts, strict=True):
        length = len(prompt) + new_tokens
        if length > limit:
            raise DataError(
                f"test row {example.id!r}: prompt and answer need {length} tokens; the model reads "
                f"{limit}. Shorten the row or lower evaluation.max_new_tokens."
            )
