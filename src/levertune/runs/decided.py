"""A cell with what was decided on its anchor: its rows are a function of it and the decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from levertune.anchors.auto import AnchorChoice
from levertune.anchors.shorten import AnchorStage
from levertune.errors import RunError
from levertune.results.anchor_checks import DECISIONS_FILE, AnchorCheck, read_checks
from levertune.runs.arm_rows import form_example, list_forms, plan_forms
from levertune.runs.cells import CellData
from levertune.runs.mixture_rows import MixtureRows
from levertune.runs.workspace import Workspace


def as_trained(cell: CellData, folder: Path, workspace: Workspace) -> CellData:
    """A cell as its training left it: where checks decided on the anchor, with their decisions.

    Args:
        cell: The cell as it was built.
        folder: Its folder, with `decisions.jsonl` if its anchor was challenged.
        workspace: The tokenizer.

    Returns:
        The cell; the very same one if its anchor was known from the start.

    Raises:
        RunError: If the decisions are missing or not of this cell.
    """
    if cell.choice is None or not cell.choice.is_open:
        return cell
    return with_checks(cell, read_checks(folder), workspace, where=str(folder / DECISIONS_FILE))


def with_checks(
    cell: CellData,
    checks: Sequence[AnchorCheck],
    workspace: Workspace,
    *,
    where: str = DECISIONS_FILE,
) -> CellData:
    """A cell with the anchors that checks decided on, each from its position on.

    Args:
        cell: The cell as it was built.
        checks: The checks, in their order.
        workspace: The tokenizer.
        where: The file the checks are from, for the message.

    Raises:
        RunError: If a check is about another anchor than the one in use, or its text is not the
            anchor it names.
        ValueError: If the cell has no anchor.
    """
    choice = cell.choice
    if choice is None or choice.anchor is None:
        raise ValueError("the cell has no anchor")
    stages = [AnchorStage(choice.anchor, 0.0)]
    for check in checks:
        anchor = stages[-1].anchor
        if anchor is None or check.anchor_id != anchor.id:
            raise _foreign(where, check, "is of another anchor than the one in use")
        if check.switched_to is not None:
            winner = check.winner
            switched = None if winner is None else replace(choice.anchor, text=winner.text)
            if switched is None or switched.id != check.switched_to:
                raise _foreign(where, check, "does not have the anchor that it switched to")
            stages.append(AnchorStage(switched, check.position / len(cell.rows)))
    settled = replace(
        choice,
        stages=tuple(stages) if len(stages) > 1 else (),
        is_open=False,
        reason=f"{choice.reason} ({cell.plan.label}: {_describe(checks)})",
    )
    rows = _rows(cell, settled, workspace)
    tested = settled if cell.tested is choice else cell.tested
    return replace(cell, choice=settled, tested=tested, rows=rows, tokens=rows.count_tokens())


def _foreign(where: str, check: AnchorCheck, fault: str) -> RunError:
    return RunError(
        f"{where}: does not belong to this cell; the check after step {check.step} {fault}. Remove "
        "the cell's folder to have it trained again."
    )


def _rows(cell: CellData, choice: AnchorChoice, workspace: Workspace) -> MixtureRows:
    arm, mixture = cell.plan.arm, cell.rows.mixture
    tokenize = workspace.tokenizer.tokenize
    _, *later = list_forms(arm, choice)
    return MixtureRows(
        mixture,
        [cell.task, *([tokenize(form_example(r, arm, choice, f)) for r in cell.records]
                      for f in later)],
        cell.general,
        num_positions=len(cell.rows),
        forms=plan_forms(arm, choice, num_positions=len(cell.rows), seed=mixture.plan.seed),
    )  # fmt: skip


def _describe(checks: Sequence[AnchorCheck]) -> str:
    steps = [str(check.step) for check in checks if check.switched_to is not None]
    if not steps:
        return f"kept at all {len(checks)} checks"
    return f"switched after step {' and '.join(steps)}"
