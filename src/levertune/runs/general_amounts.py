"""How many general rows there are to take, source by source, and where that is not what was asked.

Sources with `rows` or `tokens` of their own give that much, whatever `general.rows` says; the rest
of it comes from all other sources together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from levertune.data.draws import draw_rows
from levertune.data.general import is_self_written
from levertune.data.records import Record
from levertune.recipes.recipe import Recipe

Count = Callable[[Record], int]


@dataclass(frozen=True, slots=True)
class Drawable:
    """The numbers of general rows that a mixture can have, beside none at all.

    Args:
        fewest: Rows that sources give by `rows` or `tokens` of their own.
        most: Those, and all rows of the other sources.
    """

    fewest: int
    most: int


def group_by_source(recipe: Recipe, pool: dict[str, list[Record]]) -> dict[str, list[Record]]:
    """Rows by the recipe's sources: the files of a folder, called NAME/FILE, belong to one.

    Args:
        recipe: The recipe.
        pool: Rows by file.
    """
    names = {source.source_name for source in recipe.general.sources}
    groups: dict[str, list[Record]] = {}
    for file, rows in pool.items():
        owners = [name for name in names if file == name or file.startswith(f"{name}/")]
        groups.setdefault(max(owners, key=len, default=file), []).extend(rows)
    return groups


def drawable(
    recipe: Recipe, pool: dict[str, list[Record]], *, count_tokens: Count | None = None
) -> Drawable:
    """How many general rows a mixture can have, with all limits of the sources applied.

    How many rows a limit in tokens lets in depends on which are taken; they are counted on one
    draw.

    Args:
        recipe: The recipe.
        pool: Rows by file, held-out and leaking ones taken away.
        count_tokens: Tokens of a row; None to take a limit in tokens for none at all.
    """
    fewest = most = 0
    sources = {source.source_name: source for source in recipe.general.sources}
    for name, rows in group_by_source(recipe, pool).items():
        source, here = sources.get(name), len(rows)
        if source is not None and source.rows is not None:
            here = min(source.rows, here)
            fewest += here
        elif source is not None and source.tokens is not None and count_tokens is not None:
            drawn = draw_rows(rows, here, seed=recipe.mixture.seed, stratified=True)
            here = len(up_to_tokens(drawn, source.tokens, count_tokens))
            fewest += here
        most += here
    return Drawable(fewest, most)


def describe_shortfalls(
    recipe: Recipe, pool: dict[str, list[Record]], *, count_tokens: Count | None = None
) -> list[str]:
    """Say where other amounts are taken than were asked for, and how many these are.

    Args:
        recipe: The recipe.
        pool: Rows by file.
        count_tokens: Tokens of a row; None to leave limits in tokens alone.
    """
    groups = group_by_source(recipe, pool)
    said = []
    shared = {}
    for source in recipe.general.sources:
        name = source.source_name
        rows = groups.get(name, [])
        if is_self_written(source.path) and name not in groups:
            continue  # not sampled yet
        if source.rows is not None:
            if source.rows > len(rows):
                said.append(
                    f"general.sources: {source.rows} rows of {name!r} were asked for; there are "
                    f"{len(rows)}."
                )
        elif source.tokens is not None:
            said += _token_shortfall("general.sources", name, source.tokens, rows, count_tokens)
        elif name in groups:
            shared[name] = source.weight
    if recipe.general.tokens is not None:
        for name, limit in token_shares(recipe.general.tokens, shared).items():
            said += _token_shortfall("general.tokens", name, limit, groups[name], count_tokens)
    return said + _row_difference(recipe, pool, groups, count_tokens)


def _row_difference(
    recipe: Recipe,
    pool: dict[str, list[Record]],
    groups: dict[str, list[Record]],
    count_tokens: Count | None,
) -> list[str]:
    """Where `general.rows` is more or less than a mixture can have."""
    wanted = recipe.general.rows
    if not isinstance(wanted, int):
        return []
    used = [source for source in recipe.general.sources if source.is_used]
    found = drawable(recipe, pool, count_tokens=count_tokens)
    is_known = all(s.source_name in groups or not is_self_written(s.path) for s in used)
    if wanted > found.most and is_known:
        limited = any(source.has_own_amount for source in used)
        limits = "with the sources' own `rows` and `tokens` " if limited else ""
        return [f"{wanted} general rows were asked for; {limits}there are {found.most}."]
    if wanted == 0 and found.fewest:
        return [f"general.rows is 0, so that the {found.fewest} rows sources ask for are left out."]
    if wanted < found.fewest:
        return [
            f"{wanted} general rows were asked for; by their own `rows` and `tokens` the sources "
            f"give {found.fewest}, and these are taken."
        ]
    return []


def _token_shortfall(
    key: str, name: str, wanted: float, rows: Sequence[Record], count_tokens: Count | None
) -> list[str]:
    if count_tokens is None:
        return []
    there = 0
    for record in rows:
        there += count_tokens(record)
        if there > wanted:
            return []
    if there == wanted:
        return []
    return [f"{key}: {round(wanted)} tokens of {name!r} were asked for; there are {there}."]


def token_shares(tokens: int, weights: dict[str, float]) -> dict[str, float]:
    """Tokens by source, shared out by weight; a source without weight has no share."""
    total = sum(weights.values())
    return {name: tokens * weight / total for name, weight in weights.items() if weight > 0}


def up_to_tokens(rows: Iterable[Record], limit: float, count_tokens: Count) -> list[Record]:
    """The first rows that hold no more than so many tokens together."""
    taken: list[Record] = []
    total = 0
    for record in rows:
        total += count_tokens(record)
        if total > limit:
            break
        taken.append(record)
    return taken
