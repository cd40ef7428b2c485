import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.anchors.pool.ranking import _shrink, claimed_gain, rank_entries, suggest_anchors
from levertune.data.records import Message, Record

Z = 1.959963984540054


def gain(make_evidence, value, error, **changes):
    interval = (value - Z * error, value + Z * error)
    return make_evidence(
        **{"gain": value, "interval": interval, "verified": True, "n": 10_000, **changes}
    )


def test_the_estimate_is_that_of_the_formula():
    # Worked by hand: equal variances 1, gains 0, 3 and 9.
    shrunken = _shrink({"a": (0.0, 1.0), "b": (3.0, 1.0), "c": (9.0, 1.0)})
    between = (42.0 - 2) / (3 - 1)
    share = 1 / (1 + between)
    for name, value in {"a": 0.0, "b": 3.0, "c": 9.0}.items():
        found, error = shrunken[name]
        assert found == pytest.approx(4 + (1 - share) * (value - 4))
        assert error == pytest.approx(math.sqrt((1 - share) + share**2 * (1 + between) / 3))


def test_gains_that_differ_by_no_more_than_their_errors_are_all_the_pool_mean():
    shrunken = _shrink({"a": (1.0, 4.0), "b": (2.0, 1.0)})
    assert [value for value, _ in shrunken.values()] == [pytest.approx(1.8)] * 2
    assert _shrink({"a": (3.0, 1.0)}) == {"a": (3.0, 1.0)}


figures = st.tuples(st.floats(-50, 50), st.floats(0.01, 100))


@settings(max_examples=60)
@given(st.lists(figures, min_size=1, max_size=8))
def test_a_shrunken_gain_lies_between_the_gain_and_the_others(found):
    combined = {str(i): figure for i, figure in enumerate(found)}
    means = [mean for mean, _ in found]
    for name, (value, error) in _shrink(combined).items():
        assert min(means) - 1e-6 <= value <= max(means) + 1e-6
        assert 0 <= error <= math.sqrt(combined[name][1]) + 1e-6


def test_a_large_uncertain_gain_stands_behind_a_sure_one(make_entry, make_evidence):
    lucky = make_entry("lucky", evidence=(gain(make_evidence, 14.0, 12.0),))
    sure = make_entry("sure", evidence=(gain(make_evidence, 10.0, 0.5),))
    poor = make_entry("poor", evidence=(gain(make_evidence, -2.0, 0.5),))
    ranked = rank_entries([poor, lucky, sure])
    assert [one.entry.id for one in ranked] == ["sure", "lucky", "poor"]
    assert ranked[0].gain > ranked[1].gain > ranked[2].gain
    assert all(one.is_verified and one.against == "sft" and one.num_runs == 1 for one in ranked)


def test_unverified_entries_come_last_and_are_marked(make_entry, make_evidence):
    claimed = make_entry("a", evidence=(make_evidence(gain=90.0),), votes=1_000)
    harmful = make_entry("b", evidence=(gain(make_evidence, -5.0, 1.0),))
    bare = make_entry("c")
    ranked = rank_entries([bare, claimed, harmful])
    assert [one.entry.id for one in ranked] == ["b", "a", "c"]
    assert [one.is_verified for one in ranked] == [True, False, False]
    assert ranked[1].gain is None


def test_what_is_claimed_of_an_entry_is_the_mean_of_its_unverified_gains(make_entry, make_evidence):
    claims = (
        gain(make_evidence, 4.0, 1.0, verified=False),
        gain(make_evidence, 6.0, 1.0, verified=False, run="c" * 64, task="c" * 64),
        gain(make_evidence, 50.0, 0.1, verified=False, against="base"),
    )
    assert claimed_gain(make_entry(evidence=claims)) == (pytest.approx(5.0), "sft")
    assert claimed_gain(make_entry(evidence=claims[2:])) == (pytest.approx(50.0), "base")
    assert claimed_gain(make_entry(evidence=(gain(make_evidence, 4.0, 1.0),))) is None
    assert claimed_gain(make_entry()) is None


def test_votes_then_ids_break_ties_alone(make_entry, make_evidence):
    same = [
        make_entry(name, votes=votes, evidence=(gain(make_evidence, 2.0, 1.0),))
        for name, votes in (("a", 0), ("b", 7), ("c", 0))
    ]
    assert [one.entry.id for one in rank_entries(same)] == ["b", "a", "c"]
    bare = [make_entry("a"), make_entry("b", votes=1), make_entry("c")]
    assert [one.entry.id for one in rank_entries(bare[::-1])] == ["b", "a", "c"]


