"""Which general rows a cell trains on, and which are held out of all training."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from levertune.data.draws import draw_rows
from levertune.data.general import is_self_written
from levertune.data.records import Record, RecordFile
from levertune.recipes.recipe import Recipe

HELDOUT_SEED = 1
"""Held-out rows are the same for every seed and arm of a run."""


def hold_out_general(
    files: Sequence[RecordFile], num_rows: int
) -> tuple[tuple[Record, ...], dict[str, list[Record]]]:
    """Set general rows aside that no arm trains on.

    Never more than a fifth of what there is, so that a small pool stays a pool.

    Args:
        files: The general sources.
        num_rows: Rows wanted.

    Returns:
        The rows held out, and the rows left by source.
    """
    pool = [record for file in files for record in file.records]
    wanted = min(num_rows, len(pool) // 5)
    heldout = draw_rows(pool, wanted, seed=HELDOUT_SEED, stratified=True) if wanted else []
    taken = {(r.source, r.id) for r in heldout}
    left: dict[str, list[Record]] = {}
    for record in pool:
        if (record.source, record.id) not in taken:
            left.setdefault(record.source, []).append(record)
    return tuple(heldout), left


def draw_general(
    recipe: Recipe,
    pool: dict[str, list[Record]],
    *,
    num_rows: int,
    seed: int,
    count_tokens: Callable[[Record], int],
) -> list[Record]:
    """Draw the general rows of one cell.

    Sources with `rows` or `tokens` of their own give exactly that (or all they have); the rest is
    shared out by weight, and what a small source cannot give the others do.

    Args:
        recipe: The recipe, resolved.
        pool: Rows by source.
        num_rows: Rows in all, unless `general.tokens` is set.
        seed: Seed of the draw.
        count_tokens: Tokens of a row, for limits in tokens.

    Returns:
        The rows, each at most once.
    """
    is_stratified = recipe.general.select == "stratified"
    settings = {source.source_name: source for source in recipe.general.sources}
    pool = _group_by_source(recipe, pool)

    def ordered(name: str) -> list[Record]:
        return draw_rows(pool[name], len(pool[name]), seed=seed, stratified=is_stratified)

    chosen: list[Record] = []
    shared: dict[str, float] = {}
    for name in pool:
        source = settings.get(name)
        if source is not None and source.rows is not None:
            chosen += ordered(name)[: source.rows]
        elif source is not None and source.tokens is not None:
            chosen += _up_to_tokens(ordered(name), source.tokens, count_tokens)
        else:
            shared[name] = source.weight if source is not None else 1.0
    if recipe.general.tokens is not None:
        for name, limit in _token_shares(recipe.general.tokens, shared).items():
            chosen += _up_to_tokens(ordered(name), limit, count_tokens)
        return chosen
    counts = share_out(max(0, num_rows - len(chosen)), shared, {n: len(pool[n]) for n in shared})
    for name, count in counts.items():
        chosen += ordered(name)[:count]
    return chosen


def share_out(total: int, weights: dict[str, float], available: dict[str, int]) -> dict[str, int]:
    """Split a number of rows by weight, nobody giving more than there is.

    Args:
        total: Rows wanted.
        weights: Weight by source; one without weight gives nothing.
        available: Rows by source.

    Returns:
        Rows by source; their sum is `total`, or everything there is.
    """
    counts = dict.fromkeys(weights, 0)
    weights = {name: weight for name, weight in weights.items() if weight > 0}
    left = min(total, sum(available[name] for name in weights))
    while left > 0:
        open_names = [name for name in weights if counts[name] < available[name]]
        mass = sum(weights[name] for name in open_names)
        shares = {name: left * weights[name] / mass for name in open_names}
        grown = {
            name: min(int(shares[name]), available[name] - counts[name]) for name in open_names
        }
        if not any(grown.values()):  # less than one row each: the largest remainders get them
            for name in sorted(open_names, key=lambda n: -shares[n])[:left]:
                grown[name] = 1
        for name, rows in grown.items():
            counts[name] += rows
            left -= rows
    return counts


def describe_shortfalls(
    recipe: Recipe,
    pool: dict[str, list[Record]],
    *,
    count_tokens: Callable[[Record], int] | None = None,
) -> list[str]:
    """Say where more general rows are asked for than there are; all there are is then taken.

    Args:
        recipe: The recipe.
        pool: Rows by source: what the leaks and the rows held out have left.
        count_tokens: Tokens of a row; None to leave limits in tokens alone.
    """
    groups = _group_by_source(recipe, pool)
    said = []
    shared = {}
    wanted, available = recipe.general.rows, sum(map(len, pool.values()))
    unwritten = [
        s.source_name
        for s in recipe.general.sources
        if s.is_used and is_self_written(s.path) and s.source_name not in groups
    ]
    if isinstance(wanted, int) and wanted > available and not unwritten:
        said.append(f"{wanted} general rows were asked for; there are {available}.")
    for source in recipe.general.sources:
        name = source.source_name
        rows = groups.get(name, [])
        if name in unwritten:
            continue
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
        for name, limit in _token_shares(recipe.general.tokens, shared).items():
            said += _token_shortfall("general.tokens", name, limit, groups[name], count_tokens)
    return said


def _token_shortfall(
    key: str,
    name: str,
    wanted: float,
    rows: Sequence[Record],
    count_tokens: Callable[[Record], int] | None,
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


def _token_shares(tokens: int, weights: dict[str, float]) -> dict[str, float]:
    total = sum(weights.values())
    return {name: tokens * weight / total for name, weight in weights.items() if weight > 0}


def _group_by_source(recipe: Recipe, pool: dict[str, list[Record]]) -> dict[str, list[Record]]:
    """Rows by the recipe's sources: the files of a folder, called NAME/FILE, belong to one."""
    names = {source.source_name for source in recipe.general.sources}
    groups: dict[str, list[Record]] = {}
    for file, rows in pool.items():
        owners = [name for name in names if file == name or file.startswith(f"{name}/")]
        groups.setdefault(max(owners, key=len, default=file), []).extend(rows)
    return groups


def _up_to_tokens(
    rows: Sequence[Record], limit: float, count_tokens: Callable[[Record], int]
) -> list[Record]:
    taken: list[Record] = []
    total = 0
    for record in rows:
        total += count_tokens(record)
        if total > limit:
            break
        taken.append(record)
    return taken
