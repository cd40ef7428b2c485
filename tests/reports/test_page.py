import ast
import dataclasses
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from levertune.errors import RunError
from levertune.reports.layout import MAX_BYTES
from levertune.reports.page import render_report, write_report
from levertune.results.cells import PREDICTIONS_FILE, cell_dir
from levertune.results.inputs import MetricInfo
from levertune.results.schema import RESULT_FILE, Comparison, Curve, Dropped, Failure, Interval

HOSTILE = (
    "<script>alert(1)</script>",
    "</style><img src=x onerror=alert(1)>",
    "\"><svg onload='alert(1)'>",
    "javascript:alert(1)",
    "</title></script><!--",
    "{{ 7 * 7 }}{% raw %}",
)


class Page(HTMLParser):
    """What a browser would see: tags with attributes, and visible text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.identifiers = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.identifiers += [value for key, value in attributes if key == "id"]

    handle_startendtag = handle_starttag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


def with_every_string(value, change):
    """The same contract object with `change` made to each string that a user's data can reach."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, MetricInfo):
        return replace(value, title=change(value.title))  # the name is a key
    if dataclasses.is_dataclass(value):
        kept = {"arm", "cells", "against", "metric", "primary", "test_mode"}
        fields = {
            field.name: with_every_string(getattr(value, field.name), change)
            for field in dataclasses.fields(value)
            if field.name not in kept
        }
        return replace(value, **fields)
    if isinstance(value, tuple):
        return tuple(with_every_string(item, change) for item in value)
    if isinstance(value, dict):
        return {key: with_every_string(item, change) for key, item in value.items()}
    return value


def test_the_verdict_stands_first_with_its_interval_and_limits(demo_run):
    page = Page(write_report(demo_run()).read_text(encoding="utf-8")).text
    places = [
        page.index(words)
        for words in (
            "TELL scored 21.1 points of macro F1 more than the best baseline",
            "95 % interval 12.1 to 30.1",
            "retention NLL 1.62 against 3.24",
            "It does not cover",
            "other draws of 48 task rows",
            "Scores by arm",
            "What was learnt against what was kept",
            "Pairwise comparisons",
            "Where the task rows fell",
            "Predictions side by side",
            "Data and provenance",
            "Warnings and failures",
        )
    ]
    assert places == sorted(places)


def test_every_score_stands_with_its_interval_and_n(demo_run):
    page = Page(write_report(demo_run()).read_text(encoding="utf-8")).text
    assert "73.9 [65.9, 81.9]" in page
    assert "0.270 [0.210, 0.330]" in page
    assert "128 rows, 2 seeds" in page
    assert "77 of 256" in page
    assert "crossed bootstrap, 2,000 draws" in page


def test_what_was_not_measured_is_said_and_never_zero(demo_run):
    def unmeasured(result):
        arms = tuple(
            replace(arm, nll={}, kl_to_base={}, scores={}, unparseable=None, tokens=None,
                    steps=None, peak_memory_bytes=None)
            for arm in result.arms
        )  # fmt: skip
        return replace(
            result, arms=arms, comparisons=(), curves=(), mixture=None, verdict=None, anchor=None,
            general=(), failures=(), warnings=(), task=replace(result.task, tokens=None),
        )  # fmt: skip

    page = Page(write_report(demo_run(change=unmeasured)).read_text(encoding="utf-8")).text
    assert page.count("not measured") > 40
    assert "Not measured." in page
    assert "There was nothing to judge" in page
    assert "No mixture was trained on." in page
    assert "No training losses were logged." in page
    assert "No two arms were compared." in page
    assert "Warnings and failures" not in page


def test_held_out_general_rows_are_not_called_retention(demo_run):
    def without_retention(result):
        arms = tuple(
            replace(arm, nll={k: v for k, v in arm.nll.items() if k != "retention"})
            for arm in result.arms
        )
        verdict = replace(result.verdict, retention_sentence=None)
        return replace(result, arms=arms, verdict=verdict)

    page = Page(write_report(demo_run(change=without_retention)).read_text(encoding="utf-8")).text
    assert "Retention was not measured." in page
    assert "so this is not retention" in page


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("include_text", [True, False])
def test_no_text_of_a_user_becomes_markup(demo_result, demo_predictions, hostile, include_text):
    def render(end):
        result = with_every_string(demo_result, lambda text: text + end)
        predictions = demo_predictions(8, lambda text: text + end)
        return render_report(result, predictions, include_text=include_text)

    raw = render(hostile)
    page, clean = Page(raw), Page(render("harmless"))
    assert [(tag, sorted(a)) for tag, a in page.tags] == [(tag, sorted(a)) for tag, a in clean.tags]
    assert "49{% raw %}" not in raw
    for _, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        assert "javascript:" not in attributes.get("href", "")