def test_gains_against_sft_and_against_the_base_are_shrunken_apart(make_entry, make_evidence):
    untrained = make_entry("base", evidence=(gain(make_evidence, 60.0, 1.0, against="base"),))
    both = make_entry(
        "both",
        evidence=(
            gain(make_evidence, 3.0, 1.0),
            gain(make_evidence, 40.0, 1.0, against="base"),
        ),
    )
    ranked = rank_entries([untrained, both])
    assert [(one.entry.id, one.against) for one in ranked] == [("both", "sft"), ("base", "base")]
    assert ranked[0].gain == pytest.approx(3.0)


def test_one_run_counts_once_and_runs_of_other_rows_add_up(make_entry, make_evidence):
    twice = (
        gain(make_evidence, 4.0, 1.0),
        gain(make_evidence, 9.0, 0.1, metric="zeta"),
        gain(make_evidence, 6.0, 1.0, run="c" * 64, task="c" * 64),
    )
    (ranked,) = rank_entries([make_entry(evidence=twice)])
    assert ranked.num_runs == 2
    assert ranked.gain == pytest.approx(5.0)
    assert ranked.error == pytest.approx(math.sqrt(0.5))


@pytest.mark.parametrize("num_repeats", [2, 4])
def test_the_same_rows_run_again_are_no_new_evidence(make_entry, make_evidence, num_repeats):
    repeats = tuple(gain(make_evidence, 14.0, 12.0, run=f"{i:064}") for i in range(num_repeats))
    sure = [
        make_entry(f"sure-{int(value)}", evidence=(gain(make_evidence, value, 1.0),))
        for value in (2.0, 9.0)
    ]

    def rank(evidence):
        ranked = rank_entries([make_entry("doubtful", evidence=evidence), *sure])
        return next(one for one in ranked if one.entry.id == "doubtful")

    once, again = rank(repeats[:1]), rank(repeats)
    assert again.gain == pytest.approx(once.gain)
    assert again.error == pytest.approx(once.error)
    assert again.num_runs == num_repeats
    elsewhere = tuple(
        gain(make_evidence, 14.0, 12.0, run=f"{i:064}", model=f"m{i}") for i in range(num_repeats)
    )
    assert rank(elsewhere).gain > once.gain
    assert rank(elsewhere).error < once.error


def test_repeats_agree_on_their_mean_with_the_error_of_one_of_them(make_entry, make_evidence):
    repeats = (
        gain(make_evidence, 4.0, 1.0),
        gain(make_evidence, 10.0, 2.0, run="c" * 64),
    )
    (ranked,) = rank_entries([make_entry(evidence=repeats)])
    assert ranked.gain == pytest.approx((4.0 + 10.0 / 4) / (1 + 1 / 4))
    assert ranked.error == pytest.approx(math.sqrt((1 + 4) / 2))


def test_an_interval_without_width_is_not_endlessly_sure(make_entry, make_evidence):
    (ranked,) = rank_entries([make_entry(evidence=(gain(make_evidence, 0.0, 0.0, n=50),))])
    assert ranked.error == pytest.approx(1.0)


def test_similarity_chooses_and_gain_orders(make_entry, make_evidence):
    task = [Record("1", "task", (Message("user", "Which code has Alta?"),), "ALT")]
    words = {"text": "Weigh it.", "task": "Weigh.", "kind": "weight"}
    far = make_entry(
        "far",
        **words,
        evidence=(gain(make_evidence, 30.0, 1.0),),
        examples=tuple(type(make_entry().examples[0])(f"stone{i}", f"{i} kg") for i in range(5)),
    )
    near, proven = (
        make_entry("near"),
        make_entry("proven", text="Say the code.", evidence=(gain(make_evidence, 2.0, 1.0),)),
    )
    found = suggest_anchors([far, near, proven], task, num_similar=2)
    assert [one.ranked.entry.id for one in found] == ["proven", "near"]
    assert found[0].ranked.is_verified
    assert not found[1].ranked.is_verified
    everything = suggest_anchors([far, near, proven], task, num_similar=3)
    assert [one.ranked.entry.id for one in everything] == ["proven", "near", "far"]
    assert [one.match.is_alike for one in everything] == [True, True, False]


def test_among_unverified_entries_the_most_similar_comes_first(make_entry):
    task = [Record("1", "task", (Message("user", "Which code has Alta?"),), "ALT")]
    other = make_entry("a", answer="json", votes=9)
    found = suggest_anchors([other, make_entry("b")], task, answer="label")
    assert [one.ranked.entry.id for one in found] == ["b", "a"]
