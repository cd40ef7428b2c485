"""What `levertune tune` found: `tune/tune.json` in a run folder, read by the run that uses it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from levertune.results.files import read_json, write_json_atomically
from levertune.results.mapping import from_mapping, to_mapping
from levertune.results.provenance import Provenance

TUNING_FILE = Path("tune") / "tune.json"

Value = int | float
"""A tuned setting is a number."""


@dataclass(frozen=True, slots=True)
class RowLoss:
    """One validation row under a trial.

    Args:
        id: Id of the row.
        nll: Nats over its supervised tokens, the end of the turn included.
        tokens: Number of these tokens.
    """

    id: str
    nll: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Trial:
    """One candidate, trained on one fold's training rows and measured on its validation rows.

    Args:
        settings: The candidate, by recipe key.
        fold: The inner fold, counted from 0.
        rows: Its validation rows; none if the training failed.
        train_rows: Task rows trained on.
        general_rows: General rows trained on.
        train_tokens: Tokens trained on.
        task_loss_share: Task share of the loss trained on (`general.loss_weight` counted); None if
            not known.
        first_loss: Mean training loss on task rows over the first tenth of the log lines; None if
            not logged.
        last_loss: The same over the last tenth.
        seconds: Wall time of training and measuring; None if the training was resumed.
        failure: Why there is no figure; None if there is.
    """

    settings: dict[str, Value]
    fold: int
    rows: tuple[RowLoss, ...]
    train_rows: int
    general_rows: int
    train_tokens: int
    task_loss_share: float | None
    first_loss: float | None
    last_loss: float | None
    seconds: float | None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """What all trials of one candidate say together.

    Args:
        settings: The candidate, by recipe key.
        general_per_task_row: General rows for each task row.
        folds: Inner folds it was measured on; it left the race after these, or won.
        nll: Nats per supervised token on the validation rows of these folds; None if a training
            failed.
        difference: Mean over rows of its nats per token minus the chosen candidate's, on the folds
            both were measured on; None for the chosen one.
        difference_se: Standard error of that mean over rows; None below two rows.
        num_rows: Rows compared.
        task_loss_share: Task share of the loss; None if not known.
        train_tokens: Tokens trained on, a trial.
        has_collapsed: Whether it hardly learnt its own training rows, with more general data than
            the candidate that learnt them best (a critical mixing ratio, 2505.18091).
        failure: Why a trial has no figure.
    """

    settings: dict[str, Value]
    general_per_task_row: float
    folds: int
    nll: float | None
    difference: float | None
    difference_se: float | None
    num_rows: int
    task_loss_share: float | None
    train_tokens: float
    has_collapsed: bool
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class TunedChoice:
    """What was chosen for one arm on one set of training rows.

    Args:
        arm: The arm that was trained: `tell`, or `sft` for all plain arms.
        fold: Fold of the run's cross-validation whose training rows were used; None for all
            training rows.
        settings: The choice, by recipe key.
        candidates: All candidates, the chosen one first, then by nats per token.
    """

    arm: str
    fold: int | None
    settings: dict[str, Value]
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Tuning:
    """A whole tuning.

    Args:
        keys: The recipe keys that were tuned.
        seed: The seed of every trial.
        fingerprint: Hash of rows, model and every other setting: for these the choice holds.
        choices: For each arm a choice a fold, and one for all training rows.
        provenance: Versions and machine.
    """

    keys: tuple[str, ...]
    seed: int
    fingerprint: str
    choices: tuple[TunedChoice, ...]
    provenance: Provenance

    def choice_for(self, arm: str, fold: int | None) -> TunedChoice | None:
        """The choice made for an arm on the training rows of a fold, or on all of them."""
        return next((c for c in self.choices if (c.arm, c.fold) == (arm, fold)), None)


def read_tuning(run_dir: Path) -> Tuning | None:
    """The tuning in a run folder, or None.

    Raises:
        RunError: If the file is broken.
    """
    path = run_dir / TUNING_FILE
    if not path.is_file():
        return None
    return from_mapping(Tuning, read_json(path), where=str(path))


def write_tuning(run_dir: Path, tuning: Tuning) -> Path:
    """Write the tuning of a run folder.

    Returns:
        The file.
    """
    path = run_dir / TUNING_FILE
    write_json_atomically(path, to_mapping(tuning))
    return path


def read_trial(path: Path) -> Trial:
    """One trial's file.

    Raises:
        RunError: If it is broken.
    """
    return from_mapping(Trial, read_json(path), where=str(path))


def write_trial(path: Path, trial: Trial) -> None:
    """Write one trial's file."""
    write_json_atomically(path, to_mapping(trial))
