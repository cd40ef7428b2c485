"""What a real run leaves is evidence of its anchor, and of no other text."""

from pathlib import Path

import pytest

from levertune.anchors.pool.evidence import measure_evidence
from levertune.errors import DataError
from levertune.results.schema import read_result
from levertune.runs.run import run_recipe

RUN = Path("runs/whole")


def test_the_gain_of_a_finished_run_is_that_of_its_verdict(finished_copy):
    result = read_result(RUN)
    evidence = measure_evidence(RUN)
    gains = {
        c.against: c.difference.value
        for c in result.comparisons
        if c.arm == "tell" and c.metric == evidence.metric
    }
    least = min(gain for arm, gain in gains.items() if arm.startswith("sft"))
    assert evidence.gain == pytest.approx(100 * least, abs=0.01)


def test_an_annealed_run_is_no_evidence(project):
    settings = {"anchor__text": "Name the colour of the thing.", "anchor__schedule": "anneal"}
    recipe = project.recipe(arms=["sft", "tell"], **settings)
    run_recipe(recipe)
    with pytest.raises(DataError, match="served another anchor than it began with; found 0 of"):
        measure_evidence(Path(recipe.output_dir))
