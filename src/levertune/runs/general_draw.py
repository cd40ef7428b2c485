"""Which general rows a cell draws, and which are held out of all training."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from levertune.data.draws import allot_rows, draw_rows
from levertune.data.records import Message, Record, RecordFile
from levertune.data.row_texts import make_own_text, prompt_key
from levertune.recipes.recipe import Recipe
from levertune.runs.general_amounts import group_by_source, token_shares, up_to_tokens

HELDOUT_SEED = 1
"""Held-out rows are the same for every seed and arm of a run."""

_own_text = make_own_text(None)


def hold_out_general(
    files: Sequence[RecordFile], num_rows: int
) -> tuple[tuple[Record, ...], dict[str, list[Record]]]:
    """Set general rows aside that no arm trains on.

    Never more than a fifth of what there is, so that a small pool stays a pool; and none that
    stands in the pool a second time, in this source or another: its copy would be trained on.

    Args:
        files: The general sources.
        num_rows: Rows wanted.

    Returns:
        The rows held out, and the rows left by source.
    """
    pool = [record for file in files for record in file.records]
    wanted = min(num_rows, len(pool) // 5)
    copies = Counter(map(_content, pool)) if wanted else {}
    single = [record for record in pool if wanted and copies[_content(record)] == 1]
    heldout = allot_rows(single, wanted, seed=HELDOUT_SEED)
    taken = {(r.source, r.id) for r in heldout}
    left: dict[str, list[Record]] = {}
    for record in pool:
        if (record.source, record.id) not in taken:
            left.setdefault(record.source, []).append(record)
    return tuple(heldout), left


def _content(record: Record) -> tuple[tuple[Message, ...], str]:
    return record.prompt, record.completion


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
    shared out by weight, and what a small source cannot give the others do. No prompt is drawn a
    second time while its source has others.

    Args:
        recipe: The recipe, resolved.
        pool: Rows by file.
        num_rows: Rows in all, unless `general.tokens` is set.
        seed: Seed of the draw.
        count_tokens: Tokens of a row, for limits in tokens.

    Returns:
        The rows, each at most once.
    """
    is_stratified = recipe.general.select == "stratified"
    settings = {source.source_name: source for source in recipe.general.sources}
    pool = group_by_source(recipe, pool)
    prompts: set[str] = set()

    def draw(name: str, *, rows: int | None = None, tokens: float | None = None) -> list[Record]:
        ordered = draw_rows(pool[name], len(pool[name]), seed=seed, stratified=is_stratified)
        in_turn = _fresh_first(ordered, prompts)
        if tokens is None:
            taken = list(itertools.islice(in_turn, rows))
        else:
            taken = up_to_tokens(in_turn, tokens, count_tokens)
        prompts.update(prompt_key(record, _own_text) for record in taken)
        return taken

    chosen: list[Record] = []
    shared: dict[str, float] = {}
    for name in pool:
        source = settings.get(name)
        if source is not None and source.has_own_amount:
            chosen += draw(name, rows=source.rows, tokens=source.tokens)
        else:
            shared[name] = source.weight if source is not None else 1.0
    if recipe.general.tokens is not None:
        for name, limit in token_shares(recipe.general.tokens, shared).items():
            chosen += draw(name, tokens=limit)
        return chosen
    counts = share_out(max(0, num_rows - len(chosen)), shared, {n: len(pool[n]) for n in shared})
    for name, count in counts.items():
        chosen += draw(name, rows=count)
    return chosen


def count_repeats(records: Sequence[Record]) -> int:
    """How many rows have the prompt of another, letter case and white space aside."""
    return len(records) - len({prompt_key(record, _own_text) for record in records})


def _fresh_first(ordered: Sequence[Record], prompts: set[str]) -> Iterator[Record]:
    """Rows with a prompt not met yet, then the others; only as many are looked at as are taken."""
    repeats = []
    seen = set(prompts)
    for record in ordered:
        key = prompt_key(record, _own_text)
        if key in seen:
            repeats.append(record)
        else:
            seen.add(key)
            yield record
    yield from repeats


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
