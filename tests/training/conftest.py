import random

import pytest

from levertune.models.rendering import IGNORE_INDEX, TokenizedExample


@pytest.fixture(scope="session")
def rows():
    """Nineteen rows of different lengths, task and general mixed, one without a prompt."""
    draw = random.Random(0)
    examples = []
    for number in range(19):
        prompt = [draw.randrange(3, 300) for _ in range(draw.randrange(2, 12))]
        completion = [draw.randrange(3, 300) for _ in range(draw.randrange(1, 8))] + [1]
        if number == 5:
            prompt = []
        source = ("task", "prose", "skills")[number % 3]
        examples.append(
            TokenizedExample(
                id=str(number),
                source="prose" if number == 5 else source,
                input_ids=(*prompt, *completion),
                labels=(*[IGNORE_INDEX] * len(prompt), *completion),
                num_end=1,
            )
        )
    return examples
