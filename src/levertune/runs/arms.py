"""The arms: the ways of using the data that a run compares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Arm:
    """One way of using the data.

    Args:
        name: Its name in recipes and results.
        title: What it does, in a few words.
        is_trained: Whether an adapter is trained.
        is_anchored: Whether the anchor stands on task prompts, in training and at test.
        is_lifted: Whether the instruction the rows share is taken off (the anchor may put it back).
        has_general: Whether general rows are mixed in.
        matches_steps: Whether it takes as many optimizer steps as `tell`, stopped early by rows
            held out of the training rows.
    """

    name: str
    title: str
    is_trained: bool = True
    is_anchored: bool = False
    is_lifted: bool = False
    has_general: bool = False
    matches_steps: bool = False


ARMS: Mapping[str, Arm] = MappingProxyType(
    {
        arm.name: arm
        for arm in (
            Arm("base", "the base model as it is, the rows verbatim", is_trained=False),
            Arm("sft", "task rows alone, verbatim, as many exposures as tell"),
            Arm(
                "sft-steps",
                "task rows alone, verbatim, up to as many steps as tell, stopped early",
                matches_steps=True,
            ),
            Arm("sft-plain", "as sft, without the instruction the rows share", is_lifted=True),
            Arm(
                "tell",
                "anchored task rows shuffled into general rows",
                is_anchored=True,
                is_lifted=True,
                has_general=True,
            ),
        )
    }
)
