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
from levertune.errors import DataError
from levertune.recipes.recipe import Recipe
from levertune.runs.selectors import DRAWS
from levertune.selection.selection import Budget

Count = Callable[[Record], int]
"""Tokens of a row; 0 for one that is not trained on, being too long or holding a control token."""


@dataclass(frozen=True, slots=True)
class Drawable:
    """The numbers of general rows that a mixture can have, beside none at all.

    Args:
        fewest: Rows that sources give by `rows` or `tokens` of their own.
        most: Those, and all rows of the other sources.
    """

    fewest: int
    most: int


@dataclass(frozen=True, slots=True)
class _TokenLimit:
    """A limit in tokens and the rows it is for.

    Args:
        key: The recipe key that sets it.
        of: Whose rows they are, as ` of 'a'`; empty where several sources are one pool.
        tokens: The limit.
        rows: The rows.
    """

    key: str
    of: str
    tokens: float
    rows: Sequence[Record]

    @property
    def asked(self) -> str:
        """What was asked for, in words."""
        return f"{round(self.tokens)} tokens{self.of} were asked for"


def owning_sources(recipe: Recipe, files: Iterable[str]) -> dict[str, str]:
    """The recipe's source of each file: the files of a folder, called NAME/FILE, belong to one.

    Args:
        recipe: The recipe.
        files: Names of files, as their rows carry them.
    """
    names = {source.source_name for source in recipe.general.sources}
    found = {}
    for file in files:
        owners = [name for name in names if file == name or file.startswith(f"{name}/")]
        found[file] = max(owners, key=len, default=file)
    return found


def group_by_source(recipe: Recipe, pool: dict[str, list[Record]]) -> dict[str, list[Record]]:
    """Rows by the recipe's sources.

    Args:
        recipe: The recipe.
        pool: Rows by file.
    """
    groups: dict[str, list[Record]] = {}
    for file, owner in owning_sources(recipe, pool).items():
        groups.setdefault(owner, []).extend(pool[file])
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
    for source in recipe.general.sources:
        name = source.source_name
        rows = groups.get(name, [])
        if is_self_written(source.path) and name not in groups:
            continue  # not sampled yet
        if source.rows is not None and source.rows > len(rows):
            said.append(
                f"general.sources: {source.rows} rows of {name!r} were asked for; there are "
                f"{len(rows)}."
            )
    if count_tokens is not None:
        for limit in _token_limits(recipe, groups):
            said += _token_shortfall(recipe, limit, count_tokens)
    return said + _row_difference(recipe, pool, groups, count_tokens)


def require_room(recipe: Recipe, pool: dict[str, list[Record]], *, count_tokens: Count) -> None:
    """Refuse a limit in tokens that no row fits: nothing would be taken.

    A source whose share of `general.tokens` no row fits is passed over where another's gives rows.

    Args:
        recipe: The recipe.
        pool: Rows by file.
        count_tokens: Tokens of a row.

    Raises:
        DataError: If no row fits, or none can be trained on.
    """
    if recipe.general.rows == 0:
        return
    groups = group_by_source(recipe, pool)
    shares = []
    for limit in _token_limits(recipe, groups):
        if limit.key == "general.tokens":
            shares.append(limit)
        else:
            _require_a_row([limit], count_tokens)
    is_known = all(
        source.source_name in groups or not is_self_written(source.path)
        for source in recipe.general.sources
        if source.is_used and not source.has_own_amount
    )
    if is_known:
        _require_a_row(shares, count_tokens)


def describe_drawn(
    recipe: Recipe, pool: dict[str, list[Record]], drawn: Iterable[Record], *, count_tokens: Count
) -> list[str]:
    """Say where a draw ended with much less than a limit in tokens, though there are more rows.

    Args:
        recipe: The recipe.
        pool: Rows by file.
        drawn: The rows drawn.
        count_tokens: Tokens of a row.
    """
    taken = {(record.source, record.id) for record in drawn}
    said = []
    for limit in _token_limits(recipe, group_by_source(recipe, pool)):
        rows = [record for record in limit.rows if (record.source, record.id) in taken]
        total = sum(count_tokens(record) for record in rows)
        if len(rows) < len(limit.rows) and Budget(limit.tokens).is_short(total):
            said.append(
                f"{limit.asked}; {len(rows):,} of {len(limit.rows):,} rows were drawn, with "
                f"{total:,} tokens: the next did not fit."
            )
    return said


