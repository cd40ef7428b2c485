"""Time and memory of `levertune check` on a generated task of 100,000 rows.

Run: python benchmarks/check_speed.py [ROWS]
The target is 15 s and 500 MB for 100,000 rows (exact duplicates and 13-word runs; near duplicates
are looked for in up to 20,000 rows).
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_SYLLABLES = [a + b for a in "bdfgklmnprstv" for b in ("a", "e", "i", "o", "u", "ar", "en", "il")]


def write_rows(path: Path, rows: int, seed: int) -> None:
    generator = random.Random(seed)
    words = ["".join(generator.choices(_SYLLABLES, k=generator.randint(1, 4))) for _ in range(8000)]
    codes = [f"{generator.choice('ABCDEFG')}{n}" for n in range(40)]
    with path.open("w", encoding="utf-8") as file:
        for _ in range(rows):
            text = " ".join(generator.choices(words, k=generator.randint(8, 30)))
            row = {
                "prompt": f"Give the ticket code for this message.\nMessage: {text}.",
                "completion": generator.choice(codes),
            }
            file.write(json.dumps(row) + "\n")


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        task, test = Path(folder, "task.jsonl"), Path(folder, "test.jsonl")
        write_rows(task, rows, seed=0)
        write_rows(test, 1000, seed=1)
        command = [sys.executable, "-m", "levertune.cli.main", "check", "--task", str(task)]
        command += ["--test", str(test), "--general", "embedded-skills", "--json"]
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - start
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = usage.ru_utime + usage.ru_stime
        peak = usage.ru_maxrss / 1024
        size = task.stat().st_size / 1e6
    print(f"{rows:,} rows, {size:.0f} MB: {seconds:.1f} s ({cpu:.1f} s of CPU), peak {peak:.0f} MB")


if __name__ == "__main__":
    main()
