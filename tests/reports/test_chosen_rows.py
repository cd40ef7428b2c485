"""The section of the report on which general rows were taken, and why."""

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from levertune.reports.chosen_rows import chosen_view
from levertune.reports.page import render_report
from levertune.results.selection import ChosenRow, DepthAgreement, SelectionInfo

CHOSEN = SelectionInfo(
    selector="rds",
    rows=40,
    by_source={"skills": 30, "web": 10},
    top=(
        ChosenRow("skills", "s-7", 0.8125, "t1"),
        ChosenRow("web", "w-2", 0.5, "t2"),
        ChosenRow("web", "w-3", None, None),
    ),
    notes=("After 30 rows, near duplicates were let in.", "All rows there are were taken."),
    seconds=75.0,
    tokens=12_345,
    agreement=DepthAgreement(0.62, 10, 200, 0.05, 20, 30),
    available={"skills": 4500, "web": 868, "unused": 12},
)
TEXTS = {
    ("skills", "s-7"): "Name a tree that sheds its leaves.",
    ("task", "t1"): "apples on a tree",
    ("web", "w-2"): "long " * 80,
}


class Tags(HTMLParser):
    """The names of all tags of a page."""

    def __init__(self, text):
        super().__init__()
        self.names = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.names.append(tag)


@pytest.fixture
def view(demo_result):
    def _view(texts=TEXTS, *, include_text=True, **changes):
        result = replace(demo_result, selection=replace(CHOSEN, **changes))
        return chosen_view(result, texts, include_text=include_text)

    return _view


@pytest.fixture
def section(demo_result):
    """The section's HTML."""

    def _section(info, texts=TEXTS, *, include_text=True):
        result = replace(demo_result, selection=info)
        page = render_report(result, [], texts=texts, include_text=include_text)
        start = page.index('<section id="chosen">')
        return page[start : page.index("</section>", start)]

    return _section


def test_without_general_rows_there_is_no_section(demo_result):
    assert chosen_view(demo_result, {}, include_text=True) is None
    assert 'id="chosen"' not in render_report(demo_result, [])


def test_each_first_choice_has_its_score_and_its_task_row(view):
    first, second, third = view().rows
    assert (first["source"].text, first["id"].text, first["nearest"].text) == (
        "skills",
        "s-7",
        "t1",
    )
    assert (first["score"], second["score"], third["score"]) == ("0.812", "0.500", "not measured")
    assert first["text"].text == TEXTS["skills", "s-7"]
    assert first["task_text"].text == "apples on a tree"
    assert (second["text"].text, second["text"].more) == (("long " * 80)[:200], 200)
    assert (second["task_text"], third["text"], third["nearest"].text) == (None, None, "")


def test_without_text_only_the_ids_stay(view, section):
    for row in view(include_text=False).rows:
        assert row["text"] is row["task_text"] is None
    html = section(CHOSEN, include_text=False)
    assert "s-7" in html
    assert "sheds its leaves" not in html


def test_rows_by_source_stand_beside_what_there_was(view, section):
    sources = [(name.text, *rest) for name, *rest in view().sources]
    assert sources == [
        ("skills", "30", "4,500", "75 %"),
        ("web", "10", "868", "25 %"),
        ("unused", "0", "12", "0 %"),
    ]
    assert '<td class="n">4,500</td>' in section(CHOSEN)
    assert "not counted" in section(replace(CHOSEN, available={}))


def test_sources_beyond_the_page_are_counted(view, section):
    many = {f"source-{i}": 1 for i in range(33)}
    found = view(by_source=many, available={})
    assert (len(found.sources), found.more_sources) == (30, 3)
    assert "and 3 more sources" in section(replace(CHOSEN, by_source=many, available={}))
    assert "more sources" not in section(CHOSEN)


def test_cost_and_agreement_are_told(view):
    facts = dict(view().facts)
    assert facts["rows chosen"] == "40"
    assert facts["tokens through the model"] == "12,345"
    assert facts["agreement with all layers"] == (
        "62 % of the nearest 10 rows in common, on 200 sampled rows with 20 of 30 layers "
        "(5 % by chance)"
    )
    assert "agreement with all layers" not in dict(view(agreement=None).facts)


@pytest.mark.parametrize(
    ("selector", "how", "score"),
    [
        ("bm25", "In turn each task row was given", "BM25 with that task row"),
        ("rds", "In turn each task row was given", "cosine of its states"),
        ("dissimilar", "The control: rows whose nearest task row is farthest", "the nearest to it"),
        ("loss", "In turn each task row was given", "NLL of its answer with its prompt"),
        ("gradient", "In turn each task row was given", "cosine of its gradient"),
    ],
)
def test_each_selector_says_how_it_chose_and_what_its_score_is(section, selector, how, score):
    html = section(replace(CHOSEN, selector=selector))
    assert "<h2>Which general rows were chosen</h2>" in html
    assert how in html
    assert "No test row had a part in it." in html
    assert score in html.replace("&#39;", "'")


def test_notes_are_told_once(section):
    html = section(CHOSEN)
    for note in CHOSEN.notes:
        assert html.count(note) == 1
    assert "near duplicates" not in section(replace(CHOSEN, notes=()))


@pytest.mark.parametrize("selector", ["stratified", "random"])
def test_a_draw_shows_what_was_drawn_from_where(section, selector):
    drawn = replace(
        CHOSEN, selector=selector, top=(), notes=(), seconds=0.0, tokens=0, agreement=None
    )
    html = section(drawn, {})
    assert "<h2>Which general rows were drawn</h2>" in html
    assert "no task row was looked at" in html
    assert '<td class="n">30</td><td class="n">4,500</td><td class="n">75 %</td>' in html
    for words in ("score", "First choices", "selection/", "tokens through", "test row had a part"):
        assert words not in html
    assert "2 rows drawn have" in section(
        replace(drawn, notes=("2 rows drawn have the prompt of another.",))
    )


def test_markup_in_ids_sources_texts_and_notes_is_shown_as_text(section):
    evil = "<img src=x onerror=alert(1)>"
    hostile = replace(
        CHOSEN,
        by_source={evil: 40},
        available={evil: 40},
        top=(ChosenRow(evil, f"id{evil}", 1.0, f"task{evil}"),),
        notes=(f"note {evil}",),
    )
    texts = {(evil, f"id{evil}"): f"text {evil}", ("task", f"task{evil}"): f"prompt {evil}"}
    html = section(hostile, texts)
    assert "img" not in Tags(html).names
    for words in ("id", "task", "note ", "text ", "prompt "):
        assert f"{words}&lt;img src=x onerror=alert(1)&gt;" in html
