"""LoRA adapters: attach, save as a plain PEFT folder, load and check against the base model."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from levertune.anchors.anchor import Anchor
from levertune.anchors.lift import Lifting
from levertune.errors import ModelError
from levertune.models.model_files import open_weights, read_object
from levertune.models.quiet import quiet_libraries

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

CARD_FILE = "levertune.json"
"""Beside the PEFT files: the anchor and the base model the adapter belongs to."""

_CONFIG_FILE = "adapter_config.json"
_WEIGHTS_FILE = "adapter_model.safetensors"


@dataclass(frozen=True, slots=True)
class AdapterCard:
    """What an adapter needs to be used as it was trained.

    Args:
        base_model: Name of the base model.
        base_sha256: Its fingerprint (`models.resolve.fingerprint_model`).
        arm: The arm that trained it.
        anchor: The anchor its prompts carry, or None.
        lifting: Instructions taken off the training rows (one of them is the anchor, or they are
            gone on purpose); rows that still carry one have it taken off before use.
        max_new_tokens: Length limit its evaluation used.
        fingerprint: Manifest fingerprint of the run.
        revision: Branch, tag or commit of the base model, where the recipe named one.
        dtype: Precision of the base weights in training; None where it is not known.
        quantization: What its linear layers were kept in, as `nf4`; None in that precision.
    """

    base_model: str
    base_sha256: str
    arm: str
    anchor: Anchor | None
    lifting: Lifting
    max_new_tokens: int
    fingerprint: str
    revision: str | None = None
    dtype: str | None = None
    quantization: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        content = asdict(self)
        content["anchor"] = self.anchor.to_json() if self.anchor else None
        return content

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> AdapterCard:
        """From `to_json`'s output."""
        anchor, lifting = content.get("anchor"), content["lifting"]
        return cls(
            **{
                **content,
                "anchor": Anchor.from_json(anchor) if anchor else None,
                "lifting": Lifting(tuple(lifting["instructions"]), lifting["separator"]),
            }
        )


def attach_lora(
    model: PreTrainedModel, *, r: int, alpha: int, dropout: float, target_modules: str | list[str]
) -> PeftModel:
    """Wrap a base model with a fresh LoRA adapter (2106.09685), weights in float32.

    The caller seeds torch before: the A matrices are drawn here. `all-linear` is every linear layer
    that text runs through, but for the head.

    Raises:
        ModelError: If no module of the model matches.
    """
    from peft import LoraConfig, get_peft_model

    if target_modules == "all-linear":
        target_modules = _find_text_layers(model) or target_modules
    config = LoraConfig(
        r=r,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=target_modules,
        task_type="CAUSAL_LM",
        bias="none",
    )
    try:
        with quiet_libraries():
            return _tuned(get_peft_model(model, config))
    except ValueError as error:
        raise ModelError(
            f"training.lora_target_modules: {target_modules!r} fits no module of this model; "
            f"{' '.join(str(error).split())[:160]}"
        ) from error


def _find_text_layers(model: PreTrainedModel) -> list[str]:
    """Linear layers of the language model inside one that sees or hears too; else none.

    PEFT's `all-linear` takes the other towers along, which rows of text never reach.
    """
    from torch import nn

    if model.config.get_text_config(decoder=True) is model.config:
        return []
    inside = {id(module) for module in model.get_decoder().modules()}
    head = model.get_output_embeddings()
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and id(module) in inside and module is not head
    ]


def save_adapter(
    model: PeftModel, folder: Path, *, state_dict: dict[str, Any] | None = None
) -> None:
    """Write an adapter as a plain PEFT folder: weights and configuration, no model card.

    Left to itself PEFT asks the Hub, at each save, whether the vocabulary has grown; it has not.

    Args:
        model: The adapted model.
        folder: The folder.
        state_dict: Weights to write in place of the model's.
    """
    for config in model.peft_config.values():
        targets = getattr(config, "target_modules", None)
        if isinstance(targets, set):  # its order differs from process to process
            vars(config)["target_modules"] = sorted(targets)
    with quiet_libraries():
        model.save_pretrained(str(folder), state_dict=state_dict, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)


