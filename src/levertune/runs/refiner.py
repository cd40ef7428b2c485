"""`anchor.schedule: refine` while a cell trains: check, decide, write it down, go on with it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from levertune.anchors.anchor import Anchor
from levertune.anchors.line_up import Proposal
from levertune.anchors.refine import PairedGain, choose_switch, list_check_steps, paired_gain
from levertune.errors import DivergedError
from levertune.models.rendering import TokenizedExample
from levertune.recipes.recipe import Recipe
from levertune.results.anchor_checks import (
    DECISIONS_FILE,
    AnchorCheck,
    Challenger,
    read_checks,
    write_checks,
)
from levertune.runs.arm_rows import form_example
from levertune.runs.cells import CellData
from levertune.runs.challenges import Challenges
from levertune.runs.decided import with_checks
from levertune.runs.workspace import Workspace
from levertune.training.train import count_steps

if TYPE_CHECKING:
    from peft import PeftModel


def check_steps(recipe: Recipe, cell: CellData) -> tuple[int, ...]:
    """After which optimizer steps the anchor of a cell is challenged.

    Args:
        recipe: The recipe, resolved.
        cell: The cell.
    """
    if cell.refine_rows is None:
        return ()
    num_steps = count_steps(len(cell.rows), recipe.training.effective_batch_size)
    return list_check_steps(num_steps, recipe.anchor.refine_every)


def describe_refining(recipe: Recipe, cells: Sequence[CellData]) -> list[str]:
    """What a reader should know of rows that are set aside: one sentence, or none.

    Args:
        recipe: The recipe, resolved.
        cells: The cells of a run.
    """
    refined = [(cell, cell.refine_rows) for cell in cells if cell.refine_rows is not None]
    if not refined:
        return []
    aside = [f"{len(rows.judging)} of {len(rows.written_from)}" for _, rows in refined]
    each = " of each cell" if len(refined) > 1 else ""
    cell = refined[0][0]
    return [
        f"anchor.schedule=refine sets {' or '.join(dict.fromkeys(aside))} training rows{each} "
        f"aside: they judge the anchor at {len(check_steps(recipe, cell))} checks, and "
        f"{cell.plan.arm.name} does not train on them."
    ]


class DecidedRows(Sequence[TokenizedExample]):
    """The rows of a cell under the decisions so far; a decision changes rows ahead of it only.

    Args:
        cell: The cell as it was built.
        workspace: The tokenizer.
    """

    def __init__(self, cell: CellData, workspace: Workspace) -> None:
        self._cell = cell
        self._workspace = workspace
        self.decide(())

    def decide(self, checks: Sequence[AnchorCheck]) -> None:
        """Go by these checks from now on."""
        decided = with_checks(self._cell, checks, self._workspace)
        self._rows = decided.rows
        self.anchor = decided.choice.served if decided.choice is not None else None

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index):
        return self._rows[index]


class AnchorRefiner:
    """Challenges the anchor at intervals of a training and switches it where a challenger wins.

    To the training it is a hook after each step, and the rows it trains on.

    Args:
        recipe: The recipe, resolved.
        workspace: The model side.
        cell: The cell as it was built.
        folder: The cell's folder, for `decisions.jsonl`.
        context_length: Tokens the model can read, or None.
    """

    def __init__(
        self,
        recipe: Recipe,
        workspace: Workspace,
        cell: CellData,
        folder: Path,
        *,
        context_length: int | None,
    ) -> None:
        if cell.refine_rows is None or cell.choice is None or cell.choice.anchor is None:
            raise ValueError("the cell has no rows to judge anchors by")
        self._workspace = workspace
        self._folder = folder
        self._arm, self._choice, self._first = cell.plan.arm, cell.choice, cell.choice.anchor
        self._judging = cell.refine_rows.judging
        self._challenges = Challenges(
            recipe, workspace, cell, self._mean_losses, context_length=context_length
        )
        self._step_rows = recipe.training.effective_batch_size
        self._steps = frozenset(check_steps(recipe, cell))
        self._checks: list[AnchorCheck] = []
        self.rows = DecidedRows(cell, workspace)

    def start(self, step: int) -> None:
        """Keep the decisions of the steps that will not be taken again, and no others.

        Args:
            step: Steps that a checkpoint holds; 0 for a fresh training.

        Raises:
            UserError: If the pool cannot be read, or the decisions there are not of this cell.
        """
        self._challenges.prepare()
        found = read_checks(self._folder) if (self._folder / DECISIONS_FILE).is_file() else []
        self._settle([check for check in found if check.step <= step])

    def __call__(self, step: int, model: PeftModel) -> bool:
        """Check the anchor after a step if it is time to; it never stops the training."""
        if step in self._steps:
            self._settle([*self._checks, self._check(step, model)])
        return False

    def _settle(self, checks: list[AnchorCheck]) -> None:
        write_checks(self._folder, checks)
        self._checks = checks
        self.rows.decide(checks)

    def _check(self, step: int, model: PeftModel) -> AnchorCheck:
        anchor = self.rows.anchor
        if anchor is None:
            raise RuntimeError("the anchor in use is lost")
        current = self._losses(model, anchor)
        if not all(map(math.isfinite, current)):
            raise DivergedError(
                f"step {step}: the loss of the rows that judge the anchor is no number; the "
                "training has diverged. Lower training.learning_rate, or set model.dtype=float32, "
                "with another output_dir=..."
            )
        order = sorted(range(len(current)), key=lambda i: (-current[i], i))
        worst = [self._judging[i] for i in order]
        proposals = self._challenges.at_check(self._checks, anchor, worst, model)
        challengers, gains = [], {}
        for proposal in proposals:
            losses = self._losses(model, replace(self._first, text=proposal.text))
            if all(map(math.isfinite, losses)):
                gain = paired_gain(current, losses)
                challengers.append(self._describe(proposal, gain))
                gains[challengers[-1].id] = gain
        return AnchorCheck(
            step=step,
            position=min(step * self._step_rows, len(self.rows)),
            anchor_id=anchor.id,
            rows=len(current),
            nll=sum(current) / len(current),
            challengers=tuple(challengers),
            switched_to=choose_switch(self._checks, anchor.id, gains),
        )

    def _describe(self, proposal: Proposal, gain: PairedGain) -> Challenger:
        anchor = replace(self._first, text=proposal.text)
        return Challenger(
            id=anchor.id,
            origin=proposal.origin,
            text=anchor.text,
            tokens=anchor.token_cost(self._workspace.tokenizer.count),
            gain=gain.mean,
            standard_error=gain.standard_error,
            is_beyond=gain.is_beyond,
        )

    def _mean_losses(self, model: PeftModel, texts: Sequence[str]) -> list[float]:
        losses = (self._losses(model, replace(self._first, text=text)) for text in texts)
        return [sum(rows) / len(rows) for rows in losses]

    def _losses(self, model: PeftModel, anchor: Anchor) -> list[float]:
        """NLL of each row set aside, the end of the turn included, under the present weights."""
        from levertune.evaluation.likelihood import score_likelihood

        rows = [
            self._workspace.tokenizer.tokenize(form_example(r, self._arm, self._choice, anchor))
            for r in self._judging
        ]
        scored = score_likelihood(
            model,  # type: ignore[arg-type]
            rows,
            hardware=self._workspace.hardware,
            pad_id=self._workspace.tokenizer.pad_id,
        )
        return [row.nll + row.end_nll for row in scored]
