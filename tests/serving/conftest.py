from dataclasses import replace

import pytest

from levertune.anchors.anchor import Anchor
from levertune.anchors.lift import Lifting

INSTRUCTION = "Say the colour."


@pytest.fixture(scope="session")
def card(tiny_model_folder):
    """The card of an adapter whose rows shared an instruction that became the anchor."""
    from levertune.models.adapters import AdapterCard
    from levertune.models.resolve import fingerprint_model, resolve_model

    return AdapterCard(
        base_model=tiny_model_folder.name,
        base_sha256=fingerprint_model(resolve_model(str(tiny_model_folder))),
        arm="tell",
        anchor=Anchor(INSTRUCTION, separator="\n\n"),
        lifting=Lifting((INSTRUCTION,), "\n\n"),
        max_new_tokens=6,
        fingerprint="f",
    )


@pytest.fixture(autouse=True)
def _float32(monkeypatch):
    """Compute as exactly as the naive computations the answers are held to, on any CPU."""
    monkeypatch.setattr("levertune.models.hardware.has_native_bfloat16", lambda device: False)


@pytest.fixture
def make_adapter(tiny_model_folder, tiny_model, card, monkeypatch):
    """Writes an adapter with an effect into a folder; its base is found from where we stand."""
    import torch

    from levertune.models.adapters import attach_lora, save_adapter, write_card

    monkeypatch.chdir(tiny_model_folder.parent)

    def make(folder, **changes):
        torch.manual_seed(0)
        model = attach_lora(tiny_model, r=2, alpha=8, dropout=0.0, target_modules="all-linear")
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter)
        save_adapter(model, folder)
        write_card(folder, replace(card, **changes))
        model.unload()
        return folder

    return make


@pytest.fixture
def assistant(make_adapter, tmp_path):
    from levertune.serving.adapter import Assistant

    return Assistant.load(make_adapter(tmp_path / "best"), device="cpu")
