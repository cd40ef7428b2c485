import json

import pytest

from levertune.data.checks import (
    check_task,
    find_regime,
    find_test_rows_in_task,
    require_no_test_rows_in_task,
    require_rows_that_fit,
    require_task_rows,
    unseen_labels,
)
from levertune.data.leak_policy import guard_general
from levertune.data.overlaps import find_conflicts, find_duplicates
from levertune.data.prepared_rows import PreparedRows
from levertune.data.records import RecordFile
from levertune.data.splits import Split
from levertune.errors import DataError


def file_of(records, path="task.jsonl"):
    return RecordFile(tuple(records), path, "jsonl", "prompt/completion", "0" * 64)


def count_words(texts):
    return [len(text.split()) for text in texts]


def count_row(record):
    return len(record.user_text.split()) + len(record.completion.split()) + 3


def leaks_of(task=(), test=(), general=(), test_leaks="drop", train_leaks="drop-exact"):
    """The leaks between the sets, as `runs.leak_gate` finds them."""
    tested = guard_general(general, test, sets="general-test", policy=test_leaks)
    trained = guard_general(tested.files, task, sets="general-train", policy=train_leaks)
    in_task = find_test_rows_in_task([Split(tuple(task), tuple(test))])
    return in_task, tested.leakage, trained.leakage


def check(task, **options):
    defaults = {
        "test": None,
        "general": [],
        "count_tokens": count_words,
        "count_row": count_row,
        "max_length": 50,
        "leakage": leaks_of(),
        "duplicates": find_duplicates(PreparedRows(task.records, options.get("instruction"))),
        "conflicts": find_conflicts(task.records),
        "rendered_tokens": 10,
    }
    return check_task(task, **{**defaults, **options})


def test_report_counts_what_is_there(rows):
    task = file_of(rows(("a b", "X"), ("c", "Y"), ("c", "X"), ("d e f", "Y"), ("D e  f", "y")))
    test = file_of(rows(("c", "Z"), ("zebra", "X")), "test.jsonl")
    general = file_of(rows(("zebra", "no"), ("lion", "yes"), source="g"), "g.jsonl")
    report = check(
        task,
        test=test,
        general=[general],
        english=["a b c"],
        leakage=leaks_of(task.records, test.records, [general]),
        unseen=unseen_labels(task.records, test.records),
    )
    assert (report.task.rows, report.task.tokens, report.task.is_estimated) == (5, 15, False)
    assert (report.test.rows, [summary.source for summary in report.general]) == (2, ["g"])
    assert [group.ids for group in report.conflicts] == [("2", "3")]
    assert [group.ids for group in report.duplicates] == [("4", "5")]
    assert [(o.id, o.like_id, o.kind) for o in report.test_in_task.by_row] == [("1", "2", "prompt")]
    assert [(o.id, o.kind) for o in report.general_in_test.by_row] == [("1", "prompt")]
    assert report.labels == {"X": 2, "Y": 2, "y": 1}
    assert report.unseen_labels == ("Z",)
    warnings = "\n".join(report.warnings)
    for words in (
        "1 prompt with conflicting completions: rows 2, 3",
        "1 task row standing in the file before: rows 4, 5",
        "Test rows like training rows: 1 (1 prompt; '1' like '2')",
        "General rows like test rows, dropped: 1 (1 prompt; '1' like '2')",
    ):
        assert words in warnings
    assert json.loads(json.dumps(report.to_json()))["task"]["rows"] == 5


def test_labels_never_seen_in_training_are_told(rows):
    train, test = rows(("a", "X"), ("b", "X")), rows(("c", "Y"), ("d", "X"), ("e", "Y"))
    assert unseen_labels(train, test) == ["Y"]
    assert unseen_labels(train, rows(("c", "one"), ("d", "two"), ("e", "three"))) == []
    report = check(file_of(train), test=file_of(test), unseen=["Y"])
    assert "1 label of test rows never seen in training: Y" in report.warnings[0]


def test_over_long_rows_are_found_exactly(rows):
    records = rows(*(("w " * n, "X") for n in range(1, 40)))
    report = check(file_of(records), max_length=20)
    assert report.task.over_length == tuple(r.id for r in records if count_row(r) > 20)
    assert "23 rows of task.jsonl longer than 20 tokens, left out" in "\n".join(report.warnings)
    report = check(file_of(records[:2]), test=file_of(records), max_length=20)
    assert report.warnings[-1].startswith("23 test rows longer than the 20 tokens of a training")


