import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from levertune.errors import RunError
from levertune.reports.anchor_page import MAX_ANCHORS, render_anchor_page, write_anchor_page
from levertune.reports.layout import MAX_BYTES
from levertune.reports.plane_figures import WIDTH, fit_frame
from levertune.results.anchor_scores import (
    NO_ANCHOR,
    AnchorScore,
    AnchorScores,
    Picture,
    pareto_front,
)

HOSTILE = (
    "<script>alert(1)</script>",
    "</style><img src=x onerror=alert(1)>",
    "\"><svg onload='alert(1)'>",
    "</title></desc></svg><!--",
    "{{ 7 * 7 }}{% raw %}",
)
METHODS = ("nll: bootstrap over rows", "auc: Newcombe's method 5", "energy: jackknife over rows")
VOID = {"meta", "br", "circle", "rect", "line", "path", "polygon", "use"}


class Page(HTMLParser):
    """Tags with attributes, visible text, and whether every tag is closed in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.open = [], [], []
        self.feed(text)
        assert self.open == [], "left open"

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


def score(name, text, nll, auc=0.9, tokens=7.0, **more):
    def ends(value):
        return None if value is None else (value - 0.1, value + 0.1)

    change = None if nll is None or name == NO_ANCHOR else nll - 2.5
    found = AnchorScore(
        anchor_id=name, text=text, placement="prefix" if text else "", num_rows=4, num_general=3,
        nll=nll, nll_interval=ends(nll), nll_change=change, nll_change_interval=ends(change),
        auc=auc, auc_interval=ends(auc), silhouette=0.25, silhouette_interval=(0.2, 0.3),
        energy=1.5, energy_interval=(1.2, 1.8), spread=3.25, spread_interval=None,
        tokens_per_row=tokens, tokens_per_request=tokens, notes=METHODS,
    )  # fmt: skip
    return replace(found, **more)


def points(num, x):
    return tuple((x + 0.1 * i, 0.3 * i) for i in range(num))


def make_scores(texts=("Name the code.", "Give the code, nothing else."), num_points=4):
    names = [f"a{i:011d}" for i in range(len(texts))]
    scores = [
        score(n, t, 2 - 0.1 * i, tokens=5.0 + i)
        for i, (n, t) in enumerate(zip(names, texts, strict=True))
    ]
    task = {NO_ANCHOR: points(num_points, 0.0)}
    task |= {name: points(num_points, 1.0 + i) for i, name in enumerate(names)}
    return AnchorScores(
        score(NO_ANCHOR, "", 2.5, 0.8, 0.0),
        tuple(scores),
        Picture(points(3, 5.0), task, (0.4, 0.2)),
        ("3 general rows have no prompt: left out",),
    )


def render(found, **more):
    return render_anchor_page(found, task="tickets.csv", model="tiny", **more)


def figures(raw):
    """The panels: descriptions and paths, by identifier."""
    found = re.findall(r'<desc id="(f-plane[^"]*)-d">(.*?)</desc>(.*?)</svg>', raw, re.DOTALL)
    return {name: (words, drawn) for name, words, drawn in found}


def count_points(drawn):
    """Crosses, and dots of general and of anchored prompts."""
    paths = re.findall(r'<path d="([^"]*)" class="(\w+)( after)?', drawn)
    return [len(re.findall("M", d)) for d, _, _ in paths]


def test_the_page_says_what_is_seen_and_what_not_to_conclude():
    page = Page(render(make_scores())).text
    assert "Anchors for tickets.csv" in page
    assert "2 anchors 4 training rows 3 general prompts tiny, untrained" in page
    assert "none of these figures ranked the scores after training" in page
    assert "not that it will learn the task better or worse" in page
    assert "3 general rows have no prompt: left out" in page


def test_every_anchor_is_in_the_table_with_its_figures_and_the_front_is_marked():
    found = make_scores(("Name the code.", "Long and good.", "Beaten."))
    beaten = replace(found.scores[2], nll=2.2, tokens_per_request=9.0, tokens_per_row=8.1)
    found = replace(found, scores=(*found.scores[:2], beaten))
    raw = render(found)
    rows = re.findall(r"<tr><th scope=\"row\">.*?</tr>", raw, re.DOTALL)
    shown = [Page(row).text for row in rows]
    assert [row.split()[0] for row in shown] == ["1", "2", "3", "none"]
    assert ["front" in row for row in shown] == [True, True, False, False]
    assert len(pareto_front(found.scores)) == 2
    assert "Long and good." in shown[0]  # lowest NLL first
    assert "1.900 [1.80, 2.00]" in shown[0]
    assert "\N{MINUS SIGN}0.600 [\N{MINUS SIGN}0.700, \N{MINUS SIGN}0.500]" in shown[0]
    assert "9.0 8.1 in training" in shown[2]
    assert "3.25 no interval" in shown[0]
    assert "2.500 [2.40, 2.60] \N{EN DASH} 0.800" in shown[3]
    assert "Newcombe's method 5" in Page(raw).text


def test_a_small_change_that_excludes_zero_does_not_read_as_if_it_held_it():
    found = make_scores(("Name the code.",))
    small = replace(found.scores[0], nll_change=-0.004, nll_change_interval=(-0.006, -0.002))
    shown = Page(render(replace(found, scores=(small,)))).text.replace("\N{MINUS SIGN}", "-")
    assert "-0.004 [-0.006, -0.002]" in shown


def test_every_point_is_drawn_before_and_after_and_said_in_words():
    found = figures(render(make_scores()))
    assert list(found) == ["f-plane-none", "f-plane-1", "f-plane-2"]
    assert count_points(found["f-plane-none"][1]) == [3, 4]
    assert count_points(found["f-plane-1"][1]) == [3, 4, 4]
    words = found["f-plane-1"][0]
    assert "4 task prompts with anchor 1, as dots" in words
    # The anchor with the lowest NLL is the second one given.
    assert "is 2.95 from that of the general ones; without the anchor it is 4.95" in words


def test_all_panels_share_one_scale_and_hold_every_point():
    sets = [points(5, 0.0), points(3, 40.0), ((2.0, -3.0),)]
    frame = fit_frame(sets)
    places = [(frame.x(x), frame.y(y)) for one in sets for x, y in one]
    assert all(0 < x < WIDTH and 0 < y < frame.height for x, y in places)
    per_unit = (frame.x(1.0) - frame.x(0.0), frame.y(0.0) - frame.y(1.0))
    assert per_unit[0] == pytest.approx(per_unit[1], abs=0.2)
    one = fit_frame([((1.0, 1.0),)])
    assert (one.x(1.0), one.y(1.0)) == (WIDTH / 2, one.height / 2)


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("include_text", [True, False])
def test_no_text_of_an_anchor_or_a_name_becomes_markup(hostile, include_text):
    def page(end):
        found = make_scores(("Name it." + end, "Long. " * 40 + end))
        found = replace(found, notes=(f"A note with {end!r}",))
        return render_anchor_page(
            found, task="t.csv" + end, model="m" + end, include_text=include_text
        )

    raw, clean = page(hostile), Page(page("harmless"))
    tags = Page(raw).tags
    assert [(tag, sorted(a)) for tag, a in tags] == [(tag, sorted(a)) for tag, a in clean.tags]
    assert "49{% raw %}" not in raw
    if include_text:
        assert hostile in " ".join(Page(raw).texts)


def test_the_page_asks_nothing_of_the_network_and_runs_no_script():
    raw = render(make_scores())
    page = Page(raw)
    assert not re.search(r"https?://|@import|url\(|<script", raw)
    for tag, attributes in page.tags:
        assert tag not in {"link", "iframe", "object", "embed", "img", "base", "form", "script"}
        assert not {"src", "style"} & set(attributes)
        assert attributes.get("href", "#").startswith("#")
    policy = next(a["content"] for t, a in page.tags if a.get("http-equiv"))
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "script-src" not in policy
    identifiers = [a["id"] for _, a in page.tags if "id" in a]
    assert len(identifiers) == len(set(identifiers))
    for tag, attributes in page.tags:
        if tag == "a":
            assert attributes["href"][1:] in identifiers
        if tag == "svg" and "role" in attributes:
            assert {attributes["aria-labelledby"], attributes["aria-describedby"]} <= set(
                identifiers
            )


def test_words_of_anchors_can_be_left_out():
    secret = "Name the hidden code of the parcel."
    found = make_scores((secret, "Other words " + "x" * 300))
    found = replace(found, notes=(f"anchor {secret!r}: was moved", f"{secret} stands first"))
    raw = render(found, include_text=False)
    assert "hidden code" not in raw
    assert "xxx" not in raw
    assert found.scores[0].anchor_id in raw
    assert "anchor [left out]: was moved" in Page(raw).text


def test_a_long_anchor_stands_in_full_below_the_table():
    long = " ".join(f"word{i}" for i in range(100))
    page = Page(render(make_scores(("Short.", long)))).text
    assert "more characters" in page
    assert f"In full 1 {long}" in page


def test_what_was_not_measured_is_said():
    found = make_scores()
    over = replace(
        found.scores[0], nll=None, nll_interval=None, nll_change=None, nll_change_interval=None,
        auc=None, auc_interval=None, silhouette=None, silhouette_interval=None,
        notes=("no figures: 3 of 4 rows are longer than 9 tokens",),
    )  # fmt: skip
    task = {k: v for k, v in found.picture.task.items() if k != over.anchor_id}
    found = replace(
        found, scores=(over, found.scores[1]), picture=replace(found.picture, task=task)
    )
    page = Page(render(found)).text
    assert "not measured" in page
    assert "no figures: 3 of 4 rows" in page
    assert "Not measured: some rows do not fit with it." in page
    page = Page(render(replace(found, scores=(over,), picture=None))).text
    assert "none can be compared" in page
    assert "Not drawn" in page


def test_the_silhouette_is_plotted_which_varies_where_the_auc_is_one_for_all():
    page = render(make_scores())
    assert "silhouette against tokens" in page
    assert "AUC of a linear probe against tokens" not in page


def test_many_anchors_and_points_stay_under_one_megabyte_and_what_is_left_out_is_said():
    found = make_scores([f"{i} " + "<w> " * 60 for i in range(MAX_ANCHORS)], num_points=150)
    raw = render(found)
    assert len(raw.encode("utf-8")) <= MAX_BYTES
    assert re.search(r"at most \d+ points are drawn", Page(raw).text)
    with pytest.raises(RunError, match="has room for 150 anchors; found 151"):
        render(make_scores(["Name it."] * (MAX_ANCHORS + 1)))


def test_the_page_is_written_where_it_is_wanted(tmp_path):
    path = tmp_path / "new" / "page.html"
    assert write_anchor_page(path, make_scores(), task="t", model="m") == path
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
