import dataclasses
import json
import re
from pathlib import Path

import pytest

from levertune.errors import RunError
from levertune.results import (
    anchor_checks,
    anchor_scores,
    cells,
    dispersion,
    inputs,
    provenance,
    schema,
    selection,
)
from levertune.results.cells import (
    CurvePoint,
    PredictionRow,
    cell_dir,
    read_cell,
    read_predictions,
    write_cell,
    write_predictions,
)
from levertune.results.schema import Failure, read_result, write_result

PREDICTION = PredictionRow(
    "1", "p", ("a", "b"), "c", "stop", {"exact_match": 0.0, "macro_f1": None}, True, 1.5, 3, None
)


def edit(path: Path, change) -> None:
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    path.write_text(json.dumps(data), encoding="utf-8")


def test_a_cell_reads_back_as_it_was_written(tmp_path, make_cell):
    write_cell(tmp_path, make_cell())
    assert read_cell(tmp_path) == make_cell()


def test_a_result_reads_back_as_it_was_written(tmp_path, make_result):
    write_result(tmp_path, make_result())
    assert read_result(tmp_path) == make_result()


def test_predictions_read_back_in_order(tmp_path):
    rows = [PREDICTION, dataclasses.replace(PREDICTION, id="2", prediction="\u2028")]
    write_predictions(tmp_path, rows)
    assert read_predictions(tmp_path) == rows


def test_a_loss_that_diverged_is_written_as_missing(tmp_path, make_cell):
    point = CurvePoint(1, float("nan"), float("inf"))
    write_cell(tmp_path, make_cell(curve=(point,)))
    assert read_cell(tmp_path).curve == (CurvePoint(1, None, None),)


def test_a_cell_has_a_folder_for_each_of_its_parts():
    assert cell_dir("tell", 3) == "arms/tell/seed-3"
    assert cell_dir("tell", 0, fold=2, subset="n20") == "arms/tell/seed-0/fold-2/subset-n20"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("arm"), "key 'arm' is missing; found ['checks', "),
        (lambda d: d["tokens"].pop("task"), "key 'tokens.task' is missing; found ['general', "),
        (lambda d: d.update(armm=1), "unknown key 'armm'; known here: ['arm', "),
        (lambda d: d.update(armm=1), "Did you mean 'arm'?"),
        (lambda d: d.update(zzz=1), "unknown key 'zzz'"),
        (lambda d: d.update(seed="0"), "seed must be a whole number; found '0'"),
        (lambda d: d.update(seed=True), "seed must be a whole number; found True"),
        (lambda d: d.update(arm=5), "arm must be a string; found 5"),
        (lambda d: d.update(exposures=[]), "exposures must be a finite number; found []"),
        (
            lambda d: d.update(exposures=float("nan")),
            "exposures must be a finite number; found nan",
        ),
        (lambda d: d.update(curve={}), "curve must be a list; found {}"),
        (lambda d: d["curve"].append(3), "curve[1] must be an object; found 3"),
        (lambda d: d.update(scores=[1]), "scores must be an object; found [1]"),
        (lambda d: d["scores"].update(x="y" * 99), "scores.x must be a finite number; found 'yyy"),
    ],
)
def test_a_wrong_key_of_a_cell_is_named(tmp_path, change, message, make_cell):
    path = write_cell(tmp_path, make_cell())
    edit(path, change)
    with pytest.raises(RunError, match=re.escape(message)) as caught:
        read_cell(tmp_path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_key_with_a_default_may_be_missing(tmp_path, make_cell):
    edit(write_cell(tmp_path, make_cell()), lambda d: d.pop("scores"))
    assert read_cell(tmp_path).scores == {}


def test_a_file_that_holds_no_cell_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"cell\.json: no such file"):
        read_cell(tmp_path)
    (tmp_path / "cell.json").write_text("[]", encoding="utf-8")
    with pytest.raises(RunError, match="not a JSON object"):
        read_cell(tmp_path)


@pytest.mark.parametrize("version", [None, 2, "1"])
def test_a_result_of_another_format_is_refused(tmp_path, version, make_result):
    edit(write_result(tmp_path, make_result()), lambda d: d.update(format_version=version))
    message = f"format_version must be 1; found {version!r}. It was written by another version"
    with pytest.raises(RunError, match=re.escape(message)):
        read_result(tmp_path)


def test_a_value_outside_its_set_is_refused(tmp_path, make_result):
    edit(write_result(tmp_path, make_result()), lambda d: d["task"].update(test_mode="loo"))
    with pytest.raises(RunError, match=r"task\.test_mode must be one of \['file', 'holdout', 'cv"):
        read_result(tmp_path)


def test_a_bad_prediction_names_its_line(tmp_path):
    path = write_predictions(tmp_path, [PREDICTION, PREDICTION])
    path.write_text(path.read_text("utf-8").replace('"stop"', '"end"', 1), encoding="utf-8")
    with pytest.raises(RunError, match=r"predictions\.jsonl, line 1: finish_reason must be one of"):
        read_predictions(tmp_path)
    path.unlink()
    with pytest.raises(RunError, match=r"predictions\.jsonl: no such file\. Evaluate that arm"):
        read_predictions(tmp_path)


def test_no_folder_of_the_machine_reaches_the_result_file(tmp_path, make_result):
    place = "/srv/people/somebody"
    text = write_result(
        tmp_path,
        make_result(
            command=f"levertune run --task {place}/t.csv",
            recipe={"task": {"path": f"{place}/t.csv"}, "general": [f"{place}/g/"]},
            warnings=(f"{place}/t.csv, line 3: odd",),
            failures=(Failure("arms/tell/seed-0", f"'{place}/x' is gone"),),
        ),
    ).read_text(encoding="utf-8")
    assert "somebody" not in text
    assert "levertune run --task t.csv" in text


def test_every_key_of_the_contract_is_documented():
    page = Path(__file__).parents[2] / "docs" / "reference" / "results.md"
    documented = set(re.findall(r"`([^`\s]+)`", page.read_text(encoding="utf-8")))
    for module in (
        anchor_checks,
        anchor_scores,
        cells,
        dispersion,
        inputs,
        provenance,
        schema,
        selection,
    ):
        for cls in vars(module).values():
            if dataclasses.is_dataclass(cls) and cls.__module__ == module.__name__:
                for field in dataclasses.fields(cls):
                    assert f"{field.name}:" in cls.__doc__, (cls, field.name)
                    assert field.name in documented, (cls, field.name)
