"""The smallest cell and result that hold together."""

import dataclasses

import pytest

from levertune.results.cells import (
    Cell,
    CurvePoint,
    KlToBase,
    NllByRows,
    Seconds,
    TokenCounts,
)
from levertune.results.inputs import MetricInfo, MetricsInfo, ModelInfo, TaskInfo
from levertune.results.provenance import collect_provenance
from levertune.results.schema import Dropped, RunResult

PROVENANCE = collect_provenance()


@pytest.fixture(name="make_cell")
def cell_maker():
    return build_cell


def build_cell(**changes):
    cell = Cell(
        "tell", 0, None, None, 48, 24, 182, 300, TokenCounts(9, 8, 7, 6), Seconds(1.0, 2.0, 3.5),
        440.0, None, None, NllByRows(), KlToBase(retention=0.25), 128, 3, None,
        (CurvePoint(1, 2.0, 1.5, None, 1e-4),), "abc", PROVENANCE, {"exact_match": 0.5},
    )  # fmt: skip
    return dataclasses.replace(cell, **changes)


@pytest.fixture(name="make_result")
def result_maker():
    return build_result


def build_result(**changes):
    result = RunResult(
        1, "tickets", "2026-01-31T10:06:52Z", "levertune run --task t.csv", {"version": 1}, (),
        TaskInfo("t.csv", 60, 48, 12, None, "text", "free text", "prompt/completion", "ab", "cv",
                 5, "under 10^4 tokens"),
        None, (), ModelInfo("m", None, 10, 1, "float32", "cpu"),
        MetricsInfo("chrf", "free text", (MetricInfo("chrf", "chrF", True),)),
        (), (), None, None, (), (), Dropped(0, {}), (), (), PROVENANCE,
    )  # fmt: skip
    return dataclasses.replace(result, **changes)
