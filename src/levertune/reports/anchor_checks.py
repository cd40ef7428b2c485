"""How the anchor was challenged while training, as the page's template prints it."""

from __future__ import annotations

from dataclasses import dataclass

from levertune.reports.text import Clipped, clip, count_text, number_text
from levertune.results.anchor_checks import AnchorCheck, Challenger
from levertune.results.schema import Curve, RunResult

_MAX_CHECKS = 60
_MAX_CHALLENGERS = 12
_MAX_WORDS = 400


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One check as text.

    Args:
        cell: Arm, seed and fold.
        step: Optimizer steps taken before it.
        position: First position that it decided on.
        anchor: Id of the anchor in use.
        nll: NLL a row with it.
        challengers: Id, origin, and gain with its standard error, of each; whether it is beyond.
        decision: What was decided.
    """

    cell: str
    step: str
    position: str
    anchor: str
    nll: str
    challengers: list[tuple[str, str, str, bool]]
    decision: str


@dataclass(frozen=True, slots=True)
class ChecksView:
    """The checks of a run.

    Args:
        rows: One row a check.
        more: Checks left off.
        words: Id and words of each anchor that was in use; empty where texts are left out.
        judged_on: Rows that the anchors were judged on, at the first check.
    """

    rows: list[CheckRow]
    more: int
    words: list[tuple[str, Clipped]]
    judged_on: str


def checks_view(result: RunResult, *, include_text: bool) -> ChecksView | None:
    """What the page shows of the checks; None where no anchor was challenged.

    Args:
        result: The result.
        include_text: Whether the anchors' words may be shown.
    """
    found = [(curve, check) for curve in result.curves for check in curve.checks]
    if not found:
        return None
    words: dict[str, Clipped] = {}
    if include_text:
        if result.anchor is not None:
            words[result.anchor.id] = clip(result.anchor.text, _MAX_WORDS)
        for _, check in found:
            if (winner := check.winner) is not None:
                words.setdefault(winner.id, clip(winner.text, _MAX_WORDS))
    return ChecksView(
        rows=[_row(curve, check) for curve, check in found[:_MAX_CHECKS]],
        more=max(0, len(found) - _MAX_CHECKS),
        words=list(words.items()),
        judged_on=count_text(found[0][1].rows),
    )


def _row(curve: Curve, check: AnchorCheck) -> CheckRow:
    fold = "" if curve.fold is None else f", fold {curve.fold + 1}"
    switched = check.switched_to
    return CheckRow(
        cell=f"{clip(curve.arm, 40).text}, seed {curve.seed}{fold}",
        step=count_text(check.step),
        position=count_text(check.position),
        anchor=clip(check.anchor_id, 20).text,
        nll=number_text(check.nll),
        challengers=[_challenger(one) for one in check.challengers[:_MAX_CHALLENGERS]],
        decision="kept" if switched is None else f"switched to {clip(switched, 20).text}",
    )


def _challenger(one: Challenger) -> tuple[str, str, str, bool]:
    gain = f"{number_text(one.gain)} ± {number_text(one.standard_error)}"
    return clip(one.id, 20).text, one.origin, gain, one.is_beyond
