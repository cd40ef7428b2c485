import subprocess
import sys

import pandas as pd
import pytest

from levertune.errors import RunError
from levertune.results.cells import cell_dir, write_cell
from levertune.results.inputs import MetricInfo, MetricsInfo
from levertune.results.load import find_runs, load_results
from levertune.results.schema import ArmSummary, Seconds, write_result


@pytest.fixture
def runs(tmp_path, make_cell, make_result):
    """Run `a` is done (two arms, two folds); run `b` has one cell so far."""
    folder = tmp_path / "runs"
    summaries = []
    for arm, score in (("tell", 0.5), ("base", None)):
        places = []
        for fold in (1, 0):
            places.append(cell_dir(arm, 0, fold=fold))
            cell = make_cell(arm=arm, fold=fold, scores={"chrf": score}, num_test_rows=fold)
            write_cell(folder / "a" / places[-1], cell)
        nothing = Seconds(None, None, None)
        summaries.append(ArmSummary(
            arm, arm, tuple(places), (0,), {}, {}, {}, None, None, None, nothing, None
        ))  # fmt: skip
    metrics = MetricsInfo("chrf", "", (MetricInfo("chrf", "chrF", True),))
    write_result(folder / "a", make_result(name="a", arms=tuple(summaries), metrics=metrics))
    write_cell(folder / "b" / cell_dir("sft", 7), make_cell(arm="sft", seed=7))
    return folder


def test_one_row_a_cell_sorted_by_run_arm_seed_and_fold(runs):
    table = load_results(runs)
    keys = table[["run", "arm", "seed", "fold"]].astype(object).where(table.notna(), None)
    assert keys.values.tolist() == [
        ["a", "base", 0, 0], ["a", "base", 0, 1], ["a", "tell", 0, 0], ["a", "tell", 0, 1],
        ["b", "sft", 7, None],
    ]  # fmt: skip
    assert table["num_test_rows"].tolist() == [0, 1, 0, 1, 128]


def test_what_was_not_measured_is_missing_and_not_zero(runs):
    table = load_results(runs)
    assert pd.isna(table.loc[table.arm == "base", "score"]).all()
    assert table.loc[table.arm == "tell", "score"].tolist() == [0.5, 0.5]
    assert table["score_chrf"].tolist()[2:4] == [0.5, 0.5]
    assert pd.isna(table["nll_task"]).all()
    assert table["kl_retention"].tolist() == [0.25] * 5


def test_a_run_that_is_not_done_gives_the_cells_it_has(runs):
    table = load_results(runs / "b")
    assert table["done"].tolist() == [False]
    assert pd.isna(table["score"]).all()
    assert table["score_exact_match"].tolist() == [0.5]


@pytest.mark.parametrize("pattern", ["", "/**", "/*", "/a", "/a/result.json", "/**/result.json"])
def test_a_folder_a_file_and_a_pattern_find_the_same_run(runs, pattern):
    assert runs / "a" in find_runs(f"{runs}{pattern}")
    assert load_results(f"{runs}{pattern}").iloc[0]["run"] == "a"


def test_a_pattern_without_runs_is_refused(tmp_path):
    with pytest.raises(RunError, match="no run folder there; looked for 'result.json' or 'arms'"):
        load_results(tmp_path / "nothing*")
    with pytest.raises(RunError, match="no run folder there"):
        load_results(tmp_path)


def test_a_run_without_a_finished_cell_is_refused(tmp_path):
    (tmp_path / "runs" / "c" / "arms").mkdir(parents=True)
    with pytest.raises(RunError, match="none of the 1 run folders has a finished cell yet"):
        load_results(tmp_path / "runs")


def test_the_package_offers_it_without_importing_it_early():
    code = (
        "import sys, levertune as lt\n"
        "assert 'load_results' in dir(lt) and 'levertune.results.load' not in sys.modules\n"
        "assert callable(lt.load_results) and 'pandas' not in sys.modules\n"
        "lt.no_such_name\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == (
        "AttributeError: module 'levertune' has no attribute 'no_such_name'"
    )
