import dataclasses
import hashlib
import json

import pytest

from levertune.anchors.auto import choose_anchor
from levertune.anchors.pool import evidence
from levertune.anchors.pool.evidence import measure_evidence, verify_evidence
from levertune.data.records import Message, Record
from levertune.errors import DataError, RunError

SHARING = [
    Record(name, "task", (Message("user", f"Give the code. {name}"),), "A1")
    for name in ("one", "two")
]
KEEPING = choose_anchor("Sort it now.", SHARING).reason


def test_the_gain_is_that_over_the_best_sft_arm(run, measured):
    assert measured.run == hashlib.sha256((run / "result.json").read_bytes()).hexdigest()
    assert (measured.model, measured.task, measured.metric) == ("tiny", "b" * 64, "exact_match")
    assert (measured.n, measured.seeds, measured.against) == (20, 2, "sft")
    assert measured.gain == 30.0  # (18 - 12) of 20 rows, at both seeds
    assert measured.interval[0] < 30.0 < measured.interval[1]
    assert not measured.verified


def test_the_base_that_is_not_trained_is_compared_with_every_seed(run):
    found = measure_evidence(run, against="base")
    assert found.gain == 87.5  # 18 and 17 right, against none
    assert found.against == "base"


def test_evidence_is_verified_from_the_run_it_names(run, measured, make_entry, make_evidence):
    other = make_evidence()
    entry = make_entry(evidence=(measured, other))
    verified = verify_evidence(entry, run)
    assert verified.evidence == (dataclasses.replace(measured, verified=True), other)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("gain", 31.0, "evidence gain is not what its run gives; found 31.0, the run gives 30.0"),
        ("interval", (29.0, 31.0), "evidence interval is not"),
        ("n", 2000, "evidence n is not"),
        ("seeds", 9, "evidence seeds is not"),
        ("model", "huge", "evidence model is not"),
        ("task", "c" * 64, "evidence task is not"),
        ("metric", "accuracy", "evidence metric is not"),
    ],
)
def test_a_statement_the_run_does_not_bear_out_is_refused(
    run, measured, make_entry, name, value, message
):
    entry = make_entry(evidence=(dataclasses.replace(measured, **{name: value}),))
    with pytest.raises(DataError, match=message):
        verify_evidence(entry, run)


def test_a_run_of_another_text_or_of_no_evidence_verifies_nothing(run, measured, make_entry):
    with pytest.raises(DataError, match="used another text"):
        verify_evidence(make_entry(text="Another.", evidence=(measured,)), run)
    with pytest.raises(DataError, match="no evidence of it is of the run"):
        verify_evidence(make_entry(), run)


def test_an_edited_result_is_another_run(tmp_path, make_entry, write_run):
    run = write_run(tmp_path)
    entry = make_entry(evidence=(measure_evidence(run),))
    path = run / "result.json"
    path.write_text(path.read_text("utf-8") + "\n", "utf-8")
    with pytest.raises(DataError, match="no evidence of it is of the run"):
        verify_evidence(entry, run)


def test_runs_that_cannot_tell_are_refused(tmp_path, write_run):
    with pytest.raises(DataError, match=r"has not the arms 'tell' and 'sft' or 'sft-steps'"):
        measure_evidence(write_run(tmp_path / "a", arms={"tell": 3, "base": 1}))
    with pytest.raises(DataError, match="has not the arms 'tell' and 'base'"):
        measure_evidence(write_run(tmp_path / "b", arms={"tell": 3}), against="base")
    with pytest.raises(DataError, match="had no anchor"):
        measure_evidence(write_run(tmp_path / "c", text=None))
    with pytest.raises(RunError, match="no such run folder"):
        measure_evidence(tmp_path / "none")


def test_a_gain_of_more_than_one_anchor_is_no_evidence_of_either(tmp_path, write_run):
    run = write_run(tmp_path)
    path = run / "result.json"
    result = json.loads(path.read_text("utf-8"))
    check = {"step": 9, "position": 72, "anchor_id": "a", "rows": 5, "nll": 1.0, "challengers": []}
    curve = {"arm": "tell", "seed": 0, "fold": None, "points": [], "checks": [check]}
    result["curves"] = [curve]
    path.write_text(json.dumps(result), "utf-8")
    measure_evidence(run)
    check["switched_to"] = "b"
    path.write_text(json.dumps(result), "utf-8")
    with pytest.raises(DataError, match="switched its anchor while training"):
        measure_evidence(run)


