"""A made-up run of four arms, two seeds and 128 rows, written as a real one would be."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from levertune.reports.samples import ArmPredictions
from levertune.results.cells import (
    Cell,
    CurvePoint,
    KlToBase,
    Nll,
    NllByRows,
    PredictionRow,
    Seconds,
    TokenCounts,
    cell_dir,
    write_cell,
    write_predictions,
)
from levertune.results.dispersion import Dispersion, Gaps, Spread
from levertune.results.inputs import (
    AnchorInfo,
    AutoSetting,
    GeneralInfo,
    MetricInfo,
    MetricsInfo,
    ModelInfo,
    TaskInfo,
)
from levertune.results.provenance import Provenance
from levertune.results.schema import (
    ArmSummary,
    Comparison,
    Curve,
    Dropped,
    Failure,
    Interval,
    MixtureSummary,
    RunResult,
    Unparseable,
    Verdict,
    write_result,
)

CODES = ("card_lost", "pin_reset", "fee_query", "transfer_late", "cash_wrong", "app_login")
OPENERS = ("Hello,", "Hi team,", "Good morning,", "Quick question:", "Help please,", "Dear all,")
BODIES = (
    "my card has not been seen since Tuesday and I want it blocked.",
    "the machine kept my money and printed nothing.",
    "a fee of 4.20 showed up that I do not recognise.",
    "I sent money to my sister four days ago and it is still not there.",
    "the app says my code is wrong although I changed it this morning.",
    "I cannot get past the first screen since the update.",
)
# arm: title, share right, share unparseable, task NLL, held-out, retention, KL, steps
ARMS = {
    "base": ("the model as it is, with the anchor", 0.05, 0.30, 2.31, 1.88, 1.91, 0.0, 0),
    "sft": ("task rows verbatim, equal exposures", 0.38, 0.05, 0.92, 3.02, 3.11, 1.21, 144),
    "sft-steps": ("task rows, equal steps", 0.55, 0.02, 0.56, 3.15, 3.24, 1.38, 182),
    "tell": ("anchored task rows among general rows", 0.77, 0.01, 0.27, 1.55, 1.62, 0.09, 182),
}
PROVENANCE = Provenance(
    levertune="0.1.0", python="3.11.9", torch="2.8.0", transformers="5.20.0", trl="1.16.0",
    peft="0.21.0", commit="0123456789abcdef0123456789abcdef01234567", dirty=False,
    platform="Linux x86_64", cpu_count=2, started="2026-01-31T09:30:00Z", seconds=2212.4,
)  # fmt: skip
METHOD = "crossed bootstrap, 2,000 draws; rows drawn once for all seeds"


def around(value: float, half: float, n: int = 128, seeds: int = 2) -> Interval:
    low = value - half if value < 0 else max(0.0, value - half)
    return Interval(value, low, value + half, n, seeds, METHOD)


def make_curve(arm: str, seed: int) -> tuple[CurvePoint, ...]:
    steps, end = ARMS[arm][7], ARMS[arm][3]
    rng = random.Random(f"{arm}{seed}")
    points = []
    for step in range(2, steps + 1, 2):
        left = math.exp(-3.5 * step / steps)
        task = end * 0.5 + 2.4 * left + rng.gauss(0, 0.09)
        general = 1.5 + 0.35 * left + rng.gauss(0, 0.07) if arm == "tell" else None
        validation = end + 1.9 * left if arm == "sft-steps" and step % 10 == 0 else None
        loss = task if general is None else 0.2 * task + 0.8 * general
        points.append(CurvePoint(step, loss, max(0.02, task), general, 2e-4 * left, validation))
    return tuple(points)


def make_predictions(
    arm: str, seed: int, num_rows: int, text: Callable[[str], str]
) -> list[PredictionRow]:
    rows = []
    for i in range(num_rows):
        shared, own = random.Random(f"row{i}"), random.Random(f"{arm}{seed}{i}")
        topic = shared.randrange(len(CODES))
        code, luck = CODES[topic], own.random()
        _, right, unread, nll, *_ = ARMS[arm]
        parsed = luck > unread
        if luck > 1 - right:
            answer = code
        elif parsed:
            answer = CODES[(topic + own.randrange(1, len(CODES))) % len(CODES)]
        else:
            answer = "I am sorry to hear that. Could you tell me more about what happened?"
        prompt = f"{shared.choice(OPENERS)} {BODIES[topic]}"
        if arm == "tell":
            prompt = f"Answer with the ticket code.\n{prompt}"
        is_right = answer == code
        rows.append(PredictionRow(
            id=f"test-{i}", prompt=text(prompt), references=(text(code),),
            prediction=text(answer), finish_reason="stop" if parsed else "length",
            scores={"macro_f1": None, "exact_match": float(is_right)}, parsed=parsed,
            nll=nll * 3 + own.random(), num_tokens=3, end_nll=0.05,
        ))  # fmt: skip
    return rows


def make_result(num_rows: int = 128) -> RunResult:
    summaries, curves = [], []
    for arm, (title, right, unread, nll, heldout, retention, kl, steps) in ARMS.items():
        trained = arm != "base"
        summaries.append(ArmSummary(
            arm=arm, title=title, cells=tuple(cell_dir(arm, seed) for seed in (0, 1)),
            seeds=(0, 1),
            scores={"macro_f1": around(right * 0.96, 0.08), "exact_match": around(right, 0.075)},
            nll={"task": around(nll, 0.06), "general_heldout": around(heldout, 0.04, 200),
                 "retention": around(retention, 0.05, 200)},
            kl_to_base={"general_heldout": around(kl * 0.9, 0.02, 200),
                        "retention": around(kl, 0.02, 200)} if trained else {},
            unparseable=Unparseable(round(unread * 2 * num_rows), 2 * num_rows),
            steps=float(steps),
            tokens=TokenCounts(62_000, 31_000 if arm == "tell" else 0, 5_200,
                               14_800 if arm == "tell" else 0) if trained else None,
            seconds=Seconds(212.0 if trained else None, 64.0, 290.0 if trained else 71.0),
            peak_memory_bytes=2_100_000_000,
        ))  # fmt: skip
        if trained:
            curves += [Curve(arm, seed, None, make_curve(arm, seed)) for seed in (0, 1)]
    rng = random.Random(5)
    histogram = tuple(rng.randint(33, 48) for _ in range(36))
    task_positions = sum(histogram)
    return RunResult(
        format_version=1,
        name="tickets",
        created="2026-01-31T10:06:52Z",
        command="levertune run --task tickets.csv seeds=2",
        recipe={
            "version": 1,
            "task": {"path": "tickets.csv", "prompt": "{message}", "completion": "{code}",
                     "exposures": 24, "metric": "macro_f1", "test": 128},
            "anchor": {"text": "Answer with the ticket code.", "placement": "prefix",
                       "lead_in": None, "dropout": 0.0},
            "general": {"sources": [{"path": "embedded-skills", "weight": 1}], "rows": 300},
            "training": {"learning_rate": 2e-4, "effective_batch_size": 8, "lora_r": 16},
            "arms": ["base", "sft", "sft-steps", "tell"],
            "seeds": [0, 1],
        },
        auto=(
            AutoSetting("task.exposures", 24, "48 task rows: 24 exposures (table for 50 rows)"),
            AutoSetting("task.metric", "macro_f1", "short answers from a closed set: labels"),
            AutoSetting("anchor.text", "Answer with the ticket code.", "the rows share no "
                        "instruction; this is the sentence for labels"),
            AutoSetting("training.learning_rate", 2e-4, "135M parameters with LoRA of rank 16"),
        ),
        task=TaskInfo("tickets.csv", 176, 48, num_rows, 2_612, "labels",
                      "6 distinct completions in 176 rows, none longer than 3 tokens",
                      "prompt/completion", "ab" * 32, "file", None, "under 10^4 tokens", CODES),
        anchor=AnchorInfo("9f31c0de77aa", "Answer with the ticket code.", "prefix", None, 0.0, 6,
                          "written for the task kind"),
        general=(GeneralInfo("embedded-skills", 4_200, 300, 31_000, "cd" * 32),),
        model=ModelInfo("SmolLM2-135M-Instruct", "ef" * 32, 134_515_008, 4_884_480, "bfloat16",
                        "cpu"),
        metrics=MetricsInfo("macro_f1", "labels are judged by macro F1, so that rare codes count.",
                            (MetricInfo("macro_f1", "macro F1", True, 100.0),
                             MetricInfo("exact_match", "exact match", True, 100.0))),
        arms=tuple(summaries),
        comparisons=(
            Comparison("tell", "sft-steps", "macro_f1", around(0.211, 0.09)),
            Comparison("tell", "sft", "macro_f1", around(0.374, 0.1)),
            Comparison("sft-steps", "sft", "macro_f1", Interval(0.04, -0.05, 0.13, 128, 2, METHOD)),
            Comparison("tell", "sft-steps", "exact_match", around(0.22, 0.085), 0.0004, 36, 8, 84),
            Comparison("tell", "sft-steps", "nll.task", around(-0.29, 0.07)),
            Comparison("tell", "sft-steps", "nll.retention", around(-1.62, 0.06, 200)),
        ),
        verdict=Verdict(
            sentence="TELL scored 21.1 points of macro F1 more than the best baseline, sft-steps "
            "(95 % interval 12.1 to 30.1; 128 test rows, 2 seeds).",
            retention_sentence="It also kept more: retention NLL 1.62 against 3.24 nats per token "
            "(base model 1.91).",
            paid=True,
            against="sft-steps",
            covers="the draw of the test rows",
            does_not_cover="training luck beyond these two seeds, other draws of 48 task rows, "
            "and other base models",
        ),
        mixture=MixtureSummary("shuffle", task_positions + 300, task_positions, 300, Dispersion(
            positions=task_positions + 300, task_positions=task_positions,
            gaps=Gaps(1, 1.0, 1.21, 7, 1.0, 1.2, 6.8), longest_task_run=31, step_rows=8,
            steps=222, steps_without_task=0, task_rows_per_step=Spread(6.6, 3, 8),
            task_loss_tokens=5_200, general_loss_tokens=14_800, task_loss_share=0.26,
            task_loss_share_per_step=Spread(0.31, 0.04, 1.0), histogram=histogram,
            histogram_rows=tuple(49 for _ in histogram),
        )),
        curves=tuple(curves),
        samples=(),
        dropped=Dropped(3, {"general row equal to a test row": 3}),
        warnings=("general.sources[0]: 3 rows equal test rows and were dropped.",
                  "2 seeds describe; they do not confirm. Use seeds=8 for a test."),
        failures=(Failure("arms/sft-plain/seed-0", "the rows share no instruction to remove"),),
        provenance=PROVENANCE,
    )  # fmt: skip


def make_cell(arm: str, seed: int, num_rows: int) -> Cell:
    _, right, unread, nll, heldout, retention, kl, steps = ARMS[arm]
    return Cell(
        arm=arm, seed=seed, fold=None, subset=None, task_rows=48,
        exposures=24 if steps else 0, steps_taken=steps, general_rows=300 if arm == "tell" else 0,
        tokens=TokenCounts(62_000, 31_000, 5_200, 14_800) if steps else TokenCounts(0, 0, 0, 0),
        seconds=Seconds(212.0 if steps else None, 64.0, 290.0),
        tokens_per_second=440.0 if steps else None, peak_memory_bytes=2_100_000_000,
        stopped_early_at=170 if arm == "sft-steps" else None,
        nll=NllByRows(Nll(nll, nll * 3, 0.05, num_rows, num_rows * 3),
                      Nll(heldout, heldout * 40, None, 200, 8_000),
                      Nll(retention, retention * 40, None, 200, 8_000)),
        kl_to_base=KlToBase(kl, kl), num_test_rows=num_rows,
        num_unparseable=round(unread * num_rows), dispersion=None, curve=make_curve(arm, seed),
        fingerprint="f" * 16, provenance=PROVENANCE,
        scores={"macro_f1": right * 0.96, "exact_match": right},
    )  # fmt: skip


def write_demo_run(
    folder: Path,
    *,
    num_rows: int = 128,
    text: Callable[[str], str] = lambda text: text,
    change: Callable[[RunResult], RunResult] = lambda result: result,
) -> Path:
    """Write the run folder of a made-up run.

    Args:
        folder: Where to.
        num_rows: Test rows.
        text: What to make of each prompt, reference and prediction.
        change: What to make of the result.
    """
    for arm in ARMS:
        for seed in (0, 1):
            place = folder / cell_dir(arm, seed)
            write_predictions(place, make_predictions(arm, seed, num_rows, text))
            write_cell(place, replace(make_cell(arm, seed, num_rows)))
    write_result(folder, change(make_result(num_rows)))
    return folder


@pytest.fixture
def demo_result() -> RunResult:
    return make_result()


@pytest.fixture
def demo_run(tmp_path: Path) -> Callable[..., Path]:
    return lambda **options: write_demo_run(tmp_path / "tickets", **options)


@pytest.fixture
def demo_predictions() -> Callable[..., list[ArmPredictions]]:
    def read(num_rows: int, text: Callable[[str], str] = lambda text: text) -> list[ArmPredictions]:
        return [
            ArmPredictions(arm, i, 0, {r.id: r for r in make_predictions(arm, 0, num_rows, text)})
            for i, arm in enumerate(ARMS)
        ]

    return read
