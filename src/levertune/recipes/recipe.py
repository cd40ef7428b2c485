"""The recipe's sections and keys, each with its type, default, limits and description.

The descriptions are the one source of `levertune schema`, `levertune init` and the reference page.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from levertune.recipes.schedule_rules import MAX_REFINE_EVERY, fault_of_schedule
from levertune.recipes.source_rules import fault_of_sources
from levertune.recipes.values import (
    Arms,
    Auto,
    Count,
    Encoding,
    Modules,
    Places,
    Seed,
    Seeds,
    Test,
    Text,
    Trackers,
    name_of_path,
)

DEFAULT_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"


Select = Literal["stratified", "random", "bm25", "rds", "dissimilar", "loss", "gradient"]


class Section(BaseModel):
    """Base of every section: immutable, no unknown keys, no conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, protected_namespaces=())


class TaskSection(Section):
    """The scarce rows: what the model is to learn."""

    path: Text = Field(
        description="The task rows: a jsonl, json, csv, tsv, xlsx, parquet or arrow file, "
        "hub:NAME[:CONFIG][@SPLIT], or a task levertune brings along, as embedded:ticket_codes. "
        "Relative paths start at the working directory."
    )
    prompt: Text | None = Field(
        default=None,
        description="The prompt built from the row's fields, as `Message: {message}`: plain "
        "substitution, no code. null: the schema is recognised.",
    )
    completion: Text | None = Field(
        default=None,
        description="The completion built from the row's fields, as `{code}`. null: recognised.",
    )
    test: Test = Field(
        default="auto",
        description="Where the test rows come from: a file, a share of the rows, or cross-"
        "validation. auto: the rows shipped with an embedded task; else cv:5 below 200 rows, 0.2 "
        "from there.",
    )
    metric: Text = Field(
        default="auto",
        description="The primary metric: a name as macro_f1, json_f1 or chrf, or my_module:my_"
        "function. auto: by the kind of task.",
    )
    exposures: Annotated[int, Field(ge=1, le=10_000)] | Auto = Field(
        default="auto", description="How many times each task row is trained on."
    )
    allow_overlap: bool = Field(
        default=False, description="Go on although test rows are also training rows."
    )
    allow_dropped: bool = Field(
        default=False,
        description="Go on although task rows longer than training.max_length are dropped.",
    )
    subset: Annotated[int, Field(ge=2)] | None = Field(
        default=None,
        description="Train on the first so many rows of the seeded draw. null: on all.",
    )
    subset_seed: Seed | Literal["seed"] = Field(
        default="seed",
        description="Seed of that draw. seed: each run seed draws its own rows. A number: every "
        "seed trains on the same ones.",
    )
    encoding: Encoding | None = Field(
        default=None,
        description="Text encoding of the task file. null: UTF-8, with or without a BOM.",
    )


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
    varied: Literal["replace", "keep"] = Field(
        default="replace",
        description="What becomes of instructions that the rows vary: the anchor replaces them, or "
        "they stay behind it.",
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
        description="Text every answer starts with; part of the prompt, never of the loss.",
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
        default=0, description="Most tokens of the anchor that are left at the end of anneal."
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
        if fault := fault_of_schedule(dict(self), defaults):
            raise ValueError(fault)
        return self


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
        description="How rows are chosen. Drawn from each source: stratified (evenly over its "
        "families), random. Nearest to the training rows, of all sources together: bm25 (shared "
        "words), rds (states of the base model), loss, gradient; dissimilar is their control.",
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


class MixtureSection(Section):
    """The order in which task and general rows are trained on."""

    order: Literal["shuffle", "even", "general-then-task", "task-then-general"] = Field(
        default="shuffle",
        description="shuffle: one uniform permutation. even: task rows at equal distances. The "
        "other two are controls.",
    )
    seed: Seed = Field(default=0, description="Seed of the order, beside each run's own seed.")


class ModelSection(Section):
    """The base model."""

    model_name_or_path: Text = Field(
        default=DEFAULT_MODEL, description="A folder, or a model's name on the Hub."
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="Number format of the frozen weights. auto: by the hardware."
    )
    trust_remote_code: bool = Field(
        default=False,
        description="Run Python code that comes with the model. Only for code you have read.",
    )
    revision: Text | None = Field(
        default=None, description="Branch, tag or commit of a model on the Hub."
    )


class TrainingSection(Section):
    """How the adapter is trained; names as in Hugging Face libraries."""

    learning_rate: Annotated[float, Field(gt=0, le=1)] | Auto = Field(
        default="auto", description="Highest learning rate of the schedule."
    )
    effective_batch_size: Annotated[int, Field(ge=1, le=65536)] = Field(
        default=8, description="Mixture rows in one optimizer step, whatever the hardware."
    )
    lora_r: Annotated[int, Field(ge=1, le=4096)] = Field(
        default=16, description="Rank of the adapter."
    )
    lora_alpha: Annotated[int, Field(ge=1, le=2**20)] = Field(
        default=32,
        description="Scale of the adapter: its output is multiplied by lora_alpha / lora_r.",
    )
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0, description="Dropout on the adapter's input."
    )
    lora_target_modules: Literal["all-linear"] | Modules = Field(
        default="all-linear", description="The layers that get an adapter."
    )
    max_length: Annotated[int, Field(ge=8, le=2**20)] = Field(
        default=1024,
        description="Most tokens in a row. A longer row is dropped whole, listed and counted.",
    )
    warmup_ratio: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.05, description="Share of the steps over which the learning rate rises."
    )
    weight_decay: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0, description="Weight decay of AdamW."
    )
    max_grad_norm: Annotated[float, Field(gt=0, le=1_000_000)] = Field(
        default=1.0, description="Gradients are scaled down to this norm."
    )
    lr_scheduler_type: Literal["cosine", "linear", "constant", "constant_with_warmup"] = Field(
        default="cosine", description="How the learning rate falls."
    )
    save_steps: Annotated[int, Field(ge=0)] | Auto = Field(
        default="auto", description="Steps between two checkpoints. 0: none."
    )
    logging_steps: Count = Field(
        default=5, description="Steps between two lines of the training log."
    )
    report_to: Trackers = Field(
        default=(), description="Experiment trackers that get the training log too."
    )
    gradient_checkpointing: bool | Auto = Field(
        default="auto", description="Compute activations again to save memory."
    )