def edit(path, change):
    value = json.loads(path.read_text("utf-8"))
    change(value)
    path.write_text(json.dumps(value), "utf-8")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda result: result["anchor"].update(tokens=8, served_tokens=0),
            "served another anchor than it began with; found 0 of its 8 tokens",
        ),
        (
            lambda result: result["recipe"].update(evaluation={"anchor": None}),
            "tested with another anchor than it was trained with; found evaluation.anchor=None",
        ),
        (
            lambda result: result["recipe"].update(evaluation={"anchor": "Say it."}),
            "found evaluation.anchor='Say it.'",
        ),
        (
            lambda result: result["anchor"].update(dropout=0.25),
            "trained without its anchor on a share of the rows; found anchor.dropout=0.25",
        ),
        (
            lambda result: result["anchor"].update(reason=KEEPING),
            "an instruction of their own beside the anchor; found .*Run again with anchor.shared=r",
        ),
        (
            lambda result: result["anchor"].update(placement="suffix"),
            "found anchor.placement=suffix and anchor.lead_in=None",
        ),
        (
            lambda result: result["anchor"].update(lead_in="Code:"),
            "found anchor.placement=prefix and anchor.lead_in='Code:'",
        ),
    ],
)
def test_a_gain_of_another_text_or_place_is_no_evidence(tmp_path, write_run, change, message):
    run = write_run(tmp_path)
    edit(run / "result.json", change)
    with pytest.raises(DataError, match=message):
        measure_evidence(run)


def test_a_run_served_with_the_whole_anchor_is_evidence(tmp_path, write_run):
    run = write_run(tmp_path)
    edit(run / "result.json", lambda result: result["anchor"].update(tokens=8, served_tokens=8))
    edit(
        run / "result.json",
        lambda result: result["recipe"].update(evaluation={"anchor": "trained"}),
    )
    assert measure_evidence(run).gain == 30.0


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        ({"id": "1" * 12, "dropout": 0.0}, "found '111111111111'"),
        ({"id": "0" * 12, "stages": [["0" * 12, 0.0], [None, 0.85]]}, "found None"),
        (None, "found None"),
    ],
)
def test_a_fold_that_was_served_another_text_makes_the_gain_that_of_none(
    tmp_path, write_run, facts, found
):
    run = write_run(tmp_path)
    path = run / "arms/tell/seed-1/fold-1/manifest.json"
    edit(path, lambda manifest: manifest.update(anchor=facts))
    with pytest.raises(DataError, match=f"fold-1.*served with another anchor.*{found}"):
        measure_evidence(run)


def test_a_metric_of_the_run_s_own_is_never_run(tmp_path, write_run):
    run = write_run(tmp_path, metric="os:getcwd")
    with pytest.raises(DataError, match="was judged by 'os:getcwd', a metric of its own"):
        measure_evidence(run)


def test_arms_tested_on_other_rows_are_not_paired(tmp_path, write_run):
    run = write_run(tmp_path)
    path = run / "arms/sft/seed-0/fold-0/predictions.jsonl"
    lines = path.read_text("utf-8").splitlines()
    path.write_text("\n".join(lines[::-1]), "utf-8")
    with pytest.raises(DataError, match="were not tested on the same rows in one order"):
        measure_evidence(run)


def test_a_cell_outside_the_run_is_not_read(tmp_path, write_run):
    run = write_run(tmp_path / "run")
    path = run / "result.json"
    result = json.loads(path.read_text("utf-8"))
    result["arms"][0]["cells"][0] = "../elsewhere"
    path.write_text(json.dumps(result), "utf-8")
    with pytest.raises(DataError, match=r"a cell must lie in the run folder; found '../elsewhere'"):
        measure_evidence(run)


def test_a_gain_without_an_interval_is_refused(run, monkeypatch):
    def undefined(*_, **__):
        return evidence.Interval(None, None, None, 20, "nothing to measure")

    monkeypatch.setattr(evidence, "crossed_difference", undefined)
    with pytest.raises(DataError, match="the gain has no interval; nothing to measure"):
        measure_evidence(run)