def _token_limits(recipe: Recipe, groups: dict[str, list[Record]]) -> list[_TokenLimit]:
    """The limits in tokens, each with the rows it is for."""
    limits = []
    shared: dict[str, float] = {}
    for source in recipe.general.sources:
        name = source.source_name
        if name not in groups and is_self_written(source.path):
            continue  # not sampled yet
        rows = groups.get(name, [])
        if source.tokens is not None:
            limits.append(_TokenLimit("general.sources", f" of {name!r}", source.tokens, rows))
        elif name in groups and source.rows is None and source.weight > 0:
            shared[name] = source.weight
    tokens = recipe.general.tokens
    if tokens is None or not shared:
        return limits
    if recipe.general.select in DRAWS:
        for name, share in token_shares(tokens, shared).items():
            limits.append(_TokenLimit("general.tokens", f" of {name!r}", share, groups[name]))
    else:  # the nearest rows whatever their source
        of = f" of {next(iter(shared))!r}" if len(shared) == 1 else ""
        pooled = [record for name in shared for record in groups[name]]
        limits.append(_TokenLimit("general.tokens", of, tokens, pooled))
    return limits


def _require_a_row(limits: Sequence[_TokenLimit], count_tokens: Count) -> None:
    """Refuse limits if no row fits any of them."""
    shortest = []
    for limit in limits:
        sizes = []
        for record in limit.rows:
            size = count_tokens(record)
            if 0 < size <= limit.tokens:
                return
            sizes += [size] if size else []
        shortest += [(min(sizes), limit)] if sizes else []
    if not shortest:
        for limit in limits:
            if limit.rows:
                raise DataError(
                    f"{limit.key}: {limit.asked}, and none of the {len(limit.rows)} rows is within "
                    "training.max_length. Raise it, or name other rows."
                )
        return
    size, limit = min(shortest, key=lambda found: found[0] / found[1].tokens)
    raise DataError(
        f"{limit.key}: {limit.asked}, and no row has so few; found {size} in the shortest. Ask for "
        "more tokens, or for a number of rows."
    )


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


def _token_shortfall(recipe: Recipe, limit: _TokenLimit, count_tokens: Count) -> list[str]:
    there = 0
    for record in limit.rows:
        there += count_tokens(record)
        if there > limit.tokens:
            break
    if there < limit.tokens:
        return [f"{limit.key}: {limit.asked}; there are {there}."]
    if there == limit.tokens or recipe.general.select not in DRAWS:
        return []  # a choice says what it took
    drawn = draw_rows(limit.rows, len(limit.rows), seed=recipe.mixture.seed, stratified=True)
    taken = sum(map(count_tokens, up_to_tokens(drawn, limit.tokens, count_tokens)))
    if not Budget(limit.tokens).is_short(taken):
        return []
    return [f"{limit.key}: {limit.asked}; a draw takes {taken}, as the next row does not fit."]


def token_shares(tokens: int, weights: dict[str, float]) -> dict[str, float]:
    """Tokens by source, shared out by weight; a source without weight has no share."""
    total = sum(weights.values())
    return {name: tokens * weight / total for name, weight in weights.items() if weight > 0}


def up_to_tokens(rows: Iterable[Record], limit: float, count_tokens: Count) -> list[Record]:
    """Rows in their order that hold no more than so many tokens together.

    One that does not fit is passed over, or ends the draw: see `Budget`.
    """
    budget = Budget(limit, count_tokens)
    taken: list[Record] = []
    total = 0
    for record in rows:
        size = count_tokens(record)
        if total + size <= limit:
            taken.append(record)
            total += size
        elif budget.ends_at(total):
            break
    return taken
