"""What the code rests on a measurement of the log is dated as the log dates it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# "LOG.md 2026-11-22", "[LOG.md](LOG.md), 2026-11-22", and across the line of a comment.
CITATION = re.compile(r"LOG\.md\)?,?\s+(?:#\s+)?(\d{4}-\d{2}-\d{2})")
HEADING = re.compile(r"^## (\d{4}-\d{2}-\d{2}): ", re.MULTILINE)

PAGES = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
SOURCES = [
    path
    for folder in ("src", "scripts", "benchmarks", "examples")
    for path in (ROOT / folder).rglob("*.py")
]
CITING = {
    str(path.relative_to(ROOT)): found
    for path in sorted([*PAGES, *SOURCES])
    if (found := CITATION.findall(path.read_text(encoding="utf-8")))
}


@pytest.mark.parametrize("name", CITING)
def test_a_cited_entry_of_the_log_is_there(name):
    dates = set(HEADING.findall((ROOT / "LOG.md").read_text(encoding="utf-8")))
    assert set(CITING[name]) <= dates


def test_citations_are_found_however_they_are_written():
    assert {"src/levertune/models/batches.py", "README.md"} <= set(CITING)
    assert CITATION.findall("# (LOG.md,\n# 2026-11-22; x)") == ["2026-11-22"]
