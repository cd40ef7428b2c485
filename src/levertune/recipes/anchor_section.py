"""The recipe's keys of the anchor."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from levertune.recipes.anchor_rules import MAX_REFINE_EVERY, fault_of_anchor
from levertune.recipes.section import Section
from levertune.recipes.values import Places, Text


class AnchorSection(Section):
    """The text that marks every task prompt the same way."""

    text: Text | None = Field(
        default="auto",
        description="A sentence, file:PATH or pool:ID. null: no anchor. auto: the instruction the "
        "rows share, lifted out of them; of several that they vary the commonest; where they have "
        "none, a sentence that says what the answers look like.",
    )
    pools: Places = Field(
        default=(),
        description="Where pool:ID looks besides the pool that comes along: folders, git+URL, "
        "hub:NAME.",
    )
    varied: Literal["replace", "always", "keep"] = Field(
        default="replace",
        description="What becomes of instructions that the rows vary. replace: the anchor takes "
        "their place where nothing says that they are what the rows differ in. always: in any "
        "case. keep: they stay behind it.",
    )
    shared: Literal["keep", "replace"] = Field(
        default="keep",
        description="What becomes of an instruction that all rows share where the anchor is "
        "another text: it stays in the rows, or the anchor replaces it.",
    )
    placement: Literal["prefix", "system", "suffix"] = Field(
        default="prefix", description="Before or after the last user turn, or as the system turn."
    )
    lead_in: Text | None = Field(
        default=None,
        description="Text every answer to an anchored prompt starts with; part of the prompt, "
        "never of the loss.",
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0, description="Share of the task exposures trained without the anchor."
    )
    schedule: Literal["constant", "anneal", "refine"] = Field(
        default="constant",
        description="How the anchor changes while training. anneal: it is shortened in steps. "
        "refine: challengers that answer rows set aside better take its place.",
    )
    served_tokens: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="Most tokens of the anchor's text that are left at the end of anneal.",
    )
    refine_every: Annotated[float, Field(gt=0, le=MAX_REFINE_EVERY)] = Field(
        default=0.1, description="Share of the training between two checks of refine."
    )
    refine_rows: Annotated[float, Field(gt=0, le=0.5)] = Field(
        default=0.2,
        description="Share of the training rows, 100 of them at most, that refine judges anchors "
        "on. They are not trained on.",
    )
    challengers: Annotated[int, Field(ge=1, le=64)] = Field(
        default=4, description="Other anchors that a check of refine scores."
    )

    @model_validator(mode="after")
    def _check_schedule(self) -> AnchorSection:
        defaults = {name: field.default for name, field in type(self).model_fields.items()}
        if fault := fault_of_anchor(dict(self), defaults):
            raise ValueError(fault)
        return self