def test_hostile_text_in_names_of_arms_stays_text(demo_result):
    hostile = HOSTILE[2]
    arms = tuple(replace(arm, arm=arm.arm + hostile) for arm in demo_result.arms)
    curves = tuple(replace(curve, arm=curve.arm + hostile) for curve in demo_result.curves)
    pairs = tuple(
        replace(pair, arm=pair.arm + hostile, metric=pair.metric + hostile)
        for pair in demo_result.comparisons
    )
    page = Page(
        render_report(replace(demo_result, arms=arms, curves=curves, comparisons=pairs), [])
    )
    assert not any("onload" in attributes for _, attributes in page.tags)
    assert not any("'alert(1)'" in attributes.values() for _, attributes in page.tags)


@pytest.mark.parametrize("include_text", [True, False])
def test_the_page_asks_nothing_of_the_network(demo_run, include_text):
    raw = write_report(demo_run(), include_text=include_text).read_text(encoding="utf-8")
    page = Page(raw)
    assert not re.search(r"https?://|@import|url\(", raw)
    for tag, attributes in page.tags:
        assert tag not in {"link", "iframe", "object", "embed", "img", "base", "form"}
        assert "src" not in attributes
        assert attributes.get("href", "#").startswith("#")
        assert "style" not in attributes  # the policy below would refuse it
    policy = next(a["content"] for t, a in page.tags if a.get("http-equiv"))
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_links_lead_to_sections_and_identifiers_are_unique(demo_run):
    page = Page(write_report(demo_run()).read_text(encoding="utf-8"))
    assert len(page.identifiers) == len(set(page.identifiers))
    for tag, attributes in page.tags:
        if tag == "a":
            assert attributes["href"][1:] in page.identifiers
        if tag == "svg":
            assert attributes["aria-labelledby"] in page.identifiers
            assert attributes["aria-describedby"] in page.identifiers


def test_five_thousand_long_rows_stay_under_one_megabyte_and_are_counted(
    demo_result, demo_predictions
):
    predictions = demo_predictions(5000, lambda text: text + "<&é" * 1330)
    page = render_report(demo_result, predictions)
    assert len(page.encode("utf-8")) <= MAX_BYTES
    text = Page(page).text
    assert "of 5,000 test rows, evenly spaced through the test set" in text
    assert re.search(r"the other 4,[89]\d\d are in predictions\.jsonl", text)
    assert "more characters" in text


def test_endless_warnings_settings_and_labels_stay_under_one_megabyte(demo_result):
    long = "x" * 100_000
    result = replace(
        demo_result,
        warnings=(long,) * 300,
        failures=(Failure(long, long),) * 300,
        recipe={f"{long}{i}": long for i in range(300)},
        task=replace(demo_result.task, labels=(long,) * 1000, path=long, kind_reason=long),
        anchor=replace(demo_result.anchor, text=long, reason=long),
        dropped=Dropped(300, {f"{long}{i}": 1 for i in range(300)}),
        general=demo_result.general * 300,
        curves=demo_result.curves * 20,
        comparisons=demo_result.comparisons * 50,
        command=long,
    )
    page = render_report(result, [])
    assert len(page.encode("utf-8")) <= MAX_BYTES
    assert "250 more warnings are in result.json." in page
    assert "8 of 40 cells" in page


def test_a_result_too_large_for_any_page_is_refused(demo_result):
    interval = Interval(0.5, 0.4, 0.6, 10, 1, "m" * 200)
    metric = demo_result.metrics.all[0]
    metrics = tuple(replace(metric, name=f"m{i}", title="t" * 60) for i in range(600))
    arms = tuple(
        replace(arm, scores={m.name: interval for m in metrics}) for arm in demo_result.arms * 6
    )
    result = replace(
        demo_result, arms=arms, metrics=replace(demo_result.metrics, primary="m0", all=metrics)
    )
    with pytest.raises(RunError, match=r"tickets: the report would be [\d,]+ bytes"):
        render_report(result, [])


