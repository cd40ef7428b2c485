from dataclasses import replace

import pytest

from levertune.reports.anchor_checks import checks_view
from levertune.reports.page import render_report
from levertune.results.anchor_checks import AnchorCheck, Challenger

FIRST = "0a1b2c3d4e5f"
WORDS = "Name the <b>ticket's</b> code."
WON = Challenger("b" * 12, "rewrite", WORDS, 7, 0.5, 0.25, True)
LOST = Challenger("c" * 12, "edit", "Answer.", 2, -0.125, 0.25, False)
CHECKS = (
    AnchorCheck(18, 144, FIRST, 10, 2.5, (WON, LOST)),
    AnchorCheck(36, 288, FIRST, 10, 2.25, (WON,), switched_to=WON.id),
    AnchorCheck(54, 432, WON.id, 10, 1.5, ()),
)


@pytest.fixture
def refined(demo_result):
    """The made-up run, its first curve of tell with checks."""
    curves = tuple(
        replace(curve, checks=CHECKS) if (curve.arm, curve.seed) == ("tell", 0) else curve
        for curve in demo_result.curves
    )
    return replace(demo_result, curves=curves)


def test_each_check_is_a_row_with_its_gains_and_its_decision(refined):
    view = checks_view(refined, include_text=True)
    assert [(r.cell, r.step, r.position, r.decision) for r in view.rows] == [
        ("tell, seed 0", "18", "144", "kept"),
        ("tell, seed 0", "36", "288", f"switched to {WON.id}"),
        ("tell, seed 0", "54", "432", "kept"),
    ]
    assert view.rows[0].challengers == [
        (WON.id, "rewrite", "0.500 ± 0.250", True),
        (LOST.id, "edit", "\N{MINUS SIGN}0.125 ± 0.250", False),
    ]
    assert view.rows[2].challengers == []
    assert [words.text for _, words in view.words] == [refined.anchor.text, WORDS]
    assert (view.judged_on, view.more) == ("10", 0)


def test_a_run_whose_anchor_is_not_challenged_shows_none(demo_result):
    assert checks_view(demo_result, include_text=True) is None
    page = render_report(demo_result, [])
    assert "How the anchor was challenged" not in page
    assert 'class="switch"' not in page


def test_the_curve_marks_the_switch_and_says_it_in_words(refined):
    page = render_report(refined, [])
    assert page.count('class="switch"') == 1
    assert "<title>anchor switched after step 36</title>" in page
    assert "the anchor is switched after step 36." in page
    assert "rewrite bbbbbbbbbbbb: 0.500 ± 0.250 *" in page


def test_words_are_escaped_and_left_out_on_request(refined):
    page = render_report(refined, [])
    assert "<b>ticket" not in page
    assert "Name the &lt;b&gt;ticket&#39;s&lt;/b&gt; code." in page
    warned = replace(refined, warnings=(f"Somewhere it says {WORDS}",))
    without = render_report(warned, [], include_text=False)
    assert "Name the" not in without
    assert "switched to bbbbbbbbbbbb" in without


def test_checks_that_do_not_fit_are_counted(refined):
    curves = tuple(replace(curve, checks=CHECKS * 30) for curve in refined.curves)
    view = checks_view(replace(refined, curves=curves), include_text=False)
    assert len(view.rows) == 60
    assert view.more == len(curves) * 90 - 60
    assert view.words == []
