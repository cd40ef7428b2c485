"""Label metrics against scikit-learn, and how unknown answers are counted."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.scoring.metrics import find_metric

LABELS = ["red", "green", "blue", "grey"]
rows = st.lists(
    st.tuples(st.sampled_from(LABELS), st.sampled_from([*LABELS, "none of these"])),
    min_size=1,
    max_size=30,
)


def score(name, pairs):
    return find_metric(name).score([answer for _, answer in pairs], [[true] for true, _ in pairs])


@pytest.mark.filterwarnings("ignore::UserWarning:sklearn")
@given(rows, st.data())
@settings(max_examples=60)
def test_label_metrics_agree_with_scikit_learn_on_any_resample(pairs, data):
    from sklearn.metrics import (
        accuracy_score,
        balanced_accuracy_score,
        f1_score,
        matthews_corrcoef,
    )

    index = data.draw(st.lists(st.integers(0, len(pairs) - 1), min_size=1, max_size=30))
    true = [pairs[row][0] for row in index]
    # One unknown answer or another is the same class: not a label.
    known = {label for label, _ in pairs}
    answers = [pairs[row][1] if pairs[row][1] in known else "other" for row in index]
    assert score("accuracy", pairs).aggregate(index) == pytest.approx(accuracy_score(true, answers))
    assert score("macro_f1", pairs).aggregate(index) == pytest.approx(
        f1_score(true, answers, labels=sorted(set(true)), average="macro", zero_division=0)
    )
    assert score("balanced_accuracy", pairs).aggregate(index) == pytest.approx(
        balanced_accuracy_score(true, answers)
    )
    mcc = score("mcc", pairs).aggregate(index)
    if len(set(true)) == 1 or len(set(answers)) == 1:
        assert mcc is None  # 0/0, which scikit-learn calls 0.
    else:
        assert mcc == pytest.approx(matthews_corrcoef(true, answers))


def test_unknown_answers_are_wrong_and_counted_apart():
    scored = score("accuracy", [("red", "red"), ("green", "I think green"), ("green", "red")])
    assert scored.num_unparseable == 1
    assert scored.unparseable.tolist() == [False, True, False]
    assert scored.per_row.tolist() == [1, 0, 0]
    assert scored.aggregate() == pytest.approx(1 / 3)


def test_a_label_known_from_training_is_not_unparseable():
    metric = find_metric("macro_f1")
    assert metric.score(["blue"], [["red"]]).num_unparseable == 1
    assert metric.score(["blue"], [["red"]], labels=["blue"]).num_unparseable == 0


def test_whitespace_around_a_label_is_ignored_and_case_is_not():
    scored = find_metric("accuracy").score([" red\n", "RED"], [["red"], ["red "]])
    assert scored.per_row.tolist() == [1, 0]
    assert scored.num_unparseable == 1


def test_any_reference_of_a_row_counts_as_its_first():
    scored = find_metric("macro_f1").score(["crimson", "red"], [["red", "crimson"], ["crimson"]])
    assert scored.per_row.tolist() == [1, 0]


def test_macro_f1_of_rows_is_correctness():
    scored = score("macro_f1", [("red", "red"), ("green", "red")])
    assert scored.per_row.tolist() == [1, 0]


def test_no_rows_have_no_score():
    for name in ("accuracy", "macro_f1", "balanced_accuracy", "mcc"):
        assert find_metric(name).score([], []).aggregate() is None
