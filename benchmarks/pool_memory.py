"""What the rows of a general source take in memory, beside the order, which takes next to nothing.

    python benchmarks/pool_memory.py [--rows 20000]

Reads files of `--rows` rows of 100, 1,000 and 4,000 characters (prompt and completion together),
and the shipped `embedded-skills`, as a run does. Prints for each:

- `bytes a row`: what is held once the file is read;
- `beside the text`: that without one byte a character: turns, ids, and the row itself. Text that is
  not Latin takes two or four bytes a character;
- `peak a row`: the most while the file is read, of a large one (from 32 MiB) for the second time.

Counted by `tracemalloc`, so what Python holds and not what the system gave it.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import tempfile
import tracemalloc
from pathlib import Path

LENGTHS = (100, 1_000, 4_000)
SHIPPED = "embedded-skills"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    num_rows = parser.parse_args().rows
    print("| rows | characters a row | bytes a row | beside the text | peak a row |")
    print("| --- | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LEVERTUNE_CACHE"] = folder
        measure(SHIPPED, SHIPPED)
        for length in LENGTHS:
            path = Path(folder) / f"rows-{length}.jsonl"
            write_rows(path, num_rows, length)
            measure(str(path), f"{num_rows:,} of a file")


def write_rows(path: Path, num_rows: int, length: int) -> None:
    """Rows of so many characters, a quarter of them the prompt's, no two alike."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(num_rows):
            text = (f"{number} " * length)[:length]
            row = {"prompt": text[: length // 4], "completion": text[length // 4 :]}
            file.write(json.dumps(row) + "\n")


def measure(path: str, name: str) -> None:
    """Read one source and print its line."""
    from levertune.data.general import read_general

    read_general(path)  # modules imported on the way are not the rows'
    gc.collect()
    tracemalloc.start()
    files = read_general(path)
    gc.collect()
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    rows = [record for file in files for record in file.records]
    characters = sum(
        len(row.completion) + sum(len(turn.content) for turn in row.prompt) for row in rows
    )
    each = [held, held - characters, peak]
    numbers = " | ".join(f"{number / len(rows):,.0f}" for number in (characters, *each))
    print(f"| {name} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
