"""Write examples/tickets.csv: 50 rows of the shipped ticket task, without their instruction.

Run: python scripts/write_example_rows.py, after the task was made anew.
"""

from __future__ import annotations

import csv
import io
import random
from pathlib import Path

from levertune.data.readers import read_records

FILE = Path(__file__).resolve().parents[1] / "examples" / "tickets.csv"
ROWS, SEED = 50, 0


def example_rows() -> str:
    """The file's text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "prompt", "completion"])
    records = read_records("embedded:ticket_codes").records
    for record in random.Random(SEED).sample(records, ROWS):
        message = record.user_text.partition("\nMessage: ")[2]
        number = record.id.rpartition("-")[2]
        writer.writerow([f"ticket-{number}", message, record.completion])
    return text.getvalue()


if __name__ == "__main__":
    FILE.write_text(example_rows(), encoding="utf-8", newline="")
