from levertune.data.overlaps import find_conflicts, find_duplicates
from levertune.data.prepared_rows import PreparedRows


def test_duplicates_and_conflicts_are_grouped(rows):
    records = rows(("a", "X"), ("A ", "x"), ("a", "Y"), ("b", "X"), ("b", "X "))
    assert [group.ids for group in find_duplicates(PreparedRows(records))] == [
        ("1", "2"),
        ("4", "5"),
    ]
    assert [group.ids for group in find_conflicts(records)] == [("1", "3")]


def test_rows_with_another_system_text_are_no_duplicates(record):
    records = [record("hi", "A", 1, system="Speak French."), record("hi", "A", 2)]
    assert find_duplicates(PreparedRows(records)) == []
    assert len(find_duplicates(PreparedRows(records, "Speak French."))) == 1
