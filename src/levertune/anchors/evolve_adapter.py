"""levertune's metric and reflection as `gepa` wants them: an adapter for its search."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from levertune.anchors.answer_store import AnswerStore, cost_of
from levertune.anchors.asking import Ask, AskError, UnusableAnswerError
from levertune.anchors.candidates import DesignCost
from levertune.anchors.evolve_record import Ledger, RowLoss
from levertune.anchors.meta_prompts import clean_answer
from levertune.anchors.quotes import spoken
from levertune.anchors.reflection import write_reflection
from levertune.data.records import Record
from levertune.data.row_texts import OwnText
from levertune.progress import Stage

if TYPE_CHECKING:
    from gepa.core.adapter import EvaluationBatch

COMPONENT = "anchor"
"""Name of the one text that is searched for."""

REFLECTION = "reflection"
"""Origin of the candidates that the model wrote, and the kind of question it was asked."""

# Of a refused text, by row. Far below any loss, and finite: gepa adds and averages scores.
WORST = -1_000.0

_MAX_IN_A_ROW = 3


@dataclass(frozen=True, slots=True)
class Trace:
    """How one row went under a candidate.

    Args:
        row: The row.
        loss: Its loss; None under a candidate that is refused.
        fault: Why it is refused, or None.
    """

    row: Record
    loss: RowLoss | None
    fault: str | None


class AnchorAdapter:
    """Scores anchors by the likelihood of right answers, and asks a model for better ones.

    A row's score is minus its nats, over the tokens of a validation row on average: the mean over
    the validation rows is then minus their nats per token.

    Args:
        ledger: Keeps candidates and losses.
        tokens_per_row: Tokens of a validation row's answer, on average.
        starts: Texts to offer before the model is asked for others.
        ask: The model.
        answers: Keeps its answers.
        own_text: Gives a row's own text.
        max_tokens: Most tokens of an answer.
        stage: Where to show how many rows were looked at.
        clock: Gives the time in seconds.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        tokens_per_row: float,
        starts: Sequence[tuple[str, str]],
        ask: Ask,
        answers: AnswerStore,
        own_text: OwnText,
        max_tokens: int,
        stage: Stage,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._ledger = ledger
        self._tokens_per_row = tokens_per_row
        self._starts: Iterator[tuple[str, str]] = iter(starts)
        self._ask = ask
        self._answers = answers
        self._own_text = own_text
        self._max_tokens = max_tokens
        self._stage = stage
        self._clock = clock
        self._num_asked = self._num_unusable = 0
        self.num_cut_off = 0
        self.cost = DesignCost()
        self.error: Exception | None = None

    def should_stop(self, gepa_state: object) -> bool:
        """Whether the search must end before its budget is spent.

        Args:
            gepa_state: What gepa hands over before each turn; not looked at.
        """
        return self.error is not None

    def evaluate(
        self, batch: list[Record], candidate: dict[str, str], capture_traces: bool = False
    ) -> EvaluationBatch[Trace, None]:
        """Scores of rows under a candidate.

        Args:
            batch: The rows.
            candidate: The anchor's text by the name of the component.
            capture_traces: Whether to say how each row went.

        Returns:
            A score a row, the worst for all if the candidate is refused.
        """
        from gepa.core.adapter import EvaluationBatch

        one = self._ledger.add(candidate[COMPONENT], REFLECTION)
        losses: Sequence[RowLoss | None] = [None] * len(batch)
        if one.fault is None:
            losses = self._ledger.losses(one, batch)
        self._stage.advance(len(batch))
        scores = [WORST if loss is None else -loss.nll / self._tokens_per_row for loss in losses]
        traces = [Trace(row, loss, one.fault) for row, loss in zip(batch, losses, strict=True)]
        return EvaluationBatch(
            outputs=[None] * len(batch),
            scores=scores,
            trajectories=traces if capture_traces else None,
        )

    def make_reflective_dataset(
        self,
        candidate: dict[str, str],
        eval_batch: EvaluationBatch[Trace, None],
        components_to_update: list[str],
    ) -> Mapping[str, Sequence[Mapping[str, str]]]:
        """What a model should know of each row to better a candidate, the worst rows first.

        Args:
            candidate: The candidate.
            eval_batch: Its scores with traces.
            components_to_update: The one component there is.

        Returns:
            Names and texts of each row.
        """
        traces = sorted(
            eval_batch.trajectories or (),
            key=lambda one: -one.loss.nll / max(1, one.loss.num_tokens) if one.loss else 0.0,
        )
        return {name: [self._feedback(trace) for trace in traces] for name in components_to_update}

    def propose_new_texts(
        self,
        candidate: dict[str, str],
        reflective_dataset: Mapping[str, Sequence[Mapping[str, Any]]],
        components_to_update: list[str],
    ) -> dict[str, str]:
        """A text that may be better: one of the starts, or one the model writes.

        gepa logs an error here and goes on; so it is kept, and the search ends.

        Args:
            candidate: The candidate to better.
            reflective_dataset: How its rows went.
            components_to_update: The one component there is.

        Returns:
            The text; nothing if there is none, or it says what the candidate says.
        """
        parent = candidate[COMPONENT]
        try:
            start = next(self._starts, None)
            text = start[0] if start else self._reflect(parent, reflective_dataset[COMPONENT])
            if not text or spoken(text) == spoken(parent):
                return {}
            self._ledger.add(text, start[1] if start else REFLECTION, parent)
        except Exception as error:  # the search ends, and whoever began it raises it
            self.error = error
            return {}
        return {COMPONENT: text}

    def _reflect(self, parent: str, rows: Sequence[Mapping[str, str]]) -> str:
        """The model's text, `""` for an answer without one.

        Raises:
            AskError: If the model cannot be asked, or answers without a text again and again.
        """
        own = [one for one in self._ledger.tried if one.origin == REFLECTION]
        prompt = write_reflection(
            parent,
            rows,
            refused=[(one.text, _told(one.fault)) for one in own if one.fault],
            worse=[one.text for one in own if not one.fault and one.validation_nll is None],
        )
        self._num_asked += 1
        started = self._clock()
        try:
            row = self._answers.answer(
                self._ask, prompt, REFLECTION, self._num_asked, self._max_tokens, self._clock
            )
        except AskError as error:
            self.cost += DesignCost(None, self._clock() - started, error.num_requests)
            self._num_unusable += 1
            is_passing = isinstance(error, UnusableAnswerError)
            if is_passing and self._num_unusable < _MAX_IN_A_ROW:
                return ""
            raise
        self._num_unusable = 0
        self.cost += cost_of(row)
        shown = [(one["Input"], one["Right output"]) for one in rows]
        text = clean_answer(row["answer"], is_finished=row["is_finished"], shown=shown)
        self.num_cut_off += not text and not row["is_finished"]
        return text

    def _feedback(self, trace: Trace) -> dict[str, str]:
        said = {"Input": self._own_text(trace.row), "Right output": trace.row.completion}
        if trace.loss is None:
            return {**said, "Feedback": f"The instruction is refused: it {_told(trace.fault)}."}
        surprise = trace.loss.nll / max(1, trace.loss.num_tokens)
        return {**said, "Surprise": f"{surprise:.2f} nats per token"}


def _told(fault: str | None) -> str:
    """A fault as the model may know it: nothing of a test row is given away."""
    return "holds words it must not hold" if fault is None or "test row" in fault else fault
