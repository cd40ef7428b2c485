"""One entry of the pool: an anchor with what it is for, rows that show it, and what it gained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from levertune.anchors.anchor import Anchor
from levertune.anchors.pool.rules import Against, Answer, Fault, Key, find_faults
from levertune.errors import DataError


@dataclass(frozen=True, slots=True)
class PoolExample:
    """A row that shows what the anchor is for.

    Args:
        prompt: The user's text, without the anchor.
        completion: The answer.
    """

    prompt: str
    completion: str


@dataclass(frozen=True, slots=True)
class PoolEvidence:
    """What TELL with the anchor gained in one run.

    Args:
        run: SHA-256 of the run's `result.json`.
        model: Name of the base model.
        task: SHA-256 of the task rows.
        against: What the gain is measured against: `sft`, the best SFT arm of the run, or `base`,
            the base model as it is.
        metric: Name of the metric.
        n: Test rows.
        seeds: Training seeds.
        gain: Mean difference, paired by row and seed, in points; positive is better.
        interval: Its 95 % interval, in points.
        verified: Whether the gain was recomputed from the run that `run` names.
    """

    run: str
    model: str
    task: str
    against: Against
    metric: str
    n: int
    seeds: int
    gain: float
    interval: tuple[float, float]
    verified: bool

    @property
    def measurement(self) -> tuple[str, str, str]:
        """What two statements of the same measurement have in common."""
        return self.run, self.against, self.metric


@dataclass(frozen=True, slots=True)
class PoolEntry:
    """An anchor of the pool. Its texts are data: nothing in them is run or filled in.

    Args:
        id: Its name, also that of its file.
        text: The anchor's words.
        kind: The kind of task, as `field-extraction`.
        answer: The kind of answer.
        task: One sentence that says what the task is.
        languages: Primary language tags (BCP 47) of the rows.
        licence: SPDX identifier of the licence of text and examples.
        author: Who wrote it.
        examples: Rows of the task, at least five.
        evidence: Measured gains.
        votes: How many people liked it; it only breaks ties.

    Raises:
        DataError: If a value breaks a rule of the pool (`rules.find_faults`).
    """

    id: str
    text: str
    kind: str
    answer: Answer
    task: str
    languages: tuple[str, ...]
    licence: str
    author: str
    examples: tuple[PoolExample, ...]
    evidence: tuple[PoolEvidence, ...] = ()
    votes: int = 0

    def __post_init__(self) -> None:
        faults = find_faults(self.to_mapping())
        if faults:
            raise DataError(describe_fault(faults[0], f"anchor {self.id!r}"))

    @property
    def anchor_id(self) -> str:
        """Content hash of the text, by the rule of `Anchor.id`."""
        return Anchor(self.text).id

    def to_mapping(self) -> dict[str, Any]:
        """The entry as its file holds it."""
        return asdict(self)


def build_entry(
    value: Any, *, where: str, stem: str | None = None, lines: Mapping[Key, int] | None = None
) -> PoolEntry:
    """Build an entry from a parsed file.

    Args:
        value: The parsed file.
        where: What to call the file in errors.
        stem: The file's name without its ending, which must be the id; None without a file.
        lines: Line of each key, counted from 1.

    Returns:
        The entry.

    Raises:
        DataError: If anything is wrong with it; the first fault is told.
    """
    faults = find_faults(value, stem=stem)
    if faults:
        raise DataError(describe_fault(faults[0], where, lines))
    examples = tuple(PoolExample(**example) for example in value["examples"])
    evidence = tuple(
        PoolEvidence(
            **{
                **item,
                "gain": float(item["gain"]),
                "interval": tuple(float(end) for end in item["interval"]),
            }
        )
        for item in value["evidence"]
    )
    languages = tuple(value["languages"])
    return PoolEntry(
        **{**value, "languages": languages, "examples": examples, "evidence": evidence}
    )


def describe_fault(fault: Fault, where: str, lines: Mapping[Key, int] | None = None) -> str:
    """A fault on one line: file, line, field, what is wrong, what was found, what to do.

    Args:
        fault: The fault.
        where: What to call the file.
        lines: Line of each key, counted from 1.
    """
    line = ""
    for end in range(len(fault.key), 0, -1):
        if lines and fault.key[:end] in lines:
            line = f", line {lines[fault.key[:end]]}"
            break
    field = f"{fault.field}: " if fault.key else ""
    return f"{where}{line}: {field}{fault.problem}"
