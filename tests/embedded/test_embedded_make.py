"""The generators write the shipped files byte for byte."""

import json

import make
import pytest
import skills


@pytest.fixture(scope="module")
def fresh_files():
    return make.build_files(make.shipped_retention_self(make.DATA_DIR))


def test_the_shipped_files_are_what_the_generators_write(fresh_files):
    for name, text in fresh_files.items():
        assert (make.DATA_DIR / name).read_bytes() == text.encode("utf-8"), name


def test_another_seed_gives_other_rows_of_the_same_number():
    for rows_of in make.TASKS.values():
        one, two = rows_of("train", 0), rows_of("train", 1)
        assert len(one) == len(two)
        assert one != two


def test_all_files_together_stay_below_four_megabytes():
    total = sum(path.stat().st_size for path in make.DATA_DIR.rglob("*.jsonl"))
    assert total < 4e6


def test_self_written_retention_rows_are_carried_over(tmp_path):
    assert make.shipped_retention_self(tmp_path) == []
    path = tmp_path / "general" / "retention.jsonl"
    path.parent.mkdir()
    rows = [{"id": "retention-0"}, {"id": "self-held-1"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert make.shipped_retention_self(tmp_path) == [rows[1]]


def test_a_family_without_enough_different_rows_is_an_error():
    def poor(rng):
        return "the same", "prompt"

    with pytest.raises(RuntimeError, match="poor: no 2 different rows"):
        skills._draw((poor,), 2, "seed")
