from levertune.anchors.line_up import Proposal, fresh_first, line_up
from levertune.results.anchor_checks import AnchorCheck, Challenger


def named(*texts, origin="pool"):
    return [Proposal(text, origin) for text in texts]


def texts(proposals):
    return [proposal.text for proposal in proposals]


def lined_up(sources, *, contenders=(), limit=4, refused=()):
    return texts(
        line_up(
            "In use.",
            named(*contenders),
            sources,
            limit=limit,
            is_usable=lambda text: text not in refused,
        )
    )


def test_the_sources_take_turns():
    assert lined_up([named("a1", "a2", "a3"), named("b1"), named("c1", "c2")]) == [
        "a1", "b1", "c1", "a2"
    ]  # fmt: skip


def test_who_won_last_time_comes_first():
    assert lined_up([named("a1", "a2")], contenders=("z",), limit=2) == ["z", "a1"]
    assert lined_up([named("a1")], contenders=("x", "y", "z"), limit=2) == ["x", "y"]


def test_no_words_twice_and_never_those_in_use():
    found = lined_up([named("in  use", "Same words!", "same WORDS", "a"), named("z", "b")],
                     contenders=("z",))  # fmt: skip
    assert found == ["z", "Same words!", "b", "a"]


def test_what_cannot_be_an_anchor_is_passed_over():
    assert lined_up([named("a1", "", "a2")], refused=("a1",)) == ["a2"]


def test_a_source_is_asked_for_no_more_than_is_needed():
    def dear():
        raise AssertionError("asked")
        yield

    assert lined_up([dear()], contenders=("x",), limit=1) == ["x"]
    assert lined_up([named("a"), dear()], limit=1) == ["a"]


def test_those_scored_least_often_come_first():
    seen = tuple(Challenger(text, "pool", text, 1, 0.0, 1.0, False) for text in ("a", "b"))
    checks = [AnchorCheck(1, 1, "x", 5, 1.0, seen), AnchorCheck(2, 2, "x", 5, 1.0, seen[:1])]
    assert texts(fresh_first(named("a", "b", "c", "d"), checks)) == ["c", "d", "b", "a"]
    assert texts(fresh_first(named("a", "b"), [])) == ["a", "b"]
