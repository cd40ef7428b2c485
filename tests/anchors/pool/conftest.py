"""An entry that holds together, ways to change it, and a finished run of its anchor."""

import dataclasses

import pytest

from levertune.anchors.pool.entry import PoolEntry, PoolEvidence, PoolExample
from levertune.anchors.pool.evidence import measure_evidence
from levertune.anchors.pool.writing import format_entry
from levertune.results.cells import (
    Cell,
    KlToBase,
    NllByRows,
    PredictionRow,
    Seconds,
    TokenCounts,
    write_cell,
    write_predictions,
)
from levertune.results.files import write_json_atomically
from levertune.results.inputs import AnchorInfo, MetricInfo, MetricsInfo, ModelInfo, TaskInfo
from levertune.results.provenance import Provenance
from levertune.results.schema import ArmSummary, Dropped, RunResult, write_result

TEXT = "Give the three-letter code of the city.\n\nAnswer with the code alone."
CITIES = ["Oslo", "Bergen", "Bodo", "Narvik", "Hamar", "Molde"]


@pytest.fixture(name="make_entry")
def entry_maker():
    return build_entry


@pytest.fixture(name="make_evidence")
def evidence_maker():
    return build_evidence


@pytest.fixture(name="entry_file")
def file_maker():
    return format_entry


@pytest.fixture(name="mapping")
def plain_entry():
    return build_entry().to_mapping()


def build_entry(entry_id="city-to-code", **changes):
    entry = PoolEntry(
        id=entry_id,
        text=TEXT,
        kind="code-lookup",
        answer="label",
        task="Give the code of a city.",
        languages=("en", "no"),
        licence="CC0-1.0",
        author="The levertune authors",
        examples=tuple(PoolExample(f"Which code has {c}?", c[:3].upper()) for c in CITIES),
    )
    return dataclasses.replace(entry, **changes)


def build_evidence(**changes):
    evidence = PoolEvidence(
        run="a" * 64, model="tiny", task="b" * 64, against="sft", metric="macro_f1", n=100,
        seeds=3, gain=4.0, interval=(1.0, 7.0), verified=False,
    )  # fmt: skip
    return dataclasses.replace(evidence, **changes)


PROVENANCE = Provenance("0", "3", None, None, None, None, None, None, "x", 1)
RIGHT = {"tell": 18, "sft": 9, "sft-steps": 12, "base": 0}
NUM_ROWS = 20
ANCHOR_ID = "0" * 12


def write_run(folder, *, arms=RIGHT, metric="exact_match", text=TEXT, num_seeds=2, folds=2):
    """A run with cells in which each arm gets its first rows right."""
    summaries = []
    for arm, num_right in arms.items():
        cells, seeds = [], range(num_seeds if arm != "base" else 1)
        for seed in seeds:
            for fold in range(folds):
                name = f"arms/{arm}/seed-{seed}/fold-{fold}"
                rows = [
                    PredictionRow(
                        str(i), "p", ("yes",), "yes" if i < num_right - seed else "no", "stop", {},
                        None, None, None, None,
                    )
                    for i in range(fold, NUM_ROWS, folds)
                ]  # fmt: skip
                write_predictions(folder / name, rows)
                if arm == "tell":
                    facts = {"id": ANCHOR_ID, "dropout": 0.0}
                    write_json_atomically(folder / name / "manifest.json", {"anchor": facts})
                write_cell(folder / name, cell(arm, seed, fold))
                cells.append(name)
        summaries.append(
            ArmSummary(
                arm, arm, tuple(cells), tuple(seeds), {}, {}, {}, None, None, None,
                Seconds(None, None, None), None,
            )
        )  # fmt: skip
    anchor = AnchorInfo(ANCHOR_ID, text, "prefix", None, 0.0, None, "named") if text else None
    result = RunResult(
        1, "codes", "2026-01-31T10:06:52Z", "levertune run", {}, (),
        TaskInfo("t.csv", 20, 16, 20, None, "label", "r", "s", "b" * 64, "cv", folds, "small",
                 ("yes", "no")),
        anchor, (), ModelInfo("tiny", None, 1, 1, "float32", "cpu"),
        MetricsInfo(metric, "r", (MetricInfo(metric, metric, True, 100.0),)),
        tuple(summaries), (), None, None, (), (), Dropped(0, {}), (), (), PROVENANCE,
    )  # fmt: skip
    write_result(folder, result)
    return folder


def cell(arm, seed, fold):
    return Cell(
        arm, seed, fold, None, 16, 1, 1, 0, TokenCounts(0, 0, 0, 0), Seconds(None, None, None),
        None, None, None, NllByRows(), KlToBase(), 10, 0, None, (), "f", PROVENANCE,
    )  # fmt: skip


@pytest.fixture(name="write_run")
def run_writer():
    return write_run


@pytest.fixture(scope="session", name="run")
def finished_run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="session", name="measured")
def measured_evidence(run):
    return measure_evidence(run)
