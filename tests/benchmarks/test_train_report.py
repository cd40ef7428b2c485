"""Readings of the training benchmark to ratios, tables and lines."""

import pytest
from benchmarks.train import report

LIMITS = {
    "1": {
        "tokens_per_second": 400.0,
        "shared_tokens_per_second": 800.0,
        "flops_per_token": 2e9,
        "peak_flops": 4e12,
    }
}


def run(side, number, tokens, **changes):
    return {
        "case": "short",
        "side": side,
        "round": number,
        "processes": 1,
        "shares": side == "levertune",
        "tokens_per_second": tokens,
        "supervised_per_second": tokens / 10,
        "peak_bytes": 2**30 + number,
        "peak_device_bytes": None,
        "first_loss": 2.0,
        "final_loss": 1.5,
        "seconds_to_first_step": 9.0,
        "precision": "bfloat16",
        **changes,
    }


@pytest.fixture
def summaries():
    runs = [
        run("levertune", 0, 300.0), run("trl-tuned", 0, 100.0),
        run("levertune", 1, 200.0), run("trl-tuned", 1, 50.0),
        run("levertune", 2, 250.0), run("trl-tuned", 2, 125.0),
    ]  # fmt: skip
    losses = {
        "levertune": {"reference": 2.0, "tail": 0, "note": None},
        "trl-tuned": {"reference": 1.99, "tail": 8, "note": "it differs"},
    }
    return report.summarise(runs, LIMITS, losses)


def test_ratios_are_taken_within_a_round(summaries):
    ours, trl = summaries
    assert ours.tokens == report.Spread(250.0, 200.0, 300.0)
    assert trl.times == report.Spread(3.0, 2.0, 4.0)
    assert ours.times == report.Spread(1.0, 1.0, 1.0)


def test_shares_are_of_what_the_machine_attains(summaries):
    ours, trl = summaries
    assert ours.of_ceiling == pytest.approx(250 / 400)
    assert ours.of_shared_ceiling == pytest.approx(250 / 800)
    assert trl.of_shared_ceiling is None
    assert trl.of_peak == pytest.approx(100 * 2e9 / 4e12)
    assert trl.peak_bytes == 2**30 + 2


def test_the_table_has_a_line_a_side_and_the_notes_below(summaries):
    lines = report.show_table(summaries).splitlines()
    assert lines[2].startswith(
        "| levertune | 250 (200 to 300) | - | 25.0 (20.0 to 30.0) | 62% (31%"
    )
    assert "| 3.00 (2.00 to 4.00) x |" in lines[3]
    assert "| 2.0000 (+5.0e-03, 8 more tokens) |" in lines[3]
    assert lines[-1] == "trl-tuned: it differs."
    columns = {line.count("|") for line in lines[:4]}
    assert len(columns) == 1


def test_first_losses_that_lie_apart_are_named(summaries):
    ours = summaries[0]
    said = report.show_check(summaries)
    assert "+0.0e+00 (levertune) to +5.0e-03 (trl-tuned)" in said
    assert said.endswith("5.0e-03 apart, BEYOND 0.001")
    assert report.show_check([ours]).endswith("0.0e+00 apart, within 0.001")
    [unseen] = report.summarise([run("trl-tuned", 0, 1.0)], LIMITS, {})
    assert unseen.loss_difference is None
    assert unseen.times is None
    assert report.show_check([unseen]) == "first losses: not checked"
    assert "(not checked)" in report.show_table([unseen])


def test_a_line_says_how_a_case_stands_to_before(summaries):
    ours = summaries[0]
    assert report.show_line(ours, None).startswith("short levertune: 250 (200 to 300) tokens/s")
    before = {"tokens": {"median": 500.0}}
    assert report.ratio_to(ours, before) == 0.5
    assert report.show_line(ours, before).endswith("0.50 x before")
