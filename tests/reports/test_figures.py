import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.reports.figures import Dot, frontier_plot, interval_plot
from levertune.reports.svg import nice_ticks, thin, tick_text
from levertune.reports.training_figures import bar_chart, curve_panel, curve_range
from levertune.results.cells import CurvePoint
from levertune.results.schema import Curve, Interval

finite = st.floats(-1e6, 1e6, allow_nan=False)


def dot(label, value, low=None, high=None, index=0, across=None):
    return Dot(label, index, Interval(value, low, high, 10, 1, "m"), across)


def draw(dots, **options):
    return interval_plot(dots, name="f", title="T", axis="score", width=720, **options)


def test_an_interval_is_drawn_where_its_numbers_are():
    svg = ET.fromstring(draw([dot("a", 0.5, 0.25, 0.75), dot("b", 0.0), dot("c", 1.0)]))
    (path,) = [e for e in svg if e.get("class") == "whisker k0"]
    points = [e for e in svg if (e.get("class") or "").startswith("dot")]
    left, right = (float(points[i].get("cx")) for i in (1, 2))
    start = float(path.get("d").split()[0].removeprefix("M"))
    assert start == pytest.approx(left + 0.25 * (right - left), abs=0.2)
    assert float(points[0].get("cx")) == pytest.approx((left + right) / 2, abs=0.2)


def test_an_arm_that_was_not_measured_keeps_its_line_and_says_so():
    svg = draw([dot("a", 0.5, 0.4, 0.6), Dot("b", 1, None)])
    assert ">b</text>" in svg
    assert ">not measured</text>" in svg


def test_nothing_measured_is_no_figure():
    assert draw([Dot("b", 1, None), dot("c", None)]) == ""
    assert frontier_plot(
        [dot("a", 1.0)], name="f", title="T", x_axis="x", y_axis="y", width=720
    ) == ""  # fmt: skip


def test_a_figure_says_its_numbers_to_those_who_cannot_see_it():
    svg = ET.fromstring(draw([dot("a", 0.5, 0.4, 0.6)]))
    assert svg.get("role") == "img"
    assert svg.find("title").text == "T"
    assert svg.find("desc").text == "score. a: 0.500 [0.400, 0.600]."


@given(
    st.lists(st.tuples(st.text(max_size=40), finite, finite, finite), min_size=1, max_size=6),
    st.sampled_from([350, 860]),
)
@settings(max_examples=40)
def test_any_names_and_numbers_make_well_formed_figures(rows, width):
    dots = []
    for i, (label, *values) in enumerate(rows):
        clean = "".join(c for c in label if c.isprintable())
        low, value, high = sorted(values)
        across = Interval(value, low, high, 5, 1, "m")
        dots.append(dot(clean, value, low, high, i, across))
    ET.fromstring(interval_plot(dots, name="f", title="T", axis="a", width=width, zero=True))
    frontier = frontier_plot(dots, name="f", title="T", x_axis="x", y_axis="y", width=width)
    assert (frontier == "") == (len(dots) < 2)
    if frontier:
        ET.fromstring(frontier)


@given(finite, finite, st.integers(1, 8))
def test_ticks_span_the_data_with_round_steps(a, b, count):
    low, high = min(a, b), max(a, b)
    ticks = nice_ticks(low, high, count)
    slack = 1e-6 * max(1.0, abs(low), abs(high))
    assert ticks[0] <= low + slack
    assert ticks[-1] >= high - slack
    assert 2 <= len(ticks) <= 2 * count + 3
    assert all(tick_text(tick, ticks) for tick in ticks)


def test_ticks_are_written_with_the_decimals_they_need():
    assert [tick_text(t, [0.0, 0.05, 0.1]) for t in (0.0, 0.05)] == ["0.00", "0.05"]
    assert [tick_text(t, [-500.0, 0.0, 500.0]) for t in (-500.0, 1500.0)] == ["−500", "1,500"]


@given(st.lists(st.integers(), max_size=50), st.integers(1, 10))
def test_thinning_keeps_order_and_ends(items, count):
    kept = thin(list(enumerate(items)), count)
    assert len(kept) == min(count, len(items))
    assert kept == sorted(kept)
    if items:
        assert kept[0][0] == 0
        assert count == 1 or kept[-1][0] == len(items) - 1


def test_curves_show_each_source_that_was_logged():
    points = tuple(CurvePoint(s, 1.0, 2.0 - s / 10, 1.0, 1e-4) for s in range(10))
    curves = [Curve("tell", 0, None, points), Curve("tell", 1, None, points)]
    extent = curve_range(curves)
    assert (extent.steps, extent.loss) == (9, 2.0)
    svg = curve_panel(curves, extent, name="c", title="tell", index=3)
    assert svg.count("<polyline") == 4
    assert ">task</text>" in svg
    assert ">general</text>" in svg
    assert ">validation</text>" not in svg


def test_curves_without_a_loss_are_no_figure():
    silent = [Curve("tell", 0, None, (CurvePoint(1, 1.0),))]
    assert curve_range(silent) is None
    extent = curve_range([Curve("x", 0, None, (CurvePoint(5, 1.0, 1.0),))])
    assert curve_panel(silent, extent, name="c", title="t", index=0) == ""


def test_bars_are_as_high_as_their_counts():
    svg = ET.fromstring(bar_chart(
        [2, 0, 4], name="b", title="T", x_axis="x", y_axis="y", edges=("1", "3"), width=350, even=2
    ))  # fmt: skip
    heights = [float(e.get("height")) for e in svg if e.get("class") == "bar"]
    assert heights[1] == pytest.approx(2 * heights[0], abs=0.2)
    assert len(heights) == 2


def test_nothing_to_count_is_no_figure():
    for counts in ([], [0, 0]):
        assert bar_chart(
            counts, name="b", title="T", x_axis="x", y_axis="y", edges=("1", "2"), width=350
        ) == ""  # fmt: skip
