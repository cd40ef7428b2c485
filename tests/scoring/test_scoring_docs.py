"""The worked examples of the concept pages are true, and the tables name what exists."""

import doctest
import re
from pathlib import Path

import pytest

from levertune.scoring.kinds import choose_metrics
from levertune.scoring.metrics import METRICS

CONCEPTS = Path(__file__).parents[2] / "docs" / "concepts"


@pytest.mark.parametrize("page", ["metrics.md", "statistics.md"])
def test_worked_examples_are_true(page):
    result = doctest.testfile(str(CONCEPTS / page), module_relative=False, encoding="utf-8")
    assert result.attempted > 3
    assert result.failed == 0


def test_the_decision_table_in_the_docs_is_the_one_in_the_code():
    page = (CONCEPTS / "metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .* \| `(\w+)` \| `(\w+)` \| (.*) \|$", page, flags=re.MULTILINE)
    assert [kind for kind, _, _ in rows] == ["json", "label", "number", "code", "text"]
    for kind, primary, others in rows:
        choice = choose_metrics(kind)
        assert (choice.primary, list(choice.others)) == (primary, re.findall(r"`(\w+)`", others))


def test_every_metric_is_explained():
    page = (CONCEPTS / "metrics.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \| [−0-9]", page, flags=re.MULTILINE) == list(METRICS)
