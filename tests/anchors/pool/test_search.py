import pytest

from levertune.anchors.pool.entry import PoolExample
from levertune.anchors.pool.search import entry_text, find_similar
from levertune.data.records import Message, Record


def rows(*pairs):
    return [
        Record(str(i), "task", (Message("user", prompt),), completion)
        for i, (prompt, completion) in enumerate(pairs)
    ]


@pytest.fixture
def pool(make_entry):
    recipes = make_entry(
        "dish-to-list",
        text="List what the dish needs.",
        kind="list-writing",
        answer="json",
        task="List the ingredients of a dish.",
        languages=("de",),
        examples=tuple(
            PoolExample(f"{dish} for two", f'["flour", "{dish}"]')
            for dish in ("pancake", "bread", "dumpling", "noodle", "waffle")
        ),
    )
    return [make_entry(), recipes]


def test_entries_that_share_words_with_the_rows_come_first(pool):
    found = find_similar(pool, rows(("Which code has Tromso?", "TRO"), ("code for Alta", "ALT")))
    assert [match.entry.id for match in found] == ["city-to-code", "dish-to-list"]
    assert found[0].words > found[1].words
    found = find_similar(pool, rows(("waffle", "flour, eggs"), ("bread", "flour")))
    assert [match.entry.id for match in found] == ["dish-to-list", "city-to-code"]


def test_the_shared_instruction_is_left_out(pool):
    found = find_similar(
        pool,
        rows(
            ("Which code has the city in the text.\nwaffle", "flour"),
            ("Which code has the city in the text.\nnoodle", "flour"),
        ),
    )
    assert found[0].entry.id == "dish-to-list"
    assert found[1].words == 0


def test_a_match_of_answer_and_language_adds_what_is_documented(pool):
    found = find_similar(pool, rows(("quux", "zork")), answer="json", languages=["de", "fr"])
    dish, city = found
    assert (dish.entry.id, dish.score, dish.same_answer, dish.same_language) == (
        "dish-to-list", pytest.approx(0.15), True, True,
    )  # fmt: skip
    assert (city.score, city.same_answer, city.same_language) == (0.0, False, False)


def test_what_is_unknown_counts_for_nobody_and_ids_break_ties(pool):
    found = find_similar(pool[::-1], rows(("quux", "zork")))
    assert [m.entry.id for m in found] == ["city-to-code", "dish-to-list"]
    assert [(m.score, m.same_answer, m.same_language) for m in found] == [(0.0, None, None)] * 2
    assert find_similar([], rows(("a", "b"))) == ()
    assert [m.score for m in find_similar(pool, [])] == [0.0, 0.0]


def test_the_order_of_entries_and_rows_changes_nothing(pool):
    task = rows(("Which code has Alta?", "ALT"), ("a waffle", "flour"), ("bread", "city"))
    assert find_similar(pool, task) == find_similar(pool[::-1], task[::-1])


def test_only_so_many_entries_are_given(pool):
    assert len(find_similar(pool, rows(("a", "b")), num=1)) == 1
    assert len(find_similar(pool, rows(("a", "b")), num=None)) == 2


def test_a_long_row_counts_no_more_than_a_short_one(pool):
    long = "Which code has the city? " * 50
    found = find_similar(pool, rows((long, "OSL"), ("waffle", "flour"), ("noodle", "flour")))
    assert found[0].entry.id == "dish-to-list"
    assert all(0 <= match.words <= 1 for match in found)


def test_likeness_is_a_share_and_does_not_depend_on_what_else_is_there(pool):
    ours = rows(("Which code has Oslo?", "OSL"), ("Which code has Hamar?", "HAM"))
    alone, among = find_similar(pool[:1], ours)[0], find_similar(pool, ours)[0]
    assert alone.is_alike
    assert among.is_alike
    assert among.entry.id == "city-to-code"
    assert 0.5 < among.words <= 1
    unlike = rows(("Which bird sings at night in a wood?", "owl"), ("It rained all day", "wet"))
    assert not any(match.is_alike for match in find_similar(pool, unlike))
    # The best of what is there is not made into a likeness of 1.
    assert find_similar(pool, unlike)[0].words < 0.12


def test_the_instructions_that_rows_vary_are_left_out(pool):
    asked = ("Which code has the city in the text?", "Give the code of the city that is named.")
    dishes = ("waffle", "noodle", "bread", "pancake", "dumpling", "waffle two")
    dishes += ("toast", "porridge", "omelette", "crumble")
    varied = rows(*((f"{asked[n % 2]}\n{dish}", "flour") for n, dish in enumerate(dishes)))
    dish, city = find_similar(pool, varied)
    assert dish.entry.id == "dish-to-list"
    assert city.words == 0


def test_an_entry_is_found_by_task_kind_text_and_examples(pool):
    text = entry_text(pool[1])
    for part in ("List the ingredients", "list writing", "dish needs", "waffle for two", "flour"):
        assert part in text
