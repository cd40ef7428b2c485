from dataclasses import fields

from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.results.anchor_scores import AnchorScore, pareto_front


def score(name, nll, silhouette, tokens):
    known = {
        "anchor_id": name, "nll": nll, "silhouette": silhouette, "tokens_per_request": tokens
    }  # fmt: skip
    return AnchorScore(**{
        field.name: known.get(field.name) for field in fields(AnchorScore) if field.name != "notes"
    })  # fmt: skip


def names(scores):
    return [one.anchor_id for one in scores]


def test_what_another_score_beats_is_not_in_the_front():
    scores = [
        score("long", 1.0, 0.9, 40),
        score("beaten", 1.1, 0.9, 41),
        score("short", 1.5, 0.8, 5),
        score("apart", 1.2, 0.99, 40),
    ]
    assert names(pareto_front(scores)) == ["long", "apart", "short"]


def test_equal_scores_stay_together_and_a_tie_in_two_is_decided_by_the_third():
    twins = [score("a", 1.0, 0.9, 8), score("b", 1.0, 0.9, 8)]
    assert names(pareto_front(twins)) == ["a", "b"]
    assert names(pareto_front([*twins, score("c", 1.0, 0.9, 7)])) == ["c"]
    assert names(pareto_front([*twins, score("c", 1.0, 0.95, 8)])) == ["c"]


def test_a_score_with_a_figure_missing_is_not_compared():
    scores = [score("a", 1.0, None, 1), score("b", None, 1.0, 1), score("c", 2.0, 0.5, 9)]
    assert names(pareto_front(scores)) == ["c"]
    assert pareto_front([]) == ()


@settings(max_examples=30)
@given(st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=1, max_size=12))
def test_every_score_is_in_the_front_or_beaten_by_one_that_is(points):
    scores = [score(str(i), n, a, t) for i, (n, a, t) in enumerate(points)]
    front = pareto_front(scores)

    def as_good(one, other):
        return (one.nll <= other.nll and one.silhouette >= other.silhouette
                and one.tokens_per_request <= other.tokens_per_request)  # fmt: skip

    def figures(one):
        return one.nll, one.silhouette, one.tokens_per_request

    for one in scores:
        beaten = any(as_good(o, one) and figures(o) != figures(one) for o in front)
        assert beaten != (one in front)
