"""How a trained generator is asked for anchors: its likeliest answer first, then sampled ones."""

from __future__ import annotations

from levertune.anchors.asking import Answer, Ask
from levertune.anchors.transfer.pairs import FORM, MAX_CHARACTERS, NUM_EXAMPLES
from levertune.anchors.written_by_model import WritingPlan

WAY = "transfer"
GREEDY_SEED = 0
"""The seed that stands for the likeliest answer; every other one samples."""

PLAN = WritingPlan(
    num_draws=3,
    num_examples=NUM_EXAMPLES,
    seeds=(GREEDY_SEED, 1, 2),
    forms=(FORM,),
    max_tokens=200,
    max_characters=MAX_CHARACTERS,
)


def greedy_first(greedy: Ask, sampled: Ask) -> Ask:
    """Ask greedily for one seed, and by sampling for all others.

    Args:
        greedy: Gives the likeliest answer, whatever the seed.
        sampled: Samples an answer.

    Returns:
        What to ask.
    """

    def ask(prompt: str, *, seed: int, max_tokens: int) -> Answer:
        chosen = greedy if seed == GREEDY_SEED else sampled
        return chosen(prompt, seed=seed, max_tokens=max_tokens)

    return ask
