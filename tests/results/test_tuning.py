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
    describe_settings,
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


def test_a_setting_that_is_neither_number_nor_text_is_refused(tmp_path):
    write_trial(tmp_path / "trial.json", TRIAL)
    content = json.loads((tmp_path / "trial.json").read_text())
    content["settings"]["general.rows"] = [3]
    (tmp_path / "trial.json").write_text(json.dumps(content))
    message = r"settings\.general\.rows must be a finite number or a string; found \[3\]"
    with pytest.raises(RunError, match=message):
        read_trial(tmp_path / "trial.json")


def test_a_folder_without_a_tuning_has_none(tmp_path):
    assert read_tuning(tmp_path) is None
    assert (tmp_path / TUNING_FILE).name == "tune.json"


def test_settings_are_shown_in_a_line_and_long_texts_are_cut():
    settings = {"task.exposures": 12, "training.learning_rate": 5e-4, "anchor.text": "auto"}
    assert describe_settings(settings) == (
        "task.exposures=12, training.learning_rate=0.0005, anchor.text=auto"
    )
    shown = describe_settings({"anchor.text": "Give\nthe code. " + "And more. " * 20})
    assert shown.startswith("anchor.text='Give the code. And more.")
    assert shown.endswith("...'")
    assert len(shown) < 80


def test_what_is_tuned_anew_for_an_arm_is_forgotten_for_that_arm_alone():
    both = {"task.exposures": 3, "training.learning_rate": 1e-3}
    choices = tuple(TunedChoice(arm, None, both, (CANDIDATE,)) for arm in ("tell", "sft"))
    tuning = Tuning(tuple(both), 0, "f", choices, collect_provenance())
    left = tuning.without(("task.exposures",), ("tell",))
    assert left.keys == tuning.keys
    assert left.choice_for("tell", None).settings == {"training.learning_rate": 1e-3}
    assert left.choice_for("sft", None).settings == both
    left = tuning.without(("task.exposures",), ("tell", "sft"))
    assert left.keys == ("training.learning_rate",)
    assert tuning.without(both, ("tell", "sft")) is None
    assert [c.arm for c in tuning.without(both, ("tell",)).choices] == ["sft"]
