"""The answers of one cell's test rows, by transformers or by vLLM."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from levertune.anchors.anchor import Example
from levertune.evaluation.room import require_room
from levertune.models.context_length import context_length
from levertune.models.rendering import ChatTokenizer
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
    require_test_rows_fit(recipe, examples, tokenizer, context_length(model))
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
            [tokenizer.encode_prompt(example) for example in examples],
            model=workspace.location.folder,
            adapter=adapter,
            hardware=workspace.hardware,
            stop_ids=tokenizer.stop_ids,
            max_new_tokens=max_new_tokens,
        )
        stage.advance(len(examples))
    return read_answers(examples, continued, tokenizer)


def require_test_rows_fit(
    recipe: Recipe,
    examples: Sequence[Example],
    tokenizer: ChatTokenizer,
    context_length: int | None,
) -> None:
    """Refuse test rows that the model cannot read and answer.

    Args:
        recipe: The recipe; while `evaluation.max_new_tokens` is `auto` one token is counted.
        examples: The test rows as the model sees them.
        tokenizer: The model's tokenizer.
        context_length: Tokens the model reads; None where its configuration does not say.

    Raises:
        DataError: If one is too long, by its id.
    """
    new_tokens = recipe.evaluation.max_new_tokens
    require_room(
        examples,
        tokenizer,
        max_new_tokens=new_tokens if isinstance(new_tokens, int) else 1,
        context_length=context_length,
        called="test row",
        setting="evaluation.max_new_tokens",
    )
