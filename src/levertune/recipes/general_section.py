"""The recipe's keys of the general rows and their sources."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from levertune.recipes.section import Section
from levertune.recipes.source_rules import fault_of_sources
from levertune.recipes.values import Auto, Count, Encoding, Text, name_of_path

Select = Literal["stratified", "random", "bm25", "rds", "dissimilar", "loss", "gradient"]


class GeneralSource(Section):
    """One pool of abundant rows."""

    path: Text = Field(
        description="Like task.path; a folder, a pattern, or a URL (s3://, gs://, https://); a "
        "pool levertune brings along: embedded-skills, embedded-self; self:N, rows the base "
        "model writes; self-answers:FILE, its answers to the prompts of a file."
    )
    name: Text | None = Field(
        default=None, description="What the source is called in results. null: from the path."
    )
    weight: Annotated[float, Field(ge=0, le=1_000_000)] = Field(
        default=1.0,
        description="Share of the general rows drawn from this source, relative to the others. 0: "
        "none, and the source is not opened, unless it has `rows` or `tokens`.",
    )
    rows: Count | None = Field(
        default=None,
        description="Exactly so many rows of this source, whatever its weight. For none of it, "
        "weight: 0.",
    )
    tokens: Count | None = Field(
        default=None, description="Rows of this source up to so many tokens, whatever its weight."
    )
    max_rows: Count | None = Field(
        default=None, description="Look at no more than so many rows of this source."
    )
    min_characters: Count | None = Field(
        default=None,
        description="Leave out rows with fewer characters, prompt and completion together; they "
        "are counted and listed.",
    )
    max_characters: Count | None = Field(
        default=None, description="Leave out rows with more characters, likewise."
    )
    streaming: bool = Field(
        default=False,
        description="Read the first max_rows rows of a shuffled Hub data set, without downloading "
        "the rest.",
    )
    prompt: Text | None = Field(default=None, description="As task.prompt.")
    completion: Text | None = Field(default=None, description="As task.completion.")
    encoding: Encoding | None = Field(default=None, description="As task.encoding.")

    @property
    def source_name(self) -> str:
        """The name given, or the one the path suggests."""
        if self.name is not None:
            return self.name
        return name_of_path(self.path)

    @property
    def is_used(self) -> bool:
        """Whether rows may be drawn from it: it has a weight, or an amount of its own."""
        return self.weight > 0 or self.has_own_amount

    @property
    def has_own_amount(self) -> bool:
        """Whether it says itself how much of it is taken, whatever `general.rows` and weights."""
        return self.rows is not None or self.tokens is not None


class GeneralSection(Section):
    """The abundant rows: what the task shares with other tasks."""

    sources: Annotated[tuple[GeneralSource, ...], Field(strict=False)] = Field(
        default=(GeneralSource(path="embedded-skills"), GeneralSource(path="embedded-self")),
        description="Where the general rows come from. []: none.",
    )
    rows: Annotated[int, Field(ge=0)] | Auto | None = Field(
        default="auto",
        description="General rows in the mixture, each used once. 0: none. null: what `tokens`, or "
        "the sources' own `rows` and `tokens`, say.",
    )
    tokens: Count | None = Field(
        default=None, description="General rows up to so many tokens, instead of a number of rows."
    )
    select: Select = Field(
        default="stratified",
        description="How rows are chosen. Drawn from each source: stratified (its "
        "families about in proportion), random. Nearest to the training rows, of all sources "
        "together: bm25 (shared words), rds (states of the base model), loss, gradient; dissimilar "
        "is their control.",
    )
    test_leaks: Literal["drop", "refuse", "keep"] = Field(
        default="drop",
        description="What happens to general rows that are, nearly are or quote a test row.",
    )
    train_leaks: Literal["drop-exact", "drop", "refuse", "keep"] = Field(
        default="drop-exact",
        description="The same for training rows. drop-exact: only those with equal prompt and "
        "completion, exposures nobody planned.",
    )
    loss_weight: Annotated[float, Field(gt=0, le=1000)] = Field(
        default=1.0, description="Weight of a general token in the loss, beside 1 for a task token."
    )

    @model_validator(mode="after")
    def _check_sources(self) -> GeneralSection:
        if fault := fault_of_sources(self.sources, self.rows, self.tokens):
            raise ValueError(f"sources: {fault}")
        weights = [source.weight for source in self.sources if not source.has_own_amount]
        if self.select not in ("stratified", "random") and len({w for w in weights if w > 0}) > 1:
            raise ValueError(
                f"select: {self.select} takes the nearest rows whatever their source, so weights "
                f"mean nothing to it; found weights {weights}. Give sources `rows` or `tokens` of "
                "their own, or remove the weights."
            )
        if isinstance(self.rows, int) and self.tokens is not None:
            raise ValueError(
                f"rows: stands beside general.tokens; found {self.rows} rows and {self.tokens} "
                "tokens. Keep one of them."
            )
        return self
