"""The evidence tasks with their shared instruction said in eight ways, and without it.

Run:
    python benchmarks/evidence/vary_instructions.py [--data data]

Reads `data/tasks/NAME` and writes `data/varied/NAME`: the rows that a standard cell trains on for
each seed, and the rows it tests on, each with the instruction they share or one of seven written
here, drawn at random; and in files named `bare` the same rows without any. Rows keep their ids and
order, so that runs of all are compared row by row. For the anchor grid.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path

from levertune.anchors.lift import find_shared
from levertune.data.draws import allot_rows
from levertune.data.readers import read_records
from levertune.data.records import Record
from levertune.data.splits import draw_subset
from levertune.results.files import write_text_atomically
from levertune.runs.inputs import SPLIT_SEED

SEED = 0
SEEDS = range(8)
TRAIN_ROWS, TEST_ROWS = 48, 128  # the standard cell's

INSTRUCTIONS = {
    "banking_codes": (
        "What is the ticket code of the following message to a bank?",
        "A bank customer wrote the message below. Name its ticket code.",
        "Look at the message of the customer and write the code of the ticket.",
        "Under which ticket code does the bank file this message?",
        "Classify the message of a bank's customer by its ticket code.",
        "Read the message and answer with the bank's code for such tickets.",
        "Please assign a ticket code to what this customer says.",
    ),
    "snips_json": (
        'Write the request as a JSON object that has an "intent" and "slots".',
        'What does the user want? Answer in JSON, "intent" first, then "slots".',
        'Find the "intent" of what is said and its "slots", and give both as JSON.',
        'Convert the following request to JSON. Use the keys "intent" and "slots".',
        'Read the request and put its meaning into JSON ("intent", "slots").',
        'Give me the "intent" and the "slots" of this request in JSON.',
        'Analyse the spoken request. Output: JSON with "intent" and "slots".',
    ),
}


def main() -> None:
    """Write both tasks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data"))
    data = parser.parse_args().data
    for name, instructions in INSTRUCTIONS.items():
        train, test = (
            read_records(str(data / "tasks" / name / f"{part}.jsonl")).records
            for part in ("train", "test")
        )
        shared = find_shared(train).instruction
        if shared is None:
            raise SystemExit(f"{name}: its rows share no instruction.")
        parts = {f"train-{seed}": draw_subset(train, TRAIN_ROWS, seed=seed) for seed in SEEDS}
        parts["test"] = tuple(allot_rows(test, TEST_ROWS, seed=SPLIT_SEED))
        for part, records in parts.items():
            for prefix, said in (("", (shared, *instructions)), ("bare-", ("",))):
                rows = vary(records, shared, said)
                target = data / "varied" / name / f"{prefix}{part}.jsonl"
                target.parent.mkdir(parents=True, exist_ok=True)
                lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
                write_text_atomically(target, "".join(lines))
                print(f"{target}: {len(rows)} rows")


def vary(
    records: Sequence[Record], shared: str, instructions: Sequence[str]
) -> list[dict[str, str]]:
    """Rows, each with one of the instructions (or an empty text) in the place of the shared one."""
    draw = random.Random(SEED)
    rows = []
    for record in records:
        if record.user_text.count(shared) != 1:
            raise SystemExit(f"row {record.id}: does not have the instruction once.")
        prompt = record.user_text.replace(shared, draw.choice(instructions)).strip()
        rows.append({"id": record.id, "prompt": prompt, "response": record.completion})
    return rows


if __name__ == "__main__":
    main()
