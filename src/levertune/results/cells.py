"""`cell.json` and `predictions.jsonl`: what one arm, seed and fold leaves on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from levertune.errors import RunError
from levertune.results.anchor_checks import AnchorCheck
from levertune.results.dispersion import Dispersion
from levertune.results.files import (
    read_json,
    read_jsonl,
    write_json_atomically,
    write_jsonl_atomically,
)
from levertune.results.mapping import from_mapping, to_mapping
from levertune.results.provenance import Provenance

CELL_FILE = "cell.json"
PREDICTIONS_FILE = "predictions.jsonl"


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens seen in training, exposures counted.

    Args:
        task: Tokens of task rows, prompts included.
        general: Tokens of general rows, prompts included.
        supervised_task: Task tokens the loss was taken on.
        supervised_general: General tokens the loss was taken on.
    """

    task: int
    general: int
    supervised_task: int
    supervised_general: int


@dataclass(frozen=True, slots=True)
class Seconds:
    """Wall time; None where the step did not happen.

    Args:
        train: Training alone.
        evaluate: Likelihood and generation.
        total: All of it, loading included.
    """

    train: float | None
    evaluate: float | None
    total: float | None


@dataclass(frozen=True, slots=True)
class Nll:
    """Negative log-likelihood of the references of one set of rows, in nats.

    Args:
        per_token: Mean over reference tokens, the end-of-turn token left out.
        per_row: Mean over rows of the row's summed NLL, the end-of-turn token left out.
        end_of_turn: Mean over rows of the NLL of the end-of-turn token.
        n_rows: Rows measured.
        n_tokens: Reference tokens measured.
    """

    per_token: float | None
    per_row: float | None
    end_of_turn: float | None
    n_rows: int
    n_tokens: int


@dataclass(frozen=True, slots=True)
class NllByRows:
    """NLL of three sets of rows; None where a set was not measured.

    Args:
        task: The test rows of the task, with the arm's own prompt.
        general_heldout: Held-out rows of the general sources that were mixed in.
        retention: Rows of sources that were never mixed in.
    """

    task: Nll | None = None
    general_heldout: Nll | None = None
    retention: Nll | None = None


