"""What `levertune tune` found: `tune/tune.json` in a run folder, read by the run that uses it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from levertune.results.files import read_json, write_json_atomically
from levertune.results.mapping import from_mapping, to_mapping
from levertune.results.provenance import Provenance

TUNING_FILE = Path("tune") / "tune.json"

Value = int | float | str
"""A tuned setting: a number, or the words of an anchor."""

_SHOWN_CHARACTERS = 60


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
        difference: Its nats per token minus the chosen candidate's, on the folds both were measured
            on; None for the chosen one.
        difference_se: Standard error of that, paired by row; None below two rows.
        num_rows: Rows compared.
        task_loss_share: Task share of the loss; None if not known.
        train_tokens: Tokens trained on, a trial.
        has_collapsed: Whether it hardly learnt its own training rows, with more general data than
            the candidate of the same other settings that learnt them best (a critical mixing ratio,
            2505.18091).
        failure: Why a trial has no figure.
        anchor_tokens: Tokens its anchor adds to a request; None where anchors were not tuned.
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
    anchor_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class ProposedAnchor:
    """An anchor that was written for a tuning, raced or not.

    Args:
        setting: What `anchor.text` is for it: its words, or `auto`.
        text: Its words.
        way: How it was written: `recipe`, `hand`, or a way of `levertune anchor suggest`.
        tokens: Tokens it adds to a request: where training shortens it, those it ends with.
        nll: Nats a token of the training rows' answers under the base model with it; None if it
            does not fit beside them.
        design_tokens: Tokens that models read and wrote for it; None if one did not say.
        design_seconds: Wall time of writing it.
        design_requests: Requests to a model, repeated ones included.
        left_out: Why it was not raced; None if it was.
    """

    setting: str
    text: str
    way: str
    tokens: int
    nll: float | None
    design_tokens: int | None
    design_seconds: float
    design_requests: int
    left_out: str | None = None


@dataclass(frozen=True, slots=True)
class TunedChoice:
    """What was chosen for one arm on one set of training rows.

    Args:
        arm: The arm that was trained: `tell`, or `sft` for all plain arms.
        fold: Fold of the run's cross-validation whose training rows were used; None for all
            training rows.
        settings: The choice, by recipe key.
        candidates: All candidates, the chosen one first, then those measured on more folds, and of
            as many by nats per token; those that failed last.
        anchors: Every anchor that was written for the choice; empty where anchors were not tuned.
    """

    arm: str
    fold: int | None
    settings: dict[str, Value]
    candidates: tuple[Candidate, ...]
    anchors: tuple[ProposedAnchor, ...] = ()


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

    def without(self, keys: Collection[str], arms: Collection[str]) -> Tuning | None:
        """The tuning as if some keys had not been tuned for some arms; None if nothing is left."""
        choices = []
        for choice in self.choices:
            if choice.arm in arms:
                kept = {key: value for key, value in choice.settings.items() if key not in keys}
                choice = replace(choice, settings=kept)
            if choice.settings:
                choices.append(choice)
        if not choices:
            return None
        left = {key for choice in choices for key in choice.settings}
        return replace(
            self, keys=tuple(key for key in self.keys if key in left), choices=tuple(choices)
        )


def describe_settings(settings: Mapping[str, Value]) -> str:
    """Settings in a line: `task.exposures=12, anchor.text='Give the code.'`; long texts cut."""
    return ", ".join(f"{key}={_shown(value)}" for key, value in settings.items())


def _shown(value: Value) -> str:
    if not isinstance(value, str):
        return f"{value:g}"
    line = " ".join(value.split())
    if len(line) > _SHOWN_CHARACTERS:
        line = line[: _SHOWN_CHARACTERS - 3] + "..."
    return line if line.isidentifier() else repr(line)


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


@dataclass(frozen=True, slots=True)
class Proposal:
    """The anchors of a choice as they are kept, so that a tuning goes on with the same ones.

    Args:
        fingerprint: Hash of what they were written from.
        anchors: The anchors, those to race first.
        notes: What a reader should know of them.
    """

    fingerprint: str
    anchors: tuple[ProposedAnchor, ...]
    notes: tuple[str, ...]


def read_proposal(path: Path) -> Proposal | None:
    """The anchors kept in a file, or None if there is none.

    Raises:
        RunError: If the file is broken.
    """
    if not path.is_file():
        return None
    return from_mapping(Proposal, read_json(path), where=str(path))


def write_proposal(path: Path, proposal: Proposal) -> None:
    """Keep the anchors of a choice."""
    write_json_atomically(path, to_mapping(proposal))


def read_trial(path: Path) -> Trial:
    """One trial's file.

    Raises:
        RunError: If it is broken.
    """
    return from_mapping(Trial, read_json(path), where=str(path))


def write_trial(path: Path, trial: Trial) -> None:
    """Write one trial's file."""
    write_json_atomically(path, to_mapping(trial))
