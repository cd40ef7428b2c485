"""The way `model`: a model writes candidates for the anchor from a few example rows.

As in APE (Zhou et al., arXiv 2211.01910): shown inputs and outputs, it is asked for the instruction
that leads from one to the other. Every answer is kept on the disk before the next is asked for.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from levertune.anchors.answer_store import AnswerStore, cost_of
from levertune.anchors.asking import Ask, AskError, UnusableAnswerError
from levertune.anchors.candidates import AnchorCandidate, DesignCost
from levertune.anchors.guard import FindFault
from levertune.anchors.lift import shared_instruction
from levertune.anchors.meta_prompts import (
    CONTINUED,
    FORMS,
    MIN_WORDS,
    clean_answer,
    describe_cut_off,
    draw_examples,
    is_fragment,
    write_prompt,
)
from levertune.anchors.quotes import spoken
from levertune.data.records import Record
from levertune.data.row_texts import make_own_text

WAY = "model"

_MAX_IN_A_ROW = 3


@dataclass(frozen=True, slots=True)
class WritingPlan:
    """How often and with what a model is asked.

    Args:
        num_draws: Draws of example rows.
        num_examples: Rows in a draw.
        seeds: Seeds of the sampling; each draw is asked with each.
        forms: Forms of the question; the next is tried where one gives nothing usable. A base
            model that follows no instructions is asked in those of `CONTINUED` alone.
        max_tokens: Most tokens of an answer.
        max_characters: Room for the examples of a prompt.
        draw_seed: Seed of the draws.

    Raises:
        ValueError: If a number is below one, or a form unknown.
    """

    num_draws: int = 4
    num_examples: int = 6
    seeds: tuple[int, ...] = (0, 1)
    forms: tuple[str, ...] = ("request", "completion", "worksheet")
    max_tokens: int = 160
    max_characters: int = 4_000
    draw_seed: int = 0

    def __post_init__(self) -> None:
        for name in ("num_draws", "num_examples", "max_tokens", "max_characters"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not self.seeds or not self.forms or set(self.forms) - set(FORMS):
            raise ValueError(
                f"seeds must not be empty and forms be some of {list(FORMS)}, "
                f"got {self.seeds} and {self.forms}"
            )

    @property
    def most_answers(self) -> int:
        """Most answers that a model is asked for, where no form but the last gives a candidate."""
        return self.num_draws * len(self.seeds) * len(self.forms)

    @property
    def most_candidates(self) -> int:
        """Most candidates that can come of it."""
        return self.num_draws * len(self.seeds)


@dataclass(frozen=True, slots=True)
class Written:
    """What a model wrote.

    Args:
        candidates: The usable texts, each once, in the order they were written. The cost of each is
            that of its own answer and of the unusable ones before it in the same turn.
        refused: How many answers were unusable, by reason.
        num_repeated: Answers that said what a candidate says already.
        cost: Of everything, what earlier sessions finished included.
        stopped_by: The one line that says why the model could not be asked to the end, or None.
        cut_off: One line on the answers that the limit cut off before an instruction, or None.
    """

    candidates: tuple[AnchorCandidate, ...]
    refused: dict[str, int] = field(default_factory=dict)
    num_repeated: int = 0
    cost: DesignCost = DesignCost()
    stopped_by: str | None = None
    cut_off: str | None = None

    def summarize(self) -> str:
        """One line: how many candidates, how many answers were not used, and why."""
        refused = "".join(f"; {count} refused: {why}" for why, count in self.refused.items())
        repeated = f"; {self.num_repeated} repeated" if self.num_repeated else ""
        cut_off = f"; {self.cut_off}" if self.cut_off else ""
        stopped = f"; stopped early: {self.stopped_by}" if self.stopped_by else ""
        return f"{len(self.candidates)} candidates{repeated}{refused}{cut_off}{stopped}"


def write_by_model(
    records: Sequence[Record],
    ask: Ask,
    *,
    model: str,
    guard: FindFault,
    store: Path | None = None,
    plan: WritingPlan | None = None,
    continue_text: Ask | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Written:
    """Let a model write candidates for the anchor.

    Rows are shown without an instruction that they share. Asked again with the same store, the
    answers that are there are not asked for again, whatever ended the session before.

    Args:
        records: The task rows in training; no others are to be shown.
        ask: Asks the model.
        model: The model's name and version; answers in the store count for this one alone.
        guard: Says what makes a text unusable, as `guard.make_guard` does.
        store: A JSON Lines file for the answers, or None to keep none.
        plan: How often to ask, and how.
        continue_text: Lets the model go on with a bare text, without a chat template, for the forms
            that are no request; by default `ask`.
        clock: Gives the time in seconds.

    Returns:
        The candidates, and what became of the other answers. Where the model could no longer be
        asked, what it had written until then.

    Raises:
        ValueError: If there are no rows.
        AskError: If the model could not be asked a single time, or its first answers in a row are
            no texts.
        RunError: If the store cannot be read or written.
    """
    if not records:
        raise ValueError("write_by_model needs at least one row")
    plan = plan or WritingPlan()
    own_text = make_own_text(shared_instruction(records))
    kept = AnswerStore(store, model)
    collected = _Collected(guard, plan.max_tokens)
    num_unusable = 0
    for draw, seed, examples in _turns(records, own_text, plan):
        spent = DesignCost()
        for form in plan.forms:
            asked = continue_text if continue_text and form in CONTINUED else ask
            prompt = write_prompt(form, examples, own_text)
            started = clock()
            try:
                row = kept.answer(asked, prompt, form, seed, plan.max_tokens, clock)
            except AskError as error:
                cost = DesignCost(None, clock() - started, error.num_requests)
                collected.cost, spent = collected.cost + cost, spent + cost
                is_unusable = isinstance(error, UnusableAnswerError)
                num_unusable += is_unusable
                if is_unusable and num_unusable < _MAX_IN_A_ROW:
                    collected.refuse("no text in the answer")
                    continue
                if not kept.num_answers:
                    raise
                return collected.written(str(error))
            num_unusable = 0
            collected.cost, spent = collected.cost + cost_of(row), spent + cost_of(row)
            shown = [(own_text(one), one.completion) for one in examples]
            text = clean_answer(row["answer"], form, is_finished=row["is_finished"], shown=shown)
            if not text and not row["is_finished"]:
                collected.num_cut_off += 1
            elif collected.take(text, spent, (f"Draw {draw}, seed {seed}, form {form}.",)):
                break
    return collected.written(None)


def _turns(
    records: Sequence[Record], own_text: Callable[[Record], str], plan: WritingPlan
) -> Iterator[tuple[int, int, tuple[Record, ...]]]:
    """Draw, seed and rows to show."""
    for draw in range(plan.num_draws):
        examples = draw_examples(
            records,
            own_text,
            plan.num_examples,
            seed=plan.draw_seed + draw,
            max_characters=plan.max_characters,
        )
        for seed in plan.seeds:
            yield draw, seed, examples


class _Collected:
    """Candidates so far, and what became of the other answers."""

    def __init__(self, guard: FindFault, max_tokens: int) -> None:
        self.cost = DesignCost()
        self.num_cut_off = 0
        self._max_tokens = max_tokens
        self._guard = guard
        self._candidates: dict[str, AnchorCandidate] = {}
        self._refused: Counter[str] = Counter()
        self._num_repeated = 0

    def take(self, text: str, cost: DesignCost, notes: tuple[str, ...]) -> bool:
        """Keep a text if it is usable and new; a repeated one is usable too."""
        if not text:
            self.refuse("is blank")
        elif is_fragment(text):
            self.refuse(f"has fewer than {MIN_WORDS} words")
        elif fault := self._guard(text):
            self.refuse(fault)
        elif (key := spoken(text)) in self._candidates:
            self._num_repeated += 1
            return True
        else:
            self._candidates[key] = AnchorCandidate(text, WAY, cost, notes)
            return True
        return False

    def refuse(self, reason: str) -> None:
        self._refused[reason] += 1

    def written(self, stopped_by: str | None) -> Written:
        return Written(
            tuple(self._candidates.values()),
            dict(self._refused),
            self._num_repeated,
            self.cost,
            stopped_by,
            describe_cut_off(self.num_cut_off, self._max_tokens),
        )
