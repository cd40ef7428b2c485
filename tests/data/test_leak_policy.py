import pytest

from levertune.data.leak_policy import guard_general, warn_of_leakage
from levertune.data.records import RecordFile
from levertune.errors import DataError

LIKE = (("a", "A"), ("b", "B"), ("how do i reset the pin of my card", "C"))


@pytest.fixture
def general(rows):
    def make(*pairs, name="g"):
        return RecordFile(tuple(rows(*pairs, source=name)), f"{name}.jsonl", "jsonl", "", "0" * 64)

    return make


@pytest.fixture
def files(general):
    return [
        general(("A", "a"), ("B", "other"), ("zebra", "no")),
        general(("lion", "yes"), ("how do i change the pin of my card", "C"), name="h"),
    ]


@pytest.mark.parametrize(
    ("policy", "gone"),
    [
        ("drop", [("g", "1"), ("g", "2"), ("h", "2")]),
        ("drop-exact", [("g", "1")]),
        ("keep", []),
    ],
)
def test_rows_are_dropped_as_the_policy_says_listed_and_counted(rows, files, policy, gone):
    guarded = guard_general(files, rows(*LIKE), sets="general-test", policy=policy)
    left = {(r.source, r.id) for file in guarded.files for r in file.records}
    assert left == {(r.source, r.id) for file in files for r in file.records} - set(gone)
    assert [(row["source"], row["id"]) for row in guarded.dropped] == gone
    assert guarded.leakage.counts == {"exact": 1, "prompt": 1, "near": 1}
    assert sum(guarded.leakage.dropped.values()) == len(gone)
    warnings = warn_of_leakage(guarded.leakage)
    assert len(warnings) == {"drop": 1, "drop-exact": 2, "keep": 1}[policy]


def test_every_pair_is_kept_and_a_row_counts_once(rows, general):
    prompt = LIKE[2][0]
    like = rows(*LIKE, (prompt.replace("pin", "code"), "C"), (prompt.replace("card", "app"), "C"))
    guarded = guard_general([general((prompt, "C"))], like, sets="general-test", policy="keep")
    pairs = [(leak.id, leak.like_id, leak.kind) for leak in guarded.leakage.leaks]
    assert pairs == [("1", "3", "exact"), ("1", "4", "near"), ("1", "5", "near")]
    assert guarded.leakage.counts == {"exact": 1}
    assert warn_of_leakage(guarded.leakage) == [
        "General rows like test rows, kept: 1 (1 exact; '1' like '3')."
    ]


def test_test_rows_taken_for_a_templates_are_counted_and_warned_of(rows, general):
    names = ("ada", "ben", "cleo", "dan", "eve", "finn", "gus", "hal", "ida", "jo", "kit", "lou")
    like = [(f"how does one {verb} the lock of a garden shed", "C") for verb in ("open", "paint")]
    made = [(f"{n} asks: {prompt}? says {n}", "yes") for prompt, _ in like for n in names]
    for sets, told in (("general-test", True), ("general-train", False)):
        guarded = guard_general([general(*made)], rows(*like), sets=sets, policy="drop")
        assert len(guarded.files[0].records) == 24
        assert guarded.leakage.passed_over == ("1", "2")
        warnings = warn_of_leakage(guarded.leakage)
        assert bool(warnings) == told
    guarded = guard_general([general(*made)], rows(*like), sets="general-test", policy="drop")
    [warning] = warn_of_leakage(guarded.leakage)
    assert warning.startswith("Test rows taken for a template's: 2 ('1', '2'). More than ten gen")


def test_reasons_name_the_row(rows, files):
    guarded = guard_general(files, rows(*LIKE), sets="general-train", policy="drop")
    assert [row["reason"] for row in guarded.dropped] == [
        "equals training row '1'",
        "has the prompt of training row '2'",
        "nearly equals training row '3'",
    ]


def test_leaks_are_refused_where_that_is_the_policy(rows, files):
    message = r"general.test_leaks: 3 of 5 general rows are like test rows; found row '1', which eq"
    with pytest.raises(DataError, match=message):
        guard_general(files, rows(*LIKE), sets="general-test", policy="refuse")
    guard_general(files, rows(("other", "X")), sets="general-test", policy="refuse")


def test_a_source_whose_every_row_leaks_is_refused(rows, files, general):
    copies = general(("a", "A"), ("B", "b"), name="copies")
    message = r"copies.jsonl: all 2 rows of general source 'copies' are like training rows; .*"
    message += r"Name other rows, or keep them with general.train_leaks=keep."
    with pytest.raises(DataError, match=message):
        guard_general([*files, copies], rows(*LIKE), sets="general-train", policy="drop-exact")
    kept = guard_general([copies], rows(*LIKE), sets="general-train", policy="keep")
    assert len(kept.files[0].records) == 2


def test_a_source_without_rows_stays_as_it_is(rows, general):
    empty = general(name="empty")
    assert guard_general([empty], rows(*LIKE), sets="general-test", policy="drop").files == (empty,)
