import pytest

from levertune.data.overlaps import find_conflicts, find_duplicates, find_overlaps

INSTRUCTION = "Give the ticket code for this message."
RUN = "one two three four five six seven eight nine ten eleven twelve thirteen"
LONG = "the parcel that i ordered for my sister two weeks ago has still not come and i am cross"


def found(left, right, **options):
    return [(o.left_id, o.right_id, o.kind) for o in find_overlaps(left, right, **options)]


@pytest.mark.parametrize(
    ("left", "right", "kind"),
    [
        (("Where is it?", "A"), ("where  IS it?\n", "a"), "exact"),
        (("Where is it?", "A"), ("Where is it?", "B"), "prompt"),
        (("Where is it?", "A"), ("Where is, it", "A"), "13-gram"),
        ((f"zero {RUN}", "A"), (f"x {RUN} fourteen", "A"), "13-gram"),
        ((f"zero {RUN}", "A"), ("tell", f"x {RUN} fourteen"), "13-gram"),
        ((LONG, "A"), (f"{LONG} today", "A"), "13-gram"),
        ((LONG, "A"), (LONG.replace("weeks", "weekz"), "A"), "near"),
        (("refund my topup number 4411", "A"), ("refund my topup number 441", "A"), "near"),
        (("one two three", "A"), ("one two three four", "A"), None),
        (("Where is it?", "same label here"), ("Is it there?", "same label here"), None),
        (("", "A"), ("!", "A"), None),
    ],
)
def test_strongest_kind_of_overlap_is_told(rows, left, right, kind):
    expected = [("1", "2", kind)] if kind else []
    assert found(rows(left), rows(("nothing like it at all", "Z"), right)) == expected


def test_shared_instruction_does_not_count(rows):
    left = rows((f"{INSTRUCTION}\nWhere is it?", "A"), (f"{INSTRUCTION}\nWho are you?", "A"))
    right = rows((f"{INSTRUCTION}\nWhere is its", "A"), ("Who are you?", "A"))
    assert found(left, right, instruction=INSTRUCTION) == [("2", "2", "exact")]
    assert ("1", "1", "near") in found(left, right)
    left = rows((f"Where is it?\n{INSTRUCTION}\nCode:", "A"))
    assert found(left, rows(("Where is it? Code:", "A")), instruction=INSTRUCTION)


def test_system_text_is_part_of_the_prompt(record):
    left = [record("hi", "A", system="Speak French.")]
    assert found(left, [record("hi", "A", system="speak french.")]) == [("1", "1", "exact")]
    assert found(left, [record("hi", "A")], kinds=("exact", "prompt")) == []
    assert found(left, [record("hi", "A")], instruction="Speak French.", kinds=("exact",))


def test_sources_travel_along_and_kinds_can_be_chosen(rows):
    overlaps = find_overlaps(rows(("a b", "A"), source="g"), rows(("a b", "A")))
    assert [(o.left_source, o.right_source) for o in overlaps] == [("g", "task")]
    assert found(rows(("a b", "A")), rows(("a b", "B")), kinds=("exact", "near")) == [
        ("1", "1", "near")
    ]
    assert found([], rows(("a", "A"))) == found(rows(("a", "A")), []) == []


def test_near_twins_are_left_out_above_the_limit(rows, monkeypatch):
    monkeypatch.setattr("levertune.data.overlaps.MAX_NEAR_ROWS", 1)
    assert found(rows((LONG[:50], "A")), rows((LONG[:52], "A"))) == []


def test_duplicates_and_conflicts_are_grouped(rows):
    records = rows(("a", "X"), ("A ", "x"), ("a", "Y"), ("b", "X"), ("b", "X "))
    assert [group.ids for group in find_duplicates(records)] == [("1", "2"), ("4", "5")]
    assert [group.ids for group in find_conflicts(records)] == [("1", "3")]
