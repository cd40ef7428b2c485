"""Sample predictions side by side: which rows, what each arm wrote, right or wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from levertune.reports.svg import thin
from levertune.reports.text import Clipped, clip, first, number_text
from levertune.results.cells import PREDICTIONS_FILE, PredictionRow, read_predictions
from levertune.results.schema import ArmSummary, RunResult

Status = Literal["right", "wrong", "unparseable", "unscored", "absent"]
FILTERS = ("right", "wrong", "unparseable")

_MAX_REFERENCES = 5


@dataclass(frozen=True, slots=True)
class ArmPredictions:
    """The predictions of one arm at one seed, over all its folds.

    Args:
        arm: Name of the arm.
        index: Its place among the arms of the result.
        seed: The seed shown.
        rows: Predictions by row id; empty if the files are not there.
    """

    arm: str
    index: int
    seed: int | None
    rows: dict[str, PredictionRow] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one arm made of one row.

    Args:
        index: Which arm.
        arm: Its name.
        status: `right`, `wrong`, `unparseable`, `unscored` (no metric says right or wrong), or
            `absent` (no prediction).
        prediction: What it wrote; None if there is none or texts are left out.
        score: Its score on the primary metric, as text, or "".
        cut: Whether the model ran into the token limit.
    """

    index: int
    arm: str
    status: Status
    prediction: Clipped | None
    score: str
    cut: bool


@dataclass(frozen=True, slots=True)
class SampleRow:
    """One test row with the answers of all arms; texts are None where they are left out."""

    id: Clipped
    prompt: Clipped | None
    references: tuple[Clipped, ...]
    more_references: int
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Samples:
    """The rows a page shows.

    Args:
        rows: The rows.
        total: Test rows there are.
        arms: Arms with predictions: index, name, and how many of the rows shown have each status.
        seeds: The seeds shown, as text.
        judged_by: Metric that says right or wrong; None if no metric does.
        prompts_of: Arm whose prompts are shown.
        other_prompts: Arms that saw other prompts for some of the rows shown.
        absent: Arms without predictions on disk.
        is_chosen: Whether the run named these rows, rather than being spread over all.
    """

    rows: tuple[SampleRow, ...]
    total: int
    arms: tuple[tuple[int, str, dict[str, int]], ...]
    seeds: str
    judged_by: str | None
    prompts_of: str
    other_prompts: tuple[str, ...]
    absent: tuple[str, ...]
    is_chosen: bool


def read_arm_predictions(run_dir: Path, result: RunResult) -> list[ArmPredictions]:
    """Read the predictions of each arm's first seed (of the seed all arms have, if there is one).

    Args:
        run_dir: The run folder.
        result: Its result.

    Returns:
        One entry an arm, in order.

    Raises:
        RunError: If a predictions file is damaged. A missing one leaves the entry empty.
    """
    common = set.intersection(*(set(arm.seeds) for arm in result.arms)) if result.arms else set()
    found = []
    for index, arm in enumerate(result.arms):
        seed = min(common or set(arm.seeds), default=None)
        rows: dict[str, PredictionRow] = {}
        for cell in _cells_of_seed(arm, seed):
            folder = run_dir / PurePosixPath(cell)
            if (folder / PREDICTIONS_FILE).is_file():
                rows |= {row.id: row for row in read_predictions(folder)}
        found.append(ArmPredictions(arm.arm, index, seed, rows))
    return found


