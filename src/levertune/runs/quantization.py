"""Which recipes may ask for a base model in 4 bits."""

from __future__ import annotations

from collections.abc import Mapping

from levertune.errors import RecipeError
from levertune.models.quantization import QUANTIZATION_KEY, require_quantizer
from levertune.recipes.recipe import Recipe
from levertune.training.processes import count_processes
from levertune.training.sharded import is_asked_for


def require_quantization(recipe: Recipe, environment: Mapping[str, str]) -> None:
    """Refuse `model.quantization` where it cannot be had, before anything is written.

    Args:
        recipe: The recipe.
        environment: The process's environment.

    Raises:
        ModelError: If bitsandbytes is not installed.
        RecipeError: If vLLM is to answer or FSDP to spread the model.
    """
    quantization = recipe.model.quantization
    if quantization is None:
        return
    where = f"{QUANTIZATION_KEY}: is {quantization}"
    if recipe.evaluation.backend == "vllm":
        raise RecipeError(
            f"{where}, and evaluation.backend is vllm, which would answer with another base, its "
            "weights as they are on disk. Set evaluation.backend=transformers, or "
            f"{QUANTIZATION_KEY}=null."
        )
    if count_processes(environment) > 1 and is_asked_for(environment):
        raise RecipeError(
            f"{where}, and FSDP spreads no weights in 4 bits. Train without FSDP, or set "
            f"{QUANTIZATION_KEY}=null."
        )
    require_quantizer(quantization, QUANTIZATION_KEY)
