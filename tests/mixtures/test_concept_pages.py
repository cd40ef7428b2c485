import doctest
import re
from pathlib import Path

import pytest

CONCEPTS = Path(__file__).parents[2] / "docs" / "concepts"


@pytest.mark.parametrize("page", ["mixture.md", "anchor.md"])
def test_worked_examples_of_the_page_are_right(page):
    text = (CONCEPTS / page).read_text(encoding="utf-8")
    source = "\n".join(re.findall(r"^```pycon\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    test = doctest.DocTestParser().get_doctest(source, {}, page, page, 0)
    failures: list[str] = []
    result = doctest.DocTestRunner().run(test, out=failures.append)
    assert result.attempted > 5
    assert result.failed == 0, "".join(failures)
