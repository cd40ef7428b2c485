"""Draw `embedded-skills` and the generated half of `embedded-retention` from the skill families."""

from __future__ import annotations

import random
from collections.abc import Callable

import skills_json
import skills_lists
import skills_retention
import skills_rules
import skills_text

Family = Callable[[random.Random], tuple[str, str]]

SKILL_FAMILIES: tuple[Family, ...] = (
    *skills_text.FAMILIES,
    *skills_lists.FAMILIES,
    *skills_json.FAMILIES,
    *skills_rules.FAMILIES,
)
RETENTION_FAMILIES: tuple[Family, ...] = skills_retention.FAMILIES
ROWS_PER_SKILL = 90
ROWS_PER_RETENTION_SKILL = 20
# A family that cannot give a new row in so many draws has run out of rows.
MAX_DRAWS = 200


def skill_rows(seed: int) -> list[dict[str, str]]:
    """The rows of `embedded-skills`: the same number of every family, shuffled."""
    return _draw(SKILL_FAMILIES, ROWS_PER_SKILL, f"skills|{seed}")


def retention_skill_rows(seed: int) -> list[dict[str, str]]:
    """The generated rows of `embedded-retention`."""
    return _draw(RETENTION_FAMILIES, ROWS_PER_RETENTION_SKILL, f"retention|{seed}")


def _draw(families: tuple[Family, ...], rows_each: int, seed: str) -> list[dict[str, str]]:
    rows = []
    for family in families:
        # One generator a family: adding a family leaves the rows of the others as they are.
        rng = random.Random(f"{seed}|{family.__name__}")
        seen: set[str] = set()
        draws = 0
        while len(seen) < rows_each:
            draws += 1
            if draws > MAX_DRAWS * rows_each:
                raise RuntimeError(f"{family.__name__}: no {rows_each} different rows")
            prompt, response = family(rng)
            if prompt not in seen:
                seen.add(prompt)
                rows.append({"prompt": prompt, "response": response, "family": family.__name__})
    random.Random(seed).shuffle(rows)
    return rows
