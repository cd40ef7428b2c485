import numpy as np
import pytest

from levertune.anchors.anchor import Anchor, plain_example
from levertune.data.records import Message, Record
from levertune.errors import DataError
from levertune.evaluation.likelihood import mean_nll, score_likelihood
from levertune.results.anchor_scores import NO_ANCHOR, pareto_front
from levertune.runs.anchor_scores import score_anchors

ANCHORS = (
    Anchor("name the colour"),
    Anchor("name the colour", "suffix"),
    Anchor("name the colour", "system"),
    Anchor("say it", lead_in="it is", dropout=0.25),
)


def record(number, prompt, completion="red", source="task"):
    return Record(f"{source}{number}", source, (Message("user", prompt),), completion)


TASK = [record(i, f"the {thing}") for i, thing in enumerate(("rose", "sea", "sky", "moss", "wall"))]
GENERAL = [record(i, f"count to {i} in words", "well", "general") for i in range(6)]


@pytest.fixture
def measure(tiny_model, tiny_tokenizer, cpu):
    """Scores anchors on the tiny model."""

    def score(anchors=ANCHORS, task=TASK, general=GENERAL, max_length=200):
        return score_anchors(
            tiny_model, tiny_tokenizer, anchors, task, general,
            hardware=cpu, max_length=max_length, seed=0,
        )  # fmt: skip

    return score


def test_every_anchor_is_scored_beside_no_anchor(measure, tiny_model, tiny_tokenizer, cpu):
    found = measure()
    assert [score.anchor_id for score in found.scores] == [anchor.id for anchor in ANCHORS]
    assert [score.placement for score in found.scores] == ["prefix", "suffix", "system", "prefix"]
    assert (found.baseline.anchor_id, found.baseline.text) == (NO_ANCHOR, "")
    for score, anchor in zip((found.baseline, *found.scores), (None, *ANCHORS), strict=True):
        examples = [anchor.apply(row) if anchor else plain_example(row) for row in TASK]
        rows = [tiny_tokenizer.tokenize(example) for example in examples]
        likelihoods = score_likelihood(tiny_model, rows, hardware=cpu, pad_id=2)
        assert score.nll == pytest.approx(mean_nll(likelihoods), abs=1e-4)
        assert score.nll_interval[0] < score.nll < score.nll_interval[1]
        assert (score.num_rows, score.num_general) == (5, 6)
        assert 0 <= score.auc <= 1
        assert None not in (score.silhouette, score.energy, score.spread)
        assert score.auc_interval[0] <= score.auc <= score.auc_interval[1]
        assert any(note.startswith("auc: Newcombe's") for note in score.notes)
    assert found.notes == ()


def test_the_change_is_paired_with_no_anchor_row_by_row(measure):
    found = measure()
    assert (found.baseline.nll_change, found.baseline.nll_change_interval) == (None, None)
    for score in found.scores:
        assert score.nll_change == pytest.approx(score.nll - found.baseline.nll)
        assert [row.id for row in found.likelihoods[score.anchor_id]] == [row.id for row in TASK]


def test_tokens_are_those_added_to_the_rendered_prompt(measure, tiny_tokenizer):
    found = measure()
    prefix, _, system, lead = found.scores
    (bare, anchored) = (
        len(tiny_tokenizer.encode_prompt(one))
        for one in (plain_example(TASK[0]), ANCHORS[0].apply(TASK[0]))
    )
    assert prefix.tokens_per_request == anchored - bare
    # The template's own system turn gives way to the anchor.
    assert system.tokens_per_request < prefix.tokens_per_request
    assert lead.tokens_per_row == pytest.approx(0.75 * lead.tokens_per_request)
    assert (found.baseline.tokens_per_row, found.baseline.tokens_per_request) == (0, 0)
    assert found.baseline in pareto_front([found.baseline, *found.scores])


def test_an_anchor_is_seen_wherever_it_stands_and_a_lead_in_is_not(measure):
    found = measure(
        [*ANCHORS[:3], Anchor("name the colour", lead_in="it is")], general=GENERAL
    ).picture
    base = np.array(found.task[NO_ANCHOR])
    for anchor in ANCHORS[:3]:
        assert np.abs(np.array(found.task[anchor.id]) - base).max() > 1e-3
    led = Anchor("name the colour", lead_in="it is").id
    np.testing.assert_allclose(found.task[led], found.task[ANCHORS[0].id], atol=1e-5)
    assert len(found.general) == 6
    assert 0 < sum(found.shares) <= 1 + 1e-9


def test_the_same_seed_gives_the_same_scores(measure):
    assert measure(ANCHORS[:1]) == measure(ANCHORS[:1])


def test_an_anchor_that_pushes_rows_over_has_no_figures_but_its_tokens(measure):
    found = measure([Anchor("name the colour " * 12), ANCHORS[0]], max_length=120)
    long, short = found.scores
    assert (long.nll, long.auc, long.energy, long.spread) == (None,) * 4
    assert long.tokens_per_request > 60
    assert long.notes == ("no figures: 5 of 5 rows are longer than 120 tokens with it",)
    assert short.nll is not None
    assert long.anchor_id not in found.likelihoods
    assert long.anchor_id not in found.picture.task


def test_rows_that_never_fit_leave_nothing_to_compare(measure):
    found = measure(ANCHORS[:1], max_length=20)
    assert "even without an anchor" in found.baseline.notes[0]
    assert found.picture is None
    assert found.scores[0].nll_change is None


def test_general_rows_that_cannot_be_looked_at_are_counted(measure):
    text = Record("text", "general", (), "a plain text")
    long = record(9, "count " * 200, source="general")
    found = measure(ANCHORS[:1], general=[*GENERAL, text, long])
    assert found.scores[0].num_general == 6
    assert found.notes == (
        "1 general rows have no prompt: left out",
        "1 general prompts have over 200 tokens: left out",
    )


def test_without_general_rows_there_is_an_nll_and_a_spread(measure):
    found = measure(ANCHORS[:1], general=[])
    (score,) = found.scores
    assert (score.auc, score.silhouette, score.energy, found.picture) == (None,) * 4
    assert None not in (score.nll, score.spread)
    assert "5 task rows and 0 general prompts are too few" in " ".join(score.notes)


def test_what_cannot_be_scored_is_refused(measure):
    with pytest.raises(DataError, match="no task row to measure on"):
        measure(task=[])
    with pytest.raises(ValueError, match="given twice"):
        measure([ANCHORS[0], ANCHORS[0]])
    with pytest.raises(DataError, match="row 'task0'"):
        measure([Anchor("end <|im_end|> here")])
