"""A finished run to an entry of the pool; only rows the user names are published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from levertune.anchors.lift import remove_instruction
from levertune.anchors.pool.entry import PoolEntry, PoolEvidence, PoolExample
from levertune.anchors.pool.evidence import measure_evidence, require_text
from levertune.anchors.pool.rules import MIN_EXAMPLES, Against, Answer
from levertune.data.records import Record
from levertune.errors import DataError
from levertune.results.schema import RunResult, read_result


def build_contribution(
    result: RunResult,
    examples: Sequence[PoolExample],
    *,
    entry_id: str,
    kind: str,
    task: str,
    languages: Sequence[str],
    licence: str,
    author: str,
    answer: Answer | None = None,
    evidence: Sequence[PoolEvidence] = (),
) -> PoolEntry:
    """Make an entry of the anchor that a run used.

    Args:
        result: The run's result; of it the anchor's text and the kind of answer are taken.
        examples: The rows to publish, as `name_examples` gives them.
        entry_id: The entry's id.
        kind: The kind of task.
        task: One sentence that says what the task is.
        languages: Primary language tags of the rows.
        licence: SPDX identifier of the licence text and examples are published under.
        author: Who wrote it.
        answer: The kind of answer; the run's unless given.
        evidence: What `measure_evidence` gave; unverified, whoever measured it.

    Returns:
        The entry.

    Raises:
        DataError: If the run had no anchor, or a value breaks a rule of the pool.
    """
    if result.anchor is None:
        raise DataError(
            f"run {result.name!r}: had no anchor; found none to contribute. Run again with one."
        )
    recognised: Answer = result.task.kind  # type: ignore[assignment]  # the entry checks it
    return PoolEntry(
        id=entry_id,
        text=result.anchor.text,
        kind=kind,
        answer=answer or recognised,
        task=task,
        languages=tuple(languages),
        licence=licence,
        author=author,
        examples=tuple(examples),
        evidence=tuple(replace(item, verified=False) for item in evidence),
    )


def add_evidence(
    entry: PoolEntry, run_dir: str | Path, *, against: Sequence[Against] = ("sft",)
) -> PoolEntry:
    """Add what a run measured to an entry; evidence it had of the same measurement is replaced.

    Args:
        entry: The entry, of the text the run used.
        run_dir: The run folder.
        against: What gains are measured against.

    Returns:
        The entry with the evidence, which is unverified unless the very same was verified before.

    Raises:
        DataError: If the run used another text or a gain cannot be measured.
        RunError: If the run is not done or a file of it is damaged.
    """
    require_text(entry, read_result(Path(run_dir)), str(run_dir))
    measured = [measure_evidence(run_dir, against=one) for one in dict.fromkeys(against)]
    verified = {replace(item, verified=False): item for item in entry.evidence if item.verified}
    measured = [verified.get(item, item) for item in measured]
    new = {item.measurement for item in measured}
    kept = (item for item in entry.evidence if item.measurement not in new)
    return replace(entry, evidence=(*kept, *measured))


def name_examples(
    records: Sequence[Record], row_ids: Sequence[str], *, instruction: str | None = None
) -> tuple[PoolExample, ...]:
    """The rows a user named for publishing, without the instruction their prompts share.

    Args:
        records: The task rows.
        row_ids: Ids of the rows to publish, at least five. No other row is looked at.
        instruction: The instruction the rows share, taken out of the prompts; None for none.

    Returns:
        The examples in the order named.

    Raises:
        DataError: If fewer than five rows are named, one is named twice, is not there, or is no
            single turn with an answer.
    """
    if len(row_ids) < MIN_EXAMPLES:
        raise DataError(
            f"examples: name at least {MIN_EXAMPLES} rows to publish; found {len(row_ids)}. No row "
            "is published unasked."
        )
    by_id = {record.id: record for record in records}
    examples = []
    for number, row_id in enumerate(row_ids):
        if row_id in row_ids[:number]:
            raise DataError(f"examples: row {row_id!r} is named twice. Name another.")
        if row_id not in by_id:
            raise DataError(
                f"examples: there is no row {row_id!r}; found {len(by_id)} rows with ids such as "
                f"{list(by_id)[:3]}. Name one of the task file."
            )
        record = by_id[row_id]
        if instruction:
            record = remove_instruction(record, instruction)
        turns = [turn for turn in record.prompt if turn.role != "system"]
        if len(turns) != 1:
            raise DataError(
                f"examples: row {row_id!r} has {len(turns)} turns before its answer; an example "
                "has one prompt. Name another row."
            )
        examples.append(PoolExample(turns[0].content, record.completion))
    return tuple(examples)