@dataclass(frozen=True, slots=True)
class KlToBase:
    """Mean token KL divergence to the base model, in nats; None where it was not measured.

    Args:
        general_heldout: On held-out rows of the general sources that were mixed in.
        retention: On rows of sources that were never mixed in.
    """

    general_heldout: float | None = None
    retention: float | None = None


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One logged moment of training; None where nothing of that kind was seen.

    Args:
        step: Optimizer steps taken so far.
        loss: Mean loss of the supervised tokens since the last point.
        task_loss: The same over task tokens.
        general_loss: The same over general tokens.
        learning_rate: Learning rate at that step.
        validation_nll: NLL per token on the rows held out for early stopping.
    """

    step: int
    loss: float | None
    task_loss: float | None = None
    general_loss: float | None = None
    learning_rate: float | None = None
    validation_nll: float | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """One arm at one seed (and fold, and subset). The file's presence means the cell is done.

    Args:
        arm: Name of the arm.
        seed: Seed of the cell.
        fold: Fold of the cross-validation, from 0; None without one.
        subset: Name of the subset of task rows; None for all.
        task_rows: Task rows trained on.
        exposures: Times each of them was trained on; 0 for an arm that is not trained.
        steps_taken: Optimizer steps taken.
        general_rows: General rows trained on.
        tokens: Tokens seen in training.
        seconds: Wall time.
        tokens_per_second: Real (unpadded) tokens a second in training; None if not trained.
        peak_memory_bytes: Highest memory in use; None if it could not be measured.
        stopped_early_at: Step that `sft-steps` was stopped at, before it had taken those of `tell`;
            None if it took as many, and for other arms.
        nll: Likelihoods.
        kl_to_base: Divergences from the base model.
        num_test_rows: Test rows generated for.
        num_unparseable: Predictions that could not be read as an answer (they count as wrong).
        dispersion: Where the task rows fell; None for an arm without a mixture.
        curve: Training log, thinned to at most a few hundred points.
        fingerprint: Hash of everything the cell was trained and tested on.
        provenance: Versions and machine kind.
        scores: Value of each metric over this cell's test rows; None where it is undefined.
        checks: Checks that challenged its anchor while training; empty where none did.
    """

    arm: str
    seed: int
    fold: int | None
    subset: str | None
    task_rows: int
    exposures: float
    steps_taken: int
    general_rows: int
    tokens: TokenCounts
    seconds: Seconds
    tokens_per_second: float | None
    peak_memory_bytes: int | None
    stopped_early_at: int | None
    nll: NllByRows
    kl_to_base: KlToBase
    num_test_rows: int
    num_unparseable: int
    dispersion: Dispersion | None
    curve: tuple[CurvePoint, ...]
    fingerprint: str
    provenance: Provenance
    scores: dict[str, float | None] = field(default_factory=dict)
    checks: tuple[AnchorCheck, ...] = ()


@dataclass(frozen=True, slots=True)
class PredictionRow:
    """One line of `predictions.jsonl`.

    Args:
        id: Id of the test row.
        prompt: The user's text as this arm saw it.
        references: Answers that count as right.
        prediction: What the model wrote.
        finish_reason: `stop` for an end-of-turn token, `length` for the token limit.
        scores: Row score of each metric that has one; None where it is undefined.
        parsed: Whether an answer could be read; None for a task kind without a parser.
        nll: Summed NLL of the first reference in nats, end of turn left out; None if not measured.
        num_tokens: Tokens of that reference.
        end_nll: NLL of the end-of-turn token after that reference.
    """

    id: str
    prompt: str
    references: tuple[str, ...]
    prediction: str
    finish_reason: Literal["stop", "length"]
    scores: dict[str, float | None]
    parsed: bool | None
    nll: float | None
    num_tokens: int | None
    end_nll: float | None


def cell_dir(arm: str, seed: int, *, fold: int | None = None, subset: str | None = None) -> str:
    """Folder of a cell below its run folder, as `arms/tell/seed-0/fold-2`.

    Args:
        arm: Name of the arm.
        seed: Seed of the cell.
        fold: Fold, or None.
        subset: Name of a subset, or None.
    """
    parts = ["arms", arm, f"seed-{seed}"]
    if fold is not None:
        parts.append(f"fold-{fold}")
    if subset is not None:
        parts.append(f"subset-{subset}")
    return "/".join(parts)


def write_cell(folder: Path, cell: Cell) -> Path:
    """Write `cell.json` into a cell's folder, as the last of its files.

    Args:
        folder: The cell's folder.
        cell: What to write.

    Returns:
        The file.
    """
    path = folder / CELL_FILE
    write_json_atomically(path, to_mapping(cell))
    return path


def read_cell(folder: Path) -> Cell:
    """Read and check the `cell.json` of a cell's folder.

    Args:
        folder: The cell's folder.

    Returns:
        The cell.

    Raises:
        RunError: If the file is missing, is not JSON, or has a missing, unknown or wrong key.
    """
    path = folder / CELL_FILE
    return from_mapping(Cell, read_json(path), where=str(path))


def write_predictions(folder: Path, rows: Sequence[PredictionRow]) -> Path:
    """Write `predictions.jsonl` into a cell's folder.

    Args:
        folder: The cell's folder.
        rows: One row a test row, in test order.

    Returns:
        The file.
    """
    path = folder / PREDICTIONS_FILE
    write_jsonl_atomically(path, [to_mapping(row) for row in rows])
    return path


def read_predictions(folder: Path) -> list[PredictionRow]:
    """Read and check the `predictions.jsonl` of a cell's folder.

    Args:
        folder: The cell's folder.

    Returns:
        The rows in file order.

    Raises:
        RunError: If the file is missing or a row has a missing, unknown or wrong key.
    """
    path = folder / PREDICTIONS_FILE
    if not path.is_file():
        raise RunError(f"{path}: no such file. Evaluate that arm first (levertune eval).")
    return [
        from_mapping(PredictionRow, row, where=f"{path}, line {number}")
        for number, row in enumerate(read_jsonl(path), start=1)
    ]
