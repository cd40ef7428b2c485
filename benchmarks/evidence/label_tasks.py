"""Two tasks of choosing one of 16 labels, for choices that no test row of the evidence may make.

Run:
    python benchmarks/evidence/label_tasks.py [--data data]

Reads the training rows of `data/tasks/banking_codes` alone and writes `data/labels/codes` and
`data/labels/words`: messages without an instruction, answered with a code drawn here (a small
letter and three digits) or with the name of the message's topic. 128 rows, drawn as a standard cell
draws its test rows, are for testing, the others for training. For the label grid.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

from levertune.anchors.lift import find_shared
from levertune.data.draws import allot_rows
from levertune.data.readers import read_records
from levertune.results.files import write_text_atomically
from levertune.runs.inputs import SPLIT_SEED

SEED = 0
TEST_ROWS = 128  # the standard cell's


def main() -> None:
    """Write both tasks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data"))
    data = parser.parse_args().data
    source = data / "tasks" / "banking_codes" / "train.jsonl"
    records = read_records(str(source)).records
    shared = find_shared(records).instruction
    if shared is None:
        raise SystemExit(f"{source}: its rows share no instruction.")
    topics = [json.loads(line)["intent"] for line in source.read_text("utf-8").splitlines()]
    topic_of = dict(zip((record.id for record in records), topics, strict=True))
    names = sorted(set(topics))
    draw = random.Random(SEED)
    numbers = draw.sample(range(100, 1000), len(names))
    codes = [f"{draw.choice('bcdfghjkmnpqrstvwxz')}{number}" for number in numbers]
    heldout = {record.id for record in allot_rows(records, TEST_ROWS, seed=SPLIT_SEED)}
    for task, labels in (("codes", codes), ("words", names)):
        label_of = dict(zip(names, labels, strict=True))
        for part, is_test in (("train", False), ("test", True)):
            rows = [
                {
                    "id": record.id,
                    "prompt": record.user_text.replace(shared, "").strip(),
                    "response": label_of[topic_of[record.id]],
                }
                for record in records
                if (record.id in heldout) == is_test
            ]
            target = data / "labels" / task / f"{part}.jsonl"
            target.parent.mkdir(parents=True, exist_ok=True)
            lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
            write_text_atomically(target, "".join(lines))
            print(f"{target}: {len(rows)} rows")
        print(f"labels of {task}: {', '.join(labels)}")


if __name__ == "__main__":
    main()
