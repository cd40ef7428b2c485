"""Which general rows a cell trains on, and which are held out of all training."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from levertune.data.draws import draw_rows
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

    def ordered(name: str) -> list[Record]:
        return draw_rows(pool[name], len(pool[name]), seed=seed, stratified=is_stratified)

    chosen: list[Record] = []
    shared: dict[str, float] = {}
    for name in pool:
        source = settings.get(name) or settings.get(name.split("/")[0])
        if source is not None and source.rows is not None:
            chosen += ordered(name)[: source.rows]
        elif source is not None and source.tokens is not None:
            chosen += _up_to_tokens(ordered(name), source.tokens, count_tokens)
        else:
            shared[name] = source.weight if source is not None else 1.0
    if recipe.general.tokens is not None:
        total = sum(shared.values())
        for name, weight in shared.items():
            limit = recipe.general.tokens * weight / total
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
        weights: Weight by source.
        available: Rows by source.

    Returns:
        Rows by source; their sum is `total`, or everything there is.
    """
    counts = dict.fromkeys(weights, 0)
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