def _tuned(model: PeftModel) -> PeftModel:
    """The model with the faster way through LoRA's layers, and without a cast PEFT would make.

    PEFT casts every LoRA input up to float32; where the products run under autocast, that casts it
    straight down again: two copies of every activation for nothing (LOG.md 2026-11-22).
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    from levertune.models.lora_linear import speed_up_lora

    for module in model.modules():
        if isinstance(module, BaseTunerLayer):
            module.cast_input_dtype_enabled = False  # type: ignore[assignment]
    if not _clips_in_place(model):
        speed_up_lora(model)
    return model


def _clips_in_place(model: PeftModel) -> bool:
    """Whether queries, keys and values are clipped where they lie, as in some OLMo models.

    What the faster way hands out may not be written over.
    """
    return getattr(model.get_base_model().config, "clip_qkv", None) is not None


def write_card(folder: Path, card: AdapterCard) -> None:
    """Write the card beside the adapter's weights."""
    from levertune.results.files import write_json_atomically

    write_json_atomically(folder / CARD_FILE, card.to_json())


def read_card(folder: Path) -> AdapterCard:
    """Read an adapter's card.

    Raises:
        ModelError: If the folder is no adapter of levertune's.
    """
    if not (folder / _CONFIG_FILE).is_file():
        raise ModelError(
            f"{folder.name}: is no adapter (it has no {_CONFIG_FILE}). Name a folder such as "
            "runs/NAME/best."
        )
    path = folder / CARD_FILE
    if not path.is_file():
        raise ModelError(
            f"{folder.name}: has no {CARD_FILE}, so its anchor is unknown. Use peft to load it, or "
            "name a folder levertune trained."
        )
    try:
        return AdapterCard.from_json(dict(json.loads(path.read_text(encoding="utf-8"))))
    except (ValueError, TypeError, KeyError) as error:
        raise ModelError(
            f"{folder.name}/{CARD_FILE}: cannot be read; {type(error).__name__} {error}. Train the "
            "adapter again, or load it with peft."
        ) from error


def check_base(folder: Path, card: AdapterCard, base_sha256: str) -> None:
    """Refuse to put an adapter on another base model than its own.

    Args:
        folder: The adapter, for the message.
        card: Its card.
        base_sha256: Fingerprint of the base model found.

    Raises:
        ModelError: If the adapter was trained on another one.
    """
    if card.base_sha256 != base_sha256:
        form = f" in {card.quantization}" if card.quantization else ""
        raise ModelError(
            f"{folder.name}: was trained on {card.base_model!r}{form} "
            f"(hash {card.base_sha256[:12]}); "
            f"found a base model with hash {base_sha256[:12]}. Give the folder or name of the base "
            "it was trained on."
        )


def check_whole(folder: Path) -> None:
    """Refuse an adapter whose PEFT files are missing, cut short or no such files at all.

    PEFT would ask the Hub for weights that the folder lacks.

    Args:
        folder: The adapter.

    Raises:
        ModelError: If the configuration or the weights cannot be read.
    """
    read_object(folder / _CONFIG_FILE)
    if not (folder / _WEIGHTS_FILE).is_file():
        raise ModelError(
            f"{folder.name}: has no {_WEIGHTS_FILE}; found "
            f"{sorted(p.name for p in folder.iterdir())[:8]}. Copy the whole folder again."
        )
    with open_weights(folder / _WEIGHTS_FILE):
        pass


def load_adapter(base: PreTrainedModel, folder: Path, *, base_sha256: str) -> PeftModel:
    """Put a saved adapter on its base model, ready to generate.

    Args:
        base: The loaded base model.
        folder: A folder with adapter and card.
        base_sha256: Fingerprint of `base`.

    Raises:
        ModelError: If the adapter was trained on another base model, or its files are damaged.
    """
    from peft import PeftModel

    from levertune.models.micro_batch_limit import is_out_of_memory

    check_base(folder, read_card(folder), base_sha256)
    check_whole(folder)
    try:
        with quiet_libraries():
            return _tuned(PeftModel.from_pretrained(base, folder).eval())
    except (OSError, ValueError, TypeError, KeyError, RuntimeError) as error:
        if is_out_of_memory(error):  # torch raises it as a RuntimeError
            raise
        raise ModelError(
            f"{folder.name}: cannot be put on its base model; "
            f"{' '.join(str(error).split())[:200]}. Copy the whole folder again."
        ) from error
