"""Which keys of the anchor make sense together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from levertune.anchors.setting import AUTO, is_slip
from levertune.recipes.hints import short

MAX_REFINE_EVERY = 0.4
"""A switch needs two checks, and none comes in the last part of the training."""

_SEQUENTIAL = ("general-then-task", "task-then-general")

_KEYS_OF = {
    "anneal": ("served_tokens",),
    "refine": ("refine_every", "refine_rows", "challengers"),
}


def fault_of_anchor(anchor: Mapping[str, Any], defaults: Mapping[str, Any]) -> str | None:
    """What is wrong with the keys together, after the name of the section; None if nothing is.

    A resolved recipe names every key, so one at its default counts as left out.

    Args:
        anchor: The section's values by key.
        defaults: The defaults by key.
    """
    schedule = anchor["schedule"]
    if fault := fault_of_words(anchor["text"]):
        return f"text: {fault}"
    if schedule != "constant" and anchor["text"] is None:
        return (
            f"schedule: {schedule} needs an anchor to begin with; found anchor.text=null. Give "
            "one, or use auto."
        )
    if anchor["dropout"] and anchor["text"] is None:
        return (
            f"dropout: leaves an anchor out; found {anchor['dropout']} with anchor.text=null. Give "
            "an anchor, or remove it."
        )
    if anchor["lead_in"] is not None and anchor["text"] is None:
        return (
            f"lead_in: goes with an anchor; found {short(anchor['lead_in'])} with "
            "anchor.text=null. Give an anchor, or remove it."
        )
    for owner, keys in _KEYS_OF.items():
        for key in keys:
            if schedule != owner and anchor[key] != defaults[key]:
                return (
                    f"{key}: belongs to {owner}; found {anchor[key]} with "
                    f"anchor.schedule={schedule}. Remove it, or set anchor.schedule={owner}."
                )
    return None


def fault_of_words(text: str | None, *settings: str) -> str | None:
    """What is wrong with a text that is meant as a setting, after its key; None if nothing is.

    Args:
        text: The text.
        settings: Words besides `auto` that are settings there.
    """
    if text is None or not is_slip(text, settings=(AUTO, *settings)):
        return None
    return (
        f"would put the word on every task prompt; found {short(text)}. Write null for no anchor, "
        f"{', '.join((AUTO, *settings))} in small letters, or a sentence."
    )


def fault_of_order(schedule: str, order: str) -> str | None:
    """What is wrong with an anchor that changes under an order, after its key; None if nothing is.

    A form of the anchor that falls where no task row stands would be trained by none, and the last
    one is served.

    Args:
        schedule: `anchor.schedule`.
        order: `mixture.order`.
    """
    if schedule == "constant" or order not in _SEQUENTIAL:
        return None
    return (
        f"{schedule} goes by shares of the whole training, and the task rows stand at one end of "
        f"it; found mixture.order={order}. Set mixture.order=shuffle or anchor.schedule=constant."
    )
