from types import SimpleNamespace

import pytest

from levertune.data.records import Message, Record
from levertune.errors import DataError
from levertune.recipes.general_section import GeneralSection, GeneralSource
from levertune.recipes.recipe import MixtureSection
from levertune.runs.general_amounts import (
    Drawable,
    describe_drawn,
    describe_shortfalls,
    drawable,
    require_room,
)
from levertune.runs.general_draw import draw_general


def make_rows(source, count):
    return [
        Record(str(i), source, (Message("user", f"{source} {i}"),), "x", (), f"family {i % 3}", i)
        for i in range(count)
    ]


def recipe_of(**section):
    return SimpleNamespace(general=GeneralSection(**section), mixture=MixtureSection())


def source(path, **limits):
    return GeneralSource(path=path, **limits)


def four(record):
    return 4


POOL = {name: make_rows(name, 9) for name in ("a", "web/x", "web/y")}


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ([source("a"), source("web")], Drawable(0, 27)),
        ([source("a", rows=4), source("web")], Drawable(4, 22)),
        ([source("a", rows=4), source("web", rows=10)], Drawable(14, 14)),
        ([source("a", rows=99), source("web", weight=0)], Drawable(9, 9)),
        ([source("a", tokens=21), source("web")], Drawable(5, 23)),
    ],
)
def test_what_can_be_drawn_is_what_a_draw_of_any_number_gives(sources, expected):
    recipe = recipe_of(sources=sources)
    names = {s.source_name for s in sources if s.is_used}
    pool = {file: rows for file, rows in POOL.items() if file.split("/")[0] in names}
    found = drawable(recipe, pool, count_tokens=four)
    assert found == expected
    for wanted in (1, 12, 1000):
        drawn = draw_general(recipe, pool, num_rows=wanted, seed=3, count_tokens=four)
        assert len(drawn) == min(max(wanted, found.fewest), found.most)


@pytest.mark.parametrize(
    ("rows", "sources", "said"),
    [
        (28, [source("a"), source("web")], "28 general rows were asked for; there are 27."),
        (27, [source("a"), source("web")], None),
        ("auto", [source("a", rows=3)], None),
        (
            20,
            [source("a", rows=3)],
            "20 general rows were asked for; with the sources' own `rows` and `tokens` there are "
            "3.",
        ),
        (
            10,
            [source("web", rows=15)],
            "10 general rows were asked for; by their own `rows` and `tokens` the sources give 15, "
            "and these are taken.",
        ),
        (
            0,
            [source("web", rows=15)],
            "general.rows is 0, so that the 15 rows sources ask for are left out.",
        ),
        (20, [source("a"), source("self:500")], None),
    ],
)
def test_rows_that_are_not_to_be_had_or_come_anyway_are_said(rows, sources, said):
    recipe = recipe_of(sources=sources, rows=rows)
    names = {s.source_name for s in sources}
    pool = {file: rows for file, rows in POOL.items() if file.split("/")[0] in names}
    assert describe_shortfalls(recipe, pool) == ([] if said is None else [said])


def test_a_source_asked_for_more_than_it_has_is_said_and_gives_what_it_has():
    pool = {name: make_rows(name, 6) for name in ("a", "b/x", "b/y", "c", "d")}
    sources = [
        source("a", rows=7), source("b", rows=12), source("c", tokens=25), source("d", tokens=24),
        source("e", rows=1),
    ]  # fmt: skip
    recipe = recipe_of(sources=sources, rows=None)
    said = describe_shortfalls(recipe, pool, count_tokens=lambda record: 4)
    assert said == [
        "general.sources: 7 rows of 'a' were asked for; there are 6.",
        "general.sources: 1 rows of 'e' were asked for; there are 0.",
        "general.sources: 25 tokens of 'c' were asked for; there are 24.",
    ]
    assert describe_shortfalls(recipe, pool) == said[:2]
    drawn = draw_general(recipe, pool, num_rows=0, seed=0, count_tokens=lambda record: 4)
    assert len({(r.source, r.id) for r in drawn}) == len(drawn) == 6 + 12 + 6 + 6


