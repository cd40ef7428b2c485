"""A recipe that may be written down: the URLs in it without passwords and signatures."""

from __future__ import annotations

from levertune.recipes.recipe import Recipe
from levertune.results.url_secrets import without_url_secrets


def without_secrets(recipe: Recipe) -> Recipe:
    """The recipe as it may be saved, shown and compared; rows and pools must be fetched before.

    Args:
        recipe: The recipe as the user gave it.

    Returns:
        The same recipe where no URL holds a secret.
    """
    sources = tuple(
        source.model_copy(update={"path": without_url_secrets(source.path)})
        for source in recipe.general.sources
    )
    general = recipe.general.model_copy(update={"sources": sources})
    pools = without_url_secrets(recipe.anchor.pools)
    anchor = recipe.anchor.model_copy(update={"pools": pools})
    retention = without_url_secrets(recipe.evaluation.retention)
    evaluation = recipe.evaluation.model_copy(update={"retention": retention})
    return recipe.model_copy(
        update={"anchor": anchor, "general": general, "evaluation": evaluation}
    )
