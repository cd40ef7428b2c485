"""The anchors that challenge the one in use: the best by proxy, edits of it, a model's rewrite."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from levertune.anchors.anchor import Anchor
from levertune.anchors.edits import draw_edits
from levertune.anchors.line_up import Proposal, fresh_first, line_up
from levertune.anchors.refine import find_contenders
from levertune.anchors.rewrite import rewrite_anchor
from levertune.anchors.template import describe_rows
from levertune.data.language_names import language_name
from levertune.data.records import Record
from levertune.data.row_texts import make_own_text
from levertune.recipes.recipe import Recipe
from levertune.results.anchor_checks import AnchorCheck
from levertune.runs.anchor_candidates import suggest_anchors
from levertune.runs.arm_rows import form_example
from levertune.runs.cells import CellData
from levertune.runs.task_view import TaskView, make_view_guard
from levertune.runs.workspace import Workspace

if TYPE_CHECKING:
    from peft import PeftModel

NUM_POOL = 6
"""Entries of the pool that are scored by proxy, beside the template and the first anchor."""

_MARGIN_TOKENS = 16
"""By which a text may count more tokens in its place than alone; nearer the limit rows are counted.
"""

JudgeTexts = Callable[["PeftModel", Sequence[str]], list[float]]
"""Gives the mean NLL of the rows set aside with each text as anchor."""


class Challenges:
    """Proposes the challengers of each check; the same state gives the same ones.

    Args:
        recipe: The recipe, resolved.
        workspace: The model side.
        cell: The cell as it was built.
        judge: Scores texts under a model; it is called with the adapter switched off.
        context_length: Tokens the model can read, or None.
    """

    def __init__(
        self,
        recipe: Recipe,
        workspace: Workspace,
        cell: CellData,
        judge: JudgeTexts,
        *,
        context_length: int | None,
    ) -> None:
        if cell.refine_rows is None or cell.choice is None or cell.choice.anchor is None:
            raise ValueError("the cell has no rows to judge anchors by")
        self._recipe = recipe
        self._workspace = workspace
        self._cell = cell
        self._rows = cell.refine_rows
        self._choice = cell.choice
        self._first = cell.choice.anchor
        self._judge = judge
        self._context_length = context_length
        self._by_proxy: list[Proposal] | None = None

    def at_check(
        self,
        checks: Sequence[AnchorCheck],
        anchor: Anchor,
        worst: Sequence[Record],
        model: PeftModel,
    ) -> list[Proposal]:
        """The challengers of the next check.

        Args:
            checks: The checks so far.
            anchor: The anchor in use.
            worst: The rows set aside, the worst answered first.
            model: The model in training; it is asked and scored without its adapter.
        """
        contenders = [Proposal(c.text, c.origin) for c in find_contenders(checks, anchor.id)]
        seed = self._cell.plan.seed * 1_000_003 + len(checks)
        edits = [Proposal(t, "edit") for t in draw_edits(anchor.text, self._answer, seed=seed)]
        return line_up(
            anchor.text,
            contenders,
            [
                self._rewrites(anchor, worst, model, seed),
                fresh_first(self._proxies(model), checks),
                fresh_first(edits, checks),
            ],
            limit=self._recipe.anchor.challengers,
            is_usable=lambda text: self._guard(text) is None and self.fits(text),
        )

    def fits(self, text: str) -> bool:
        """Whether a text leaves every training row within `training.max_length`.

        Nor may it leave a test row without room for its answer: the cell could not be evaluated.
        """
        count = self._workspace.tokenizer.count
        added = count(text) - count(self._first.text) + _MARGIN_TOKENS
        if added > max(self._room_at_test, _MARGIN_TOKENS):
            return False
        limit = self._recipe.training.max_length
        rows = self._rows.written_from
        return self._longest + added <= limit or (
            max(self._tokens_with(replace(self._first, text=text), rows)) <= limit
        )

    def _tokens_with(self, anchor: Anchor, records: Sequence[Record]) -> list[int]:
        tokenize = self._workspace.tokenizer.tokenize
        arm, choice = self._cell.plan.arm, self._choice
        rows = (form_example(record, arm, choice, anchor) for record in records)
        return [len(tokenize(row).input_ids) for row in rows]

    def prepare(self) -> None:
        """Write the candidates that need no model, so that a pool that fails does so at once."""
        _ = self._candidates

    @cached_property
    def _candidates(self) -> list[Proposal]:
        found = suggest_anchors(
            self._recipe, self._view, ways=("template", "pool"), num_pool=NUM_POOL
        )
        written = [
            Proposal(one.text, "template" if one.way == "template" else "pool")
            for one in found.candidates
            if self.fits(one.text)
        ]
        return [Proposal(self._first.text, "start"), *written]

    def _proxies(self, model: PeftModel) -> list[Proposal]:
        """The candidates, the likeliest under the base model first."""
        if self._by_proxy is None:
            with model.disable_adapter():
                losses = self._judge(model, [one.text for one in self._candidates])
            order = sorted(range(len(losses)), key=lambda i: (losses[i], i))
            self._by_proxy = [self._candidates[i] for i in order]
        return self._by_proxy

    def _rewrites(
        self, anchor: Anchor, worst: Sequence[Record], model: PeftModel, seed: int
    ) -> Iterator[Proposal]:
        from levertune.selfdata.asking import LocalModel
        from levertune.selfdata.sampling import ModelSampler

        workspace = self._workspace
        sampler = ModelSampler(model, workspace.tokenizer, workspace.hardware)  # type: ignore[arg-type]
        with model.disable_adapter():
            text = rewrite_anchor(
                anchor.text,
                [self._choice.lifting.take_from(record) for record in worst],
                make_own_text(None),
                LocalModel(sampler, workspace.tokenizer),
                seed=seed % 2**32,
                guard=self._guard,
                continue_text=LocalModel(sampler, workspace.tokenizer, is_chat=False),
            )
        if text is not None:
            yield Proposal(text, "rewrite")

    @cached_property
    def _view(self) -> TaskView:
        rows = self._rows
        lifted = self._choice.lifting.take_from_all(rows.written_from).records
        return TaskView(
            inputs=rows.inputs,
            train=lifted,
            verbatim=rows.written_from,
            test=rows.inputs.test_records,
            general=(),
            workspace=self._workspace,
            notes=(),
        )

    @cached_property
    def _guard(self) -> Callable[[str], str | None]:
        return make_view_guard(self._view)

    @cached_property
    def _answer(self) -> str:
        """What the rows say of their answers' form."""
        kind = self._rows.inputs.kind
        seen = {record.completion.strip() for record in self._view.train}
        labels = [label for label in kind.labels if label in seen]
        task = self._recipe.task
        return describe_rows(
            self._view.train,
            kind.kind,
            labels,
            prompt_language=language_name(task.prompt_language),
            answer_language=language_name(task.answer_language),
        )

    @cached_property
    def _longest(self) -> int:
        """Tokens of the longest training row with the first anchor."""
        return max(self._tokens_with(self._first, self._rows.written_from))

    @cached_property
    def _room_at_test(self) -> float:
        """Tokens that the model has left at its longest test row, the answer's aside."""
        test = self._rows.inputs.test_records
        if self._context_length is None or not test:
            return float("inf")
        longest = max(self._tokens_with(self._first, test))
        return self._context_length - longest - int(self._recipe.evaluation.max_new_tokens)