def test_a_share_of_tokens_that_a_source_lacks_is_said():
    pool = {"a": make_rows("a", 2), "b": make_rows("b", 20)}
    recipe = recipe_of(sources=[source("a", weight=3), source("b")], rows=None, tokens=40)
    assert describe_shortfalls(recipe, pool, count_tokens=lambda record: 4) == [
        "general.tokens: 30 tokens of 'a' were asked for; there are 8."
    ]


def test_a_limit_in_tokens_that_a_draw_falls_far_short_of_is_said():
    pool = {"a": make_rows("a", 9)}
    sizes = dict.fromkeys((r.id for r in pool["a"]), 45)
    recipe = recipe_of(sources=[source("a")], rows=None, tokens=80)
    expected = "general.tokens: 80 tokens of 'a' were asked for; a draw takes 45, as the next row"
    (said,) = describe_shortfalls(recipe, pool, count_tokens=lambda r: sizes[r.id])
    assert said == f"{expected} does not fit."
    drawn = draw_general(recipe, pool, num_rows=0, seed=0, count_tokens=lambda r: sizes[r.id])
    assert describe_drawn(recipe, pool, drawn, count_tokens=lambda r: sizes[r.id]) == [
        "80 tokens of 'a' were asked for; 1 of 9 rows were drawn, with 45 tokens: the next did not "
        "fit."
    ]
    recipe = recipe_of(sources=[source("a")], rows=None, tokens=95)  # nearly met
    assert describe_shortfalls(recipe, pool, count_tokens=lambda r: sizes[r.id]) == []
    drawn = draw_general(recipe, pool, num_rows=0, seed=0, count_tokens=lambda r: sizes[r.id])
    assert describe_drawn(recipe, pool, drawn, count_tokens=lambda r: sizes[r.id]) == []


@pytest.mark.parametrize(
    ("section", "refused"),
    [
        ({"sources": [source("a", tokens=3)], "rows": None}, "general.sources: 3 tokens of 'a' "),
        ({"sources": [source("a")], "rows": None, "tokens": 3}, "general.tokens: 3 tokens of 'a' "),
        (
            {"sources": [source("a"), source("web")], "rows": None, "tokens": 3, "select": "bm25"},
            "general.tokens: 3 tokens ",
        ),
    ],
)
def test_a_limit_in_tokens_that_no_row_fits_is_refused(section, refused):
    message = (
        f"{refused}were asked for, and no row has so few; found 4 in the shortest. Ask for more "
        "tokens, or for a number of rows."
    )
    with pytest.raises(DataError) as caught:
        require_room(recipe_of(**section), POOL, count_tokens=four)
    assert str(caught.value) == message


def test_an_amount_of_rows_none_of_which_can_be_trained_on_is_refused():
    recipe = recipe_of(sources=[source("a", tokens=30)], rows=None)
    message = (
        r"^general.sources: 30 tokens of 'a' were asked for, and none of the 9 rows is within "
        "training.max_length. Raise it, or name other rows.$"
    )
    with pytest.raises(DataError, match=message):
        require_room(recipe, POOL, count_tokens=lambda record: 0)
    some = {"0": 0, "1": 40}  # of those within it none has so few
    with pytest.raises(DataError, match="found 40 in the shortest"):
        require_room(recipe, POOL, count_tokens=lambda record: some.get(record.id, 40))


@pytest.mark.parametrize(
    "section",
    [
        {"sources": [source("a", tokens=4)], "rows": None},
        {"sources": [source("a", tokens=3)], "rows": 0},  # nothing is taken anyway
        {"sources": [source("a"), source("web", weight=9)], "rows": None, "tokens": 20},
        {"sources": [source("a"), source("web")], "rows": None, "tokens": 6, "select": "bm25"},
        {"sources": [source("a"), source("self:9")], "rows": None, "tokens": 3},  # not sampled yet
    ],
)
def test_a_limit_in_tokens_that_some_row_fits_is_not_refused(section):
    require_room(recipe_of(**section), POOL, count_tokens=four)


def test_a_share_of_tokens_that_no_row_of_its_source_fits_is_said():
    recipe = recipe_of(sources=[source("a"), source("web", weight=9)], rows=None, tokens=20)
    assert describe_shortfalls(recipe, POOL, count_tokens=four) == [
        "general.tokens: 2 tokens of 'a' were asked for; a draw takes 0, as the next row does not "
        "fit."
    ]