def choose_samples(
    result: RunResult,
    predictions: Sequence[ArmPredictions],
    *,
    num_rows: int,
    num_characters: int,
    include_text: bool,
) -> Samples:
    """Choose the rows to show and lay the arms' answers side by side.

    Args:
        result: The result; its `samples` come first if it names any.
        predictions: The arms' predictions.
        num_rows: Most rows to show; without `samples` they are spread evenly over the test set.
        num_characters: Most characters of any one text.
        include_text: Whether prompts, references and predictions are shown.

    Returns:
        The rows, and how many there are in all.
    """
    arms = [arm for arm in predictions if arm.rows]
    ids = list(dict.fromkeys(row_id for arm in arms for row_id in arm.rows))
    known = set(ids)
    chosen = [row_id for row_id in result.samples if row_id in known]
    shown = list(first(chosen, num_rows)[0]) if chosen else thin(ids, num_rows)
    judge = _judge(result, arms)
    rows = []
    counts: dict[int, dict[str, int]] = {arm.index: dict.fromkeys(FILTERS, 0) for arm in arms}
    different: set[str] = set()
    for row_id in shown:
        holders = [arm for arm in arms if row_id in arm.rows]
        lead = holders[0].rows[row_id]
        different |= {arm.arm for arm in holders if arm.rows[row_id].prompt != lead.prompt}
        answers = []
        for arm in arms:
            answer = _answer(arm, row_id, judge, result.metrics.primary, num_characters)
            if answer.status in counts[arm.index]:
                counts[arm.index][answer.status] += 1
            answers.append(answer)
        references, more = first(lead.references, _MAX_REFERENCES)
        rows.append(
            SampleRow(
                id=clip(row_id, 80),
                prompt=clip(lead.prompt, num_characters) if include_text else None,
                references=tuple(clip(r, num_characters) for r in references if include_text),
                more_references=more,
                answers=tuple(answers if include_text else map(_without_text, answers)),
            )
        )
    seeds = sorted({arm.seed for arm in arms if arm.seed is not None})
    return Samples(
        rows=tuple(rows),
        total=len(ids),
        arms=tuple((arm.index, arm.arm, counts[arm.index]) for arm in arms),
        seeds=", ".join(map(str, seeds)),
        judged_by=judge,
        prompts_of=arms[0].arm if arms else "",
        other_prompts=tuple(arm.arm for arm in arms if arm.arm in different),
        absent=tuple(arm.arm for arm in predictions if not arm.rows),
        is_chosen=bool(chosen),
    )


def _cells_of_seed(arm: ArmSummary, seed: int | None) -> list[str]:
    """The arm's cells at one seed; of several subsets the first named."""
    cells = [cell for cell in arm.cells if f"seed-{seed}" in cell.split("/")]
    subsets = [_subset(cell) for cell in cells]
    return [c for c, s in zip(cells, subsets, strict=True) if s == subsets[0]]


def _subset(cell: str) -> str | None:
    return next((part for part in cell.split("/") if part.startswith("subset")), None)


def _judge(result: RunResult, arms: Sequence[ArmPredictions]) -> str | None:
    """The metric that says right or wrong; None if every metric is graded.

    Of the metrics whose row scores are all 0 or 1: the primary one, else the first of the
    equalities, else the first. That an answer is valid JSON does not make it right.
    """
    graded: set[str] = set()
    seen: dict[str, None] = {}
    for arm in arms:
        for row in arm.rows.values():
            for name, value in row.scores.items():
                if value is not None:
                    seen[name] = None
                    if value not in (0, 1):
                        graded.add(name)
    exact = [name for name in seen if name not in graded and name != "json_valid"]
    for name in (result.metrics.primary, "exact_match", "json_equal", "accuracy"):
        if name in exact:
            return name
    return exact[0] if exact else None


def _answer(
    arm: ArmPredictions, row_id: str, judge: str | None, primary: str, num_characters: int
) -> Answer:
    row = arm.rows.get(row_id)
    if row is None:
        return Answer(arm.index, arm.arm, "absent", None, "", False)
    verdict = row.scores.get(judge) if judge else None
    status: Status
    if row.parsed is False:
        status = "unparseable"
    elif verdict is None:
        status = "unscored"
    else:
        status = "right" if verdict == 1 else "wrong"
    graded = row.scores.get(primary)
    score = number_text(graded) if graded is not None and primary != judge else ""
    prediction = clip(row.prediction, num_characters)
    return Answer(arm.index, arm.arm, status, prediction, score, row.finish_reason == "length")


def _without_text(answer: Answer) -> Answer:
    return Answer(answer.index, answer.arm, answer.status, None, answer.score, answer.cut)
