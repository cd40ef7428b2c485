from types import SimpleNamespace

import pytest

from levertune.anchors.anchor import Anchor
from levertune.anchors.lift import Lifting
from levertune.models.adapters import AdapterCard, write_card
from levertune.runs.closing import closing_lines


@pytest.fixture
def lines(tmp_path):
    """The closing lines of a run whose best adapter has this anchor."""

    def _lines(anchor, *, origin="hub", test_mode="cv", best=tmp_path):
        (tmp_path / "adapter_config.json").write_text("{}", "utf-8")
        write_card(tmp_path, AdapterCard("owner/m", "0", "tell", anchor, Lifting(), 4, "f"))
        prepared = SimpleNamespace(
            workspace=SimpleNamespace(
                location=SimpleNamespace(name="owner/m", folder=tmp_path / "m", origin=origin)
            ),
            inputs=SimpleNamespace(test_mode=test_mode),
        )
        failure = SimpleNamespace(cell="arms/sft/seed-0", reason="it rained")
        return closing_lines(
            prepared, SimpleNamespace(warnings=("odd",), failures=(failure,)), best
        )

    return _lines


@pytest.mark.parametrize(
    ("placement", "where"),
    [("prefix", "in front of"), ("suffix", "behind"), ("system", "as system turn to")],
)
def test_the_anchor_is_named_with_its_place(lines, placement, where):
    last = lines(Anchor("Say it.", placement=placement))[-1]
    assert last == f"  and put its anchor {where} each prompt: 'Say it.'"


def test_a_hub_model_is_named_and_any_other_by_its_folder(lines, tmp_path):
    assert '  base = AutoModelForCausalLM.from_pretrained("owner/m")' in lines(None)
    folder = tmp_path / "m"
    for origin in ("folder", "embedded"):
        line = f'  base = AutoModelForCausalLM.from_pretrained("{folder}")'
        assert line in lines(None, origin=origin)


def test_warnings_and_failures_come_first_and_alone_where_nothing_was_kept(lines):
    assert lines(None, best=None) == ["warning: odd", "failed: arms/sft/seed-0: it rained"]
    assert lines(None)[:2] == lines(None, best=None)
    assert "trained on all rows" in lines(None)[2]
    assert "trained on the training rows" in lines(None, test_mode="file")[2]
