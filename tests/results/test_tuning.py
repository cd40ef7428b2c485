import json

import pytest

from levertune.errors import RunError
from levertune.results.provenance import collect_provenance
from levertune.results.tuning import (
    TUNING_FILE,
    Candidate,
    RowLoss,
    Trial,
    TunedChoice,
    Tuning,
    read_trial,
    read_tuning,
    write_trial,
    write_tuning,
)

SETTINGS = {"general.rows": 240, "training.learning_rate": 0.0005}
CANDIDATE = Candidate(SETTINGS, 5.0, 3, 0.51, None, None, 40, None, 9000.5, has_collapsed=False)
TRIAL = Trial(SETTINGS, 0, (RowLoss("a", 1.5, 3),), 32, 160, 9000, 0.2, 3.0, None, None)


def test_a_tuning_reads_back_as_it_was_written_whole_numbers_whole(tmp_path):
    choice = TunedChoice("tell", None, SETTINGS, (CANDIDATE,))
    tuning = Tuning(tuple(SETTINGS), 0, "f", (choice,), collect_provenance())
    write_tuning(tmp_path, tuning)
    found = read_tuning(tmp_path)
    assert found == tuning
    assert [type(v) for v in found.choices[0].settings.values()] == [int, float]
    assert found.choice_for("tell", None) == choice
    assert found.choice_for("tell", 0) is None


def test_a_trial_reads_back_as_it_was_written(tmp_path):
    write_trial(tmp_path / "trial.json", TRIAL)
    assert read_trial(tmp_path / "trial.json") == TRIAL


def test_a_setting_that_is_no_number_is_refused(tmp_path):
    write_trial(tmp_path / "trial.json", TRIAL)
    content = json.loads((tmp_path / "trial.json").read_text())
    content["settings"]["general.rows"] = "many"
    (tmp_path / "trial.json").write_text(json.dumps(content))
    message = r"settings\.general\.rows must be a finite number; found 'many'"
    with pytest.raises(RunError, match=message):
        read_trial(tmp_path / "trial.json")


def test_a_folder_without_a_tuning_has_none(tmp_path):
    assert read_tuning(tmp_path) is None
    assert (tmp_path / TUNING_FILE).name == "tune.json"
