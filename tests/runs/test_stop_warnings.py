import json
from types import SimpleNamespace

import pytest

from levertune.runs.assemble import _stop_warnings


@pytest.mark.parametrize(
    ("stops", "said"),
    [
        ([(9, 9, 0), (9, 9, 0)], []),
        ([(4, 9, 0)], ["sft-steps was stopped early, after 4 steps"]),
        ([(4, 9, 0), (9, 9, 0)], ["sft-steps was stopped early in 1 of 2 cells, after 4 steps"]),
        ([(4, 9, 0), (6, 9, 0)], ["early in 2 of 2 cells, after 4 to 6 steps"]),
        ([(9, 9, 5), (9, 9, 0)], ["to stop sft-steps, in 1 of 2 cells: it may have been stopped"]),
    ],
)
def test_early_stops_are_told_and_what_may_have_misled_them(tmp_path, stops, said):
    plans = []
    for number, (step, num_steps, parted) in enumerate(stops):
        folder = tmp_path / f"seed-{number}"
        folder.mkdir()
        found = {"step": step, "num_steps": num_steps, "parted_rows": parted}
        (folder / "early_stop.json").write_text(json.dumps(found))
        plans.append(SimpleNamespace(folder=folder.name))
    prepared = SimpleNamespace(run_dir=tmp_path)
    warnings = _stop_warnings(prepared, {"sft-steps": SimpleNamespace(plans=plans)})
    assert len(warnings) == len(said)
    for warning, part in zip(warnings, said, strict=True):
        assert part in warning
    assert _stop_warnings(prepared, {"tell": None}) == []
