"""Pairs that a generator learns from: example rows, and the instruction that states their task."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from levertune.anchors.meta_prompts import draw_examples, write_prompt
from levertune.anchors.pool.places import shipped_folder
from levertune.anchors.pool.reading import read_pool_folder
from levertune.anchors.transfer.catalog import KINDS, make_task, unknown_kind
from levertune.data.records import TASK_SOURCE, Message, Record
from levertune.data.row_texts import make_own_text
from levertune.errors import RecipeError

FORM = "learnt"
"""The form of the question, of `meta_prompts.FORMS`; the generator is asked in no other."""

NUM_EXAMPLES = 5
MAX_CHARACTERS = 2_000
"""Rows shown, and room for them: with the answer well below 2,048 tokens in most languages."""

_NUM_ROWS = 12
_SEEDS_A_LEARNING = 1_000_000
_FIRST_TEST_SEED = 500_000
_MAX_SEEDS_A_PAIR = 50


Rule = tuple[str, tuple[Any, ...]]
"""A kind of task, and what sets a task apart from others of it."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A row of a generator's training.

    Args:
        id: Its name.
        kind: The kind of task.
        prompt: Example rows, and what is asked about them.
        completion: The instruction that states the task.
    """

    id: str
    kind: str
    prompt: str
    completion: str

    def to_json(self) -> dict[str, Any]:
        """The pair as a JSON object."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Pairs:
    """What a generator learns from, and what it is tested on.

    Args:
        train: Pairs in training.
        test: Pairs of made-up tasks of the kinds held out; where there are none, of the pool's
            entries of them; where no kind is held out, of other tasks of the same kinds.
        untested: Kinds held out and not tested on: those of the pool, beside made-up ones.
    """

    train: tuple[Pair, ...]
    test: tuple[Pair, ...]
    untested: tuple[str, ...] = ()


def make_pairs(
    num: int,
    *,
    hold_out: Collection[str] = (),
    with_pool: bool = True,
    num_test: int = 32,
    seed: int = 0,
) -> Pairs:
    """Draw tasks, and make a pair of each.

    Args:
        num: Pairs of drawn tasks in training, spread evenly over the kinds.
        hold_out: Kinds to keep out of training, drawn ones or those of the pool.
        with_pool: Whether to add a pair for each entry of the pool that comes along.
        num_test: Pairs of made-up tasks to test on. Where the pool alone has the kinds held out,
            all its entries of them.
        seed: Seed of the tasks.

    Returns:
        The pairs.

    Raises:
        RecipeError: If a kind is unknown, nothing is left, or a number is below one.
    """
    for name, value in (("--pairs", num), ("test pairs", num_test)):
        if value < 1:
            raise RecipeError(f"{name}: must be at least 1; found {value}.")
    is_all_drawn = all(kind in KINDS for kind in hold_out)
    needs_pool = with_pool or not is_all_drawn  # reading it takes seconds
    entries = read_pool_folder(shipped_folder()).values() if needs_pool else ()
    known = dict.fromkeys([*KINDS, *(entry.kind for entry in entries)])
    for kind in hold_out:
        if kind not in known:
            raise RecipeError(unknown_kind(kind, known))
    kept = [kind for kind in KINDS if kind not in hold_out]
    if not kept:
        raise RecipeError("--hold-out: leaves no kind of task to learn from. Hold out fewer.")
    first = seed * _SEEDS_A_LEARNING
    rules: set[Rule] = set()
    drawn = _draw(kept, num, first, set(), rules)
    pooled, out = (
        [_pair(entry.id, entry.kind, _rows_of(entry), entry.text, 0) for entry in entries
         if (entry.kind in hold_out) == is_out]
        for is_out in (False, True)
    )  # fmt: skip
    train = (*drawn, *(pooled if with_pool else ()))
    held_out = [kind for kind in KINDS if kind in hold_out]
    if out and not held_out:
        return Pairs(train, tuple(out))
    tested = held_out or kept
    seen = {pair.completion for pair in drawn}
    test = _draw(tested, num_test, first + _FIRST_TEST_SEED, seen, rules)
    return Pairs(train, tuple(test), tuple(dict.fromkeys(pair.kind for pair in out)))


def _draw(
    kinds: Sequence[str], num: int, first_seed: int, seen: set[str], rules: set[Rule]
) -> list[Pair]:
    """Pairs over the kinds in turn; no two tasks of one kind with one rule, or one wording.

    Those of `rules`, to which theirs are added, are passed over too.
    """
    seen = set(seen)
    pairs: list[Pair] = []
    next_seed = dict.fromkeys(kinds, first_seed)
    while len(pairs) < num:
        kind = kinds[len(pairs) % len(kinds)]
        for is_last in [False] * _MAX_SEEDS_A_PAIR + [True]:
            task = make_task(kind, next_seed[kind], _NUM_ROWS)
            next_seed[kind] += 1
            is_new = (kind, task.rule) not in rules or is_last  # rules may run out, wordings not
            if is_new and task.anchor not in seen:
                break
        else:
            raise RecipeError(
                f"--pairs: {kind} has no more tasks after {sum(p.kind == kind for p in pairs)}; "
                f"found {num}. Ask for fewer."
            )
        rules.add((kind, task.rule))
        seen.add(task.anchor)
        pairs.append(_pair(f"{kind}-{task.seed}", kind, task.rows, task.anchor, task.seed))
    return pairs


def _pair(name: str, kind: str, rows: Sequence[Record], anchor: str, seed: int) -> Pair:
    own_text: Callable[[Record], str] = make_own_text(None)
    shown = draw_examples(rows, own_text, NUM_EXAMPLES, seed=seed, max_characters=MAX_CHARACTERS)
    # One line: of an answer no more than its first paragraph is taken.
    return Pair(name, kind, write_prompt(FORM, shown, own_text), " ".join(anchor.split()))


def _rows_of(entry: Any) -> list[Record]:
    return [
        Record(f"{entry.id}-{number}", TASK_SOURCE, (Message("user", row.prompt),), row.completion)
        for number, row in enumerate(entry.examples)
    ]
