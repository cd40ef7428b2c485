"""The recipe's sections and keys, each with its type, default, limits and description.

The descriptions are the one source of `levertune schema`, `levertune init` and the reference page.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from levertune.recipes.anchor_rules import fault_of_order, fault_of_words
from levertune.recipes.anchor_section import AnchorSection
from levertune.recipes.general_section import GeneralSection
from levertune.recipes.section import Section
from levertune.recipes.source_rules import fault_of_task_encoding
from levertune.recipes.values import (
    Arms,
    Auto,
    Count,
    Encoding,
    Language,
    Modules,
    Seed,
    Seeds,
    Test,
    Text,
    Trackers,
    name_of_path,
)

DEFAULT_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"


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
    prompt_language: Language | None = Field(
        default=None,
        description="Language of the prompts, as `de`; anchors are written and found by it. null: "
        "not said.",
    )
    answer_language: Language | None = Field(
        default=None, description="Language of the answers, in the same way. null: not said."
    )

    @model_validator(mode="after")
    def _check_encoding(self) -> TaskSection:
        if fault := fault_of_task_encoding(self.path, self.test, self.encoding):
            raise ValueError(f"encoding: {fault}")
        return self


class MixtureSection(Section):
    """The order in which task and general rows are trained on."""

    order: Literal["shuffle", "even", "general-then-task", "task-then-general"] = Field(
        default="shuffle",
        description="shuffle: one uniform permutation. even: task rows at equal distances. The "
        "other two are controls, with anchor.schedule=constant alone.",
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
    quantization: Literal["nf4"] | None = Field(
        default=None,
        description="Keep the frozen linear layers in fewer bits, to train a larger model in the "
        "same memory. nf4: 4 bits (QLoRA), computed in model.dtype; needs levertune[quantized]. "
        "null: all weights in model.dtype.",
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
        default="auto", description="Steps between two checkpoints. 0: none by steps."
    )
    save_minutes: Annotated[float, Field(ge=0, le=10_000)] = Field(
        default=10.0,
        description="Minutes after which there is a checkpoint too, however few steps they held. "
        "0: none by minutes.",
    )
    save_total_limit: Count = Field(
        default=2,
        description="Checkpoints that are kept; should the newest be damaged, the one before is "
        "used. All go when the training is done.",
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
        default="auto",
        description="Rows generated together; changes speed, and answers only by rounding.",
    )
    backend: Literal["transformers", "vllm"] = Field(
        default="transformers",
        description="What writes the answers. vllm: faster on a GPU, from the environment whose "
        "Python is LEVERTUNE_VLLM_PYTHON, or levertune's own.",
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
        default=None,
        description="Only the first so many test rows of the seeded order; cross-validation tests "
        "all. null: all.",
    )

    @model_validator(mode="after")
    def _check_anchor(self) -> EvaluationSection:
        if fault := fault_of_words(self.anchor, "trained"):
            raise ValueError(f"anchor: {fault}")
        return self


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

    @model_validator(mode="after")
    def _check_order(self) -> Recipe:
        if fault := fault_of_order(self.anchor.schedule, self.mixture.order):
            raise ValueError(f"anchor.schedule: {fault}")
        return self