class EvaluationSection(Section):
    """What is measured, and on how many rows."""

    anchor: Text | None = Field(
        default="trained",
        description="The anchor on test prompts of arms that have one, to see how far an adapter "
        "depends on its own. trained: that of the end of training; null: none; or as anchor.text.",
    )
    max_new_tokens: Annotated[int, Field(ge=1, le=2**20)] | Auto = Field(
        default="auto", description="Most tokens generated for one answer."
    )
    batch_size: Annotated[int, Field(ge=1, le=65536)] | Auto = Field(
        default="auto", description="Rows generated together; changes speed, not results."
    )
    general_heldout: Annotated[int, Field(ge=0)] = Field(
        default=64,
        description="Held-out rows of the general sources on which loss is measured. 0: none.",
    )
    retention: Text | None = Field(
        default="embedded-retention",
        description="Rows of sources never mixed in, to see what the model forgets. null: none.",
    )
    retention_rows: Annotated[int, Field(ge=0)] = Field(
        default=64, description="How many of them. 0: none."
    )
    test_rows: Count | None = Field(
        default=None, description="Only the first so many test rows of the seeded order. null: all."
    )


class Recipe(Section):
    """The whole configuration of a run."""

    version: Literal[1] = Field(default=1, description="Version of the recipe's format.")
    task: TaskSection = Field(description="The scarce rows: what the model is to learn.")
    anchor: AnchorSection = Field(
        default=AnchorSection(), description="The text that marks every task prompt the same way."
    )
    general: GeneralSection = Field(
        default=GeneralSection(),
        description="The abundant rows: what the task shares with other tasks.",
    )
    mixture: MixtureSection = Field(
        default=MixtureSection(), description="The order in which both are trained on."
    )
    model: ModelSection = Field(default=ModelSection(), description="The base model.")
    training: TrainingSection = Field(
        default=TrainingSection(), description="How the adapter is trained."
    )
    evaluation: EvaluationSection = Field(
        default=EvaluationSection(), description="What is measured, and on how many rows."
    )
    arms: Arms = Field(
        default=("base", "sft", "sft-steps", "tell"),
        description="The ways of using the data that are compared.",
    )
    seeds: Seeds = Field(
        default=(0,), description="One training of every arm for each; a count N means 0 to N-1."
    )
    output_dir: Text = Field(
        default="auto", description="The run folder. auto: runs/ and the name of the task file."
    )

    @model_validator(mode="before")
    @classmethod
    def _name_output(cls, value: Any) -> Any:
        """Replace `output_dir: auto`, which needs nothing but the task's path."""
        if not isinstance(value, dict) or value.get("output_dir", "auto") != "auto":
            return value
        task = value.get("task")
        path = task.get("path") if isinstance(task, dict) else getattr(task, "path", None)
        if not isinstance(path, str) or not path.strip():
            return value
        return {**value, "output_dir": f"runs/{name_of_path(path)}"}
