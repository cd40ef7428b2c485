"""Makes the generators of `scripts/embedded` importable and reads the shipped rows."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "embedded"))

DATA_DIR = ROOT / "src" / "levertune" / "data" / "embedded"


@pytest.fixture(scope="session")
def rows_of():
    """Rows of a file below the data folder."""

    def read(name):
        text = (DATA_DIR / name).read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    return read
