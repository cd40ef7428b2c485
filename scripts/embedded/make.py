"""Write the generated part of the shipped data: the three tasks, the skills, the retention skills.

Usage:
    python scripts/embedded/make.py            write the files into src/levertune/data/embedded
    python scripts/embedded/make.py --check    compare the shipped files with fresh ones

Every file is a pure function of `SEED` and of the modules beside this one. The self-written rows
come from `make_self_rows.py` and are only carried over here.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path

from commands import command_rows
from notation import notation_rows
from skills import retention_skill_rows, skill_rows
from tickets import ticket_rows

SEED = 0
DATA_DIR = Path(__file__).resolve().parents[2] / "src" / "levertune" / "data" / "embedded"
SELF_PREFIX = "self-"

TASKS = {
    "ticket_codes": ticket_rows,
    "command_json": command_rows,
    "house_notation": notation_rows,
}


def build_files(retention_self: Iterable[dict[str, str]] = ()) -> dict[str, str]:
    """The text of every generated file by its path below `DATA_DIR`.

    Args:
        retention_self: Self-written retention rows, which follow the generated ones.
    """
    files = {}
    for task, rows_of in TASKS.items():
        for split in ("train", "test"):
            rows = rows_of(split, SEED)
            files[f"tasks/{task}/{split}.jsonl"] = to_jsonl(with_ids(rows, f"{task}-{split}"))
    files["general/skills.jsonl"] = to_jsonl(with_ids(skill_rows(SEED), "skills"))
    probe = with_ids(retention_skill_rows(SEED), "retention")
    files["general/retention.jsonl"] = to_jsonl([*probe, *retention_self])
    return files


def with_ids(rows: Iterable[dict[str, str]], stem: str) -> list[dict[str, str]]:
    """The rows, each with an id made of `stem` and its number."""
    return [{"id": f"{stem}-{i:04d}", **row} for i, row in enumerate(rows)]


def to_jsonl(rows: Iterable[dict[str, str]]) -> str:
    """One JSON object a line, characters as they are."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def shipped_retention_self(data_dir: Path) -> list[dict[str, str]]:
    """The self-written rows of the retention file in `data_dir`; none if there is no such file."""
    path = data_dir / "general" / "retention.jsonl"
    if not path.exists():
        return []
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [row for row in rows if row["id"].startswith(SELF_PREFIX)]


def task_texts(data_dir: Path) -> list[str]:
    """Prompts and answers of the shipped tasks, which no general row may quote."""
    texts = []
    for path in sorted((data_dir / "tasks").glob("*/*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            texts += [row["prompt"], row["response"]]
    return texts


def main() -> int:
    """Write or check the files; exit status 1 if a shipped file differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    args = parser.parse_args()
    differing = 0
    for name, text in build_files(shipped_retention_self(DATA_DIR)).items():
        path = DATA_DIR / name
        if not args.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
            print(f"{name}: {text.count(chr(10))} rows, {len(text.encode()) / 1e3:.0f} kB")
        elif not path.exists() or path.read_bytes() != text.encode("utf-8"):
            differing += 1
            print(f"{name}: differs from what the generators write", file=sys.stderr)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