def test_tokens_of_large_files_are_estimated(rows, monkeypatch):
    monkeypatch.setattr("levertune.data.checks._MAX_COUNTED_ROWS", 34)
    monkeypatch.setattr("levertune.data.checks._SAMPLED_ROWS", 10)
    monkeypatch.setattr("levertune.data.checks.MAX_NEAR_ROWS", 10)
    records = rows(*((f"row {n}", "X") for n in range(35)))
    report = check(file_of(records))
    assert (report.task.tokens, report.task.is_estimated) == (105, True)
    assert report.near_duplicates is None
    assert "Near duplicates were not looked for" in report.warnings[-1]


def test_one_row_and_rows_that_are_too_long_are_refused(rows):
    with pytest.raises(DataError, match=r"task.jsonl: must hold at least two task rows; found 1"):
        require_task_rows(file_of(rows(("a", "X"))))

    def require(number, *, allow_dropped=False):
        too_long = [{"id": str(i), "reason": "9 tokens"} for i in range(number)]
        require_rows_that_fit("t.csv", too_long, 2, max_length=8, allow_dropped=allow_dropped)

    require(0)
    with pytest.raises(DataError, match=r"1 of 2 task rows are .*_length=8; found row '0' with 9"):
        require(1)
    require(1, allow_dropped=True)
    for allow_dropped in (False, True):
        with pytest.raises(DataError, match=r"all 2 task rows are longer than training\.max_le"):
            require(2, allow_dropped=allow_dropped)


def test_test_rows_in_training_are_refused_unless_allowed(rows):
    two = file_of(rows(("a", "X"), ("b", "Y")))
    test = file_of(rows(("c", "X"), ("B", "y")), "test.jsonl")
    leaks = find_test_rows_in_task([Split(two.records, test.records)]).by_row
    with pytest.raises(DataError, match=r"1 of 2 test rows are training rows too; .* row '2' as"):
        require_no_test_rows_in_task(test, leaks, allow_overlap=False)
    require_no_test_rows_in_task(test, leaks, allow_overlap=True)
    report = check(two, test=test, leakage=leaks_of(two.records, test.records))
    assert "1 test row that is a training row too, as allowed: '2' like '2'" in report.warnings[0]


def test_general_rows_like_others_are_warned_of(rows):
    task = rows(("a", "X"), ("b", "Y"))
    general = [file_of(rows(("A", "x"), ("b", "other"), ("zebra", "no"), source="g"), "g.jsonl")]
    report = check(file_of(task), general=general, leakage=leaks_of((), task, general))
    assert report.general_in_test.counts == {"exact": 1, "prompt": 1}
    assert report.general_in_task.counts == {}
    assert "General rows like test rows, dropped: 2 (1 exact, 1 prompt" in report.warnings[-1]
    report = check(file_of(task), general=general, leakage=leaks_of(task, (), general))
    assert report.general_in_test.counts == {}
    assert report.general_in_task.counts == {"exact": 1, "prompt": 1}
    assert "like training rows, dropped: 1 (1 exact; '1' like '1')." in report.warnings[-2]
    assert "like training rows, kept: 1 (1 prompt; '2' like '2')." in report.warnings[-1]


def test_rows_held_out_are_what_general_rows_are_compared_with(rows):
    records = rows(("a", "X"), ("b", "Y"), ("c", "X"), ("d", "Y"))
    pairs = (("A", "x"), ("d", "other"), ("C", "x"), ("zebra", "no"))
    general = file_of(rows(*pairs, source="g"), "g.jsonl")
    split = Split(tuple(records[:3]), tuple(records[3:]))
    leakage = leaks_of(split.train, split.test, [general])
    report = check(file_of(records), general=[general], leakage=leakage)
    assert report.general_in_test.counts == {"prompt": 1}
    assert report.general_in_task.counts == {"exact": 2}
    assert report.test_in_task.counts == {}
    report = check(file_of(records), leakage=leaks_of(rows(("d", "X"), ("b", "Y")), records[3:]))
    assert report.test_in_task.counts == {"prompt": 1}
    assert "Test rows like training rows: 1" in " ".join(report.warnings)


@pytest.mark.parametrize(
    ("tokens", "name"),
    [
        (9_999, "under 10^4 task tokens"),
        (10_000, "10^4 to 10^5 task tokens"),
        (100_000, "10^5 to 10^6 task tokens"),
        (1_000_000, "10^6 task tokens or more"),
    ],
)
def test_regime_follows_the_tokens(tokens, name):
    assert find_regime(tokens).name == name
