"""The way `evolve`: candidates mutated by a model that reflects on how rows went, chosen by `gepa`.

GEPA (Agrawal et al., arXiv 2507.19457): from a pool of candidates of which each is best on some
validation row, one is drawn, shown to a model with a few rows it was tried on, and replaced where
the model's text does better on these. What is made likelier is the right answers of training rows
under the untrained base model; whether that makes an anchor train better is not known.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from levertune.anchors.answer_store import AnswerStore
from levertune.anchors.asking import Ask, AskError
from levertune.anchors.candidates import AnchorCandidate, DesignCost
from levertune.anchors.evolve_adapter import COMPONENT, REFLECTION, AnchorAdapter
from levertune.anchors.evolve_plan import EvolvePlan, fit_starts, split_rows
from levertune.anchors.evolve_record import Ledger, Measure, Tried
from levertune.anchors.guard import FindFault
from levertune.anchors.lift import shared_instruction
from levertune.anchors.meta_prompts import describe_cut_off
from levertune.data.records import Record
from levertune.data.row_texts import make_own_text
from levertune.errors import RecipeError
from levertune.progress import Progress, SilentProgress

WAY = "evolve"
INSTALL_COMMAND = "pip install 'gepa>=0.1.4,<0.2'"
"""As the extra `gepa` in pyproject.toml."""


@dataclass(frozen=True, slots=True)
class Evolved:
    """What a search found.

    Args:
        candidate: The best text that is no start, with the cost of the whole search; None if none
            is better than the best start.
        tried: Every candidate, the starts first.
        cost: Of everything, what earlier sessions finished included.
        num_calls: Rows looked at.
        start_nll: Nats per token of the best start on the validation rows.
        stopped_by: The one line that says why the model could not be asked to the end, or None.
        left_out: One line on the starts that the budget had no room for, or None.
        cut_off: One line on the answers that the limit cut off before an instruction, or None.
    """

    candidate: AnchorCandidate | None
    tried: tuple[Tried, ...]
    cost: DesignCost
    num_calls: int
    start_nll: float
    stopped_by: str | None = None
    left_out: str | None = None
    cut_off: str | None = None

    def summarize(self) -> str:
        """One line: how many were tried, how many refused, and what came of it."""
        own = [one for one in self.tried if one.origin == REFLECTION]
        refused = sum(one.fault is not None for one in own)
        better = "better than every start" if self.candidate else "none better than the best start"
        stopped = f"stopped early: {self.stopped_by}" if self.stopped_by else None
        more = "".join(f"; {line}" for line in (self.left_out, self.cut_off, stopped) if line)
        return (
            f"{len(own)} candidates of {self.cost.requests} requests, {refused} refused, "
            f"{self.num_calls} rows looked at; {better} ({self.start_nll:.3f} nats per token)"
            f"{more}"
        )


def require_gepa() -> None:
    """Refuse to begin without the package that searches.

    Raises:
        RecipeError: If it is not installed.
    """
    if find_spec("gepa") is None:
        raise RecipeError(
            f"--way evolve: needs the package gepa; found none. Install it with: {INSTALL_COMMAND}"
        )


def evolve(
    records: Sequence[Record],
    starts: Sequence[AnchorCandidate],
    measure: Measure,
    ask: Ask,
    *,
    model: str,
    identity: str,
    guard: FindFault,
    answers: Path | None = None,
    record: Path | None = None,
    plan: EvolvePlan | None = None,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Evolved:
    """Search for an anchor from those there are.

    gepa could keep a state of its own, but as a pickle, which runs code when it is read, and
    without the state of its draws. Instead answers and losses are on record: the same search is
    gone through again, and asks and measures only what it had not come to.

    Args:
        records: The task rows in training; no others are to be shown.
        starts: Candidates to start from. Where the budget has no room for all, the first of each
            way, then the second, and so on.
        measure: Measures rows under the base model.
        ask: Asks the model that reflects.
        model: Its name and version; answers on the disk count for this one alone.
        identity: What the losses depend on besides text and rows.
        guard: Says what makes a text unusable.
        answers: A JSON Lines file for the model's answers, or None to keep none.
        record: A JSON Lines file for the candidates, or None to keep none.
        plan: How far to go.
        progress: Where to show progress.
        clock: Gives the time in seconds.

    Returns:
        The best candidate, and all that were tried. Where the model could no longer be asked, what
        was found until then.

    Raises:
        RecipeError: If gepa is not installed, no start is usable, or the budget is too small.
        DataError: If there are too few rows.
        AskError: If the model could not be asked a single time.
        RunError: If a file cannot be read or written.
    """
    require_gepa()
    plan = plan or EvolvePlan()
    shown, validation = split_rows(records, plan)
    ledger = Ledger(record, identity, shown, validation, measure, guard, clock)
    usable = _take_starts(ledger, starts)
    usable, left_out = fit_starts(usable, len(shown), len(validation), plan)
    for one in usable:
        ledger.losses(one, validation)
    usable.sort(key=_nll)
    best = usable[0]
    left = plan.num_calls - len(usable) * len(validation)
    tokens = [loss.num_tokens for loss in ledger.losses(best, validation)]
    store = AnswerStore(answers, model)
    with (progress or SilentProgress()).stage("evolve", left, "row") as stage:
        adapter = AnchorAdapter(
            ledger,
            tokens_per_row=max(1, sum(tokens)) / len(tokens),
            starts=[(one.text, one.origin) for one in usable[1:]],
            ask=ask,
            answers=store,
            own_text=make_own_text(shared_instruction(records)),
            max_tokens=plan.max_tokens,
            stage=stage,
            clock=clock,
        )
        result = _search(best.text, adapter, shown, validation, left, plan)
    error = adapter.error
    if error is not None and not (isinstance(error, AskError) and store.num_answers):
        raise error
    own = {one.text for one in usable}
    found = [ledger.add(one[COMPONENT], REFLECTION) for one in result.candidates]
    better = [one for one in found if one.text not in own and _nll(one) < _nll(best)]
    cost = adapter.cost + ledger.cost
    return Evolved(
        candidate=_candidate(min(better, key=_nll), best, cost, len(validation))
        if better
        else None,
        tried=ledger.tried,
        cost=cost,
        num_calls=plan.num_calls - left + (result.total_metric_calls or 0),
        start_nll=_nll(best),
        stopped_by=str(error) if error is not None else None,
        left_out=left_out,
        cut_off=describe_cut_off(adapter.num_cut_off, plan.max_tokens),
    )


def _take_starts(ledger: Ledger, starts: Sequence[AnchorCandidate]) -> list[Tried]:
    """The usable starts, each once, those of each way in turn.

    Raises:
        RecipeError: If there is none.
    """
    num_before: Counter[str] = Counter()
    turns = []
    for one in starts:
        turns.append(num_before[one.way])
        num_before[one.way] += 1
    order = sorted(range(len(starts)), key=turns.__getitem__)  # stable: as given otherwise
    entries = [ledger.add(starts[i].text, f"seed: {starts[i].way}") for i in order]
    usable = list({one.key: one for one in entries if one.fault is None}.values())
    if not usable:
        faults = sorted({one.fault for one in entries if one.fault})
        raise RecipeError(
            f"--way evolve: has no candidate to start from; found {len(entries)} that cannot be "
            f"used ({'; '.join(faults) or 'none was written'}). Ask for another way beside it."
        )
    return usable


def _search(
    start: str,
    adapter: Any,  # gepa's protocol of an adapter is invariant
    shown: Sequence[Record],
    validation: Sequence[Record],
    num_calls: int,
    plan: EvolvePlan,
) -> Any:
    """What gepa finds; its own type is left to it."""
    from gepa import optimize

    return optimize(
        seed_candidate={COMPONENT: start},
        trainset=list(shown),
        valset=list(validation),
        adapter=adapter,
        reflection_minibatch_size=min(plan.num_shown, len(shown)),
        skip_perfect_score=False,
        max_metric_calls=num_calls,
        stop_callbacks=adapter.should_stop,
        logger=_Silent(),
        track_best_outputs=False,
        seed=plan.seed,
    )


class _Silent:
    """gepa's own log would go to standard output, where results go."""

    def log(self, message: str) -> None:
        """Say nothing."""


def _candidate(
    found: Tried, start: Tried, cost: DesignCost, num_validation: int
) -> AnchorCandidate:
    note = (
        f"{_nll(found):.3f} nats per token against {_nll(start):.3f} of the best start, on "
        f"{num_validation} training rows that it was chosen by."
    )
    return AnchorCandidate(found.text, WAY, cost, (note,))


def _nll(one: Tried) -> float:
    return float("inf") if one.validation_nll is None else one.validation_nll