def test_without_text_nothing_of_the_rows_is_on_the_page(demo_run):
    canary = "zanzibar"

    def planted(result):
        word = f"the word {canary}"
        return replace(
            result,
            command=f"levertune run --task t.csv anchor.text={canary}",
            recipe=result.recipe | {
                "anchor": {"text": canary, "lead_in": canary, "placement": "prefix"},
                "task": {"prompt": canary, "completion": canary, "note": word},
            },
            auto=(*result.auto, replace(result.auto[2], value=canary, reason=f"found '{canary}'")),
            task=replace(result.task, labels=(canary, "zanzibar north"),
                         kind_reason=f"completions such as {canary!r} and \"{word}\""),
            anchor=replace(result.anchor, text=canary, lead_in=canary, reason=f"was “{word}”"),
            warnings=(f"label {canary} is never seen", f"row 3: prompt 'it\\'s a {canary} row'."),
            failures=(Failure("arms/tell/seed-0", f"KeyError: {word}"),),
            verdict=replace(result.verdict, covers=f"rows like '{word}'"),
            dropped=Dropped(1, {f"equal to {word!r}": 1}),
        )  # fmt: skip

    folder = demo_run(text=lambda text: f"{text} {canary}", change=planted)
    with_text = write_report(folder).read_text(encoding="utf-8")
    assert with_text.count(canary) > 100
    path = write_report(folder, include_text=False)
    assert path.name == "report-no-text.html"
    raw = path.read_text(encoding="utf-8")
    assert canary not in raw
    text = Page(raw).text
    assert "This page leaves out prompts" in text
    assert "2 labels" in text
    assert "prefix, 6 tokens, id 9f31c0de77aa" in text
    assert "row test-0" in text
    assert "the reason is left out" in text


def test_rows_shown_say_right_wrong_and_unparseable_by_arm(demo_run):
    page = Page(write_report(demo_run()).read_text(encoding="utf-8"))
    rows = [a for tag, a in page.tags if tag == "article"]
    assert len(rows) == 128
    assert {row["data-a0"] for row in rows} == {"right", "wrong", "unparseable"}
    buttons = [a for tag, a in page.tags if tag == "button" and a.get("data-status") == "wrong"]
    assert [button["data-arm"] for button in buttons] == ["a0", "a1", "a2", "a3"]
    assert "All 128 test rows" in page.text
    assert "tell saw the same rows with other words around them" in page.text


def test_a_run_without_predictions_on_disk_still_has_a_page(demo_run):
    folder = demo_run()
    for arm in ("base", "sft", "sft-steps", "tell"):
        (folder / cell_dir(arm, 0) / PREDICTIONS_FILE).unlink()
    page = Page(write_report(folder).read_text(encoding="utf-8")).text
    assert "No predictions are in the run folder." in page
    assert "No predictions on disk for base, sft, sft-steps, tell." in page


def test_a_run_that_is_not_done_is_refused(demo_run):
    folder = demo_run()
    (folder / RESULT_FILE).unlink()
    with pytest.raises(RunError, match=r"result\.json: no such file, .* with: levertune run "):
        write_report(folder)
    with pytest.raises(RunError, match=r"none: there is no such run folder\. .*: levertune run"):
        write_report(folder / "none")
    assert not (folder / "report.html").exists()


def test_half_a_surrogate_pair_does_not_stop_the_page(demo_result):
    page = render_report(replace(demo_result, warnings=("broken \ud83d here",)), [])
    assert "broken ? here" in page


def test_a_difference_is_read_by_its_interval_and_direction(demo_result):
    def pair(metric, value, half):
        interval = Interval(value, value - half, value + half, 10, 1, "m")
        return Comparison("tell", "sft", metric, interval)

    pairs = (
        pair("macro_f1", 0.2, 0.1), pair("macro_f1", -0.2, 0.1), pair("macro_f1", 0.1, 0.2),
        pair("nll.task", -0.2, 0.1), pair("nll.task", 0.2, 0.1),
    )  # fmt: skip
    page = render_report(replace(demo_result, comparisons=pairs), [])
    table = page[page.index('id="pairs"') : page.index('id="retention"')]
    assert re.findall(r"<td>(better|worse|not decided)</td>", table) == [
        "better", "worse", "not decided", "better", "worse",
    ]  # fmt: skip


def test_curves_of_an_arm_without_points_are_left_out(demo_result):
    result = replace(demo_result, curves=(Curve("tell", 0, None, ()),))
    assert "No training losses were logged." in render_report(result, [])


def test_reports_import_no_model_library():
    code = (
        "import sys, levertune.reports.page, levertune.results.load\n"
        "print([m for m in ('torch', 'transformers', 'pandas', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ast.literal_eval(done.stdout) == []
