"""The mixtures that every side trains: rows of about 70, 250 and 2,000 tokens, as recipes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from levertune.data.general import read_general
from levertune.data.readers import read_records
from levertune.data.records import Record
from levertune.recipes.loading import load_recipe

if TYPE_CHECKING:
    from levertune.models.rendering import ChatTokenizer, TokenizedExample

ARM = "tell"
LEARNING_RATE = 5e-4
RECIPE_FILE = "recipe.yaml"
MAX_LENGTH = 4096
_LOGGED_EVERY = 5
# In every row: where there is none some trainers write the model's own system turn, some do not.
_SYSTEM = "You answer questions and requests briefly, exactly and in the form that is asked for."


@dataclass(frozen=True, slots=True)
class Case:
    """A mixture and how long it is trained on.

    Args:
        name: What it is called.
        about: What its rows are.
        batch: Rows a step.
        steps: Steps, unless the command names another number.
        exposures: How often each task row is trained on.
        task_rows: Task rows a step of the whole training adds to the file.
        general_rows: General rows likewise.
        task_tokens: Length of task rows; None for the shipped rows as they are.
        general_tokens: Length of general rows; None likewise.
    """

    name: str
    about: str
    batch: int
    steps: int
    exposures: int
    task_rows: int
    general_rows: int
    task_tokens: int | None = None
    general_tokens: int | None = None

    def __post_init__(self) -> None:
        assert self.task_rows * self.exposures + self.general_rows == self.batch


CASES = {
    case.name: case
    for case in (
        Case("short", "task and general rows of about 63 tokens", 8, 15, 2, 3, 2),
        Case(
            "mixed",
            "task rows of about 63 tokens, general rows of about 250",
            8,
            10,
            2,
            2,
            4,
            general_tokens=210,  # and the template around them
        ),
        Case(
            "long",
            "rows of about 2,000 tokens",
            2,
            5,
            1,
            1,
            1,
            task_tokens=2000,
            general_tokens=2000,
        ),
    )
}


def write_recipe(
    case: Case, steps: int, folder: Path, *, model: Path, dtype: str, tokenizer: ChatTokenizer
) -> Path:
    """Write the rows of a case and the recipe that mixes them.

    Args:
        case: The case.
        steps: Steps that the mixture fills exactly.
        folder: Where the files go.
        model: Folder of the base model: the same one for every side.
        dtype: Number format of the weights.
        tokenizer: Counts tokens.

    Returns:
        The recipe.
    """
    folder.mkdir(parents=True)
    task, general = _rows(case, steps, tokenizer)
    _write_rows(folder / "task.jsonl", task[:-1])
    _write_rows(folder / "test.jsonl", task[-1:])
    _write_rows(folder / "general.jsonl", general)
    recipe: dict[str, Any] = {
        "version": 1,
        "task": {
            "path": str(folder / "task.jsonl"),
            "test": str(folder / "test.jsonl"),
            "exposures": case.exposures,
            "allow_overlap": True,
        },
        # the instruction of the task rows stays where it is
        "anchor": {"text": None},
        "general": {
            "sources": [{"path": str(folder / "general.jsonl")}],
            "rows": len(general),
            "select": "random",
            "test_leaks": "keep",
            "train_leaks": "keep",
        },
        "model": {"model_name_or_path": str(model), "dtype": dtype},
        "training": {
            "learning_rate": LEARNING_RATE,
            "effective_batch_size": case.batch,
            "max_length": MAX_LENGTH,
            # the steps end in a line of the log, which every side then has
            "logging_steps": max(n for n in range(1, _LOGGED_EVERY + 1) if steps % n == 0),
            "save_steps": 0,
            "save_minutes": 0,
            "gradient_checkpointing": False,
        },
        "evaluation": {"general_heldout": 0, "retention": None},
        "arms": [ARM],
        "output_dir": str(folder / "run"),
    }
    path = folder / RECIPE_FILE
    path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    return path


def read_rows(recipe: Path) -> list[TokenizedExample]:
    """The rows of a recipe's mixture in training order, as levertune trains on them."""
    from levertune.runs.prepare import prepare_run

    prepared = prepare_run(load_recipe(recipe))
    [plan] = [plan for plan in prepared.plans if plan.arm.name == ARM]
    return list(prepared.build(plan).rows)


def export(recipe: Path, trainer: str, folder: Path) -> Path:
    """What `levertune mix --to` writes for a trainer; the folder."""
    from levertune.runs.stages import mix_stage

    loaded = load_recipe(recipe, [f"output_dir={folder}"])
    return mix_stage(loaded, arm=ARM, to=trainer)[-1]


def _rows(
    case: Case, steps: int, tokenizer: ChatTokenizer
) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Task rows, one more than are trained on, and general rows."""
    tickets = _turns(read_records("embedded:ticket_codes").records)
    [file] = read_general("embedded-skills")
    skills = iter(_turns(file.records))
    num_task, num_general = case.task_rows * steps + 1, case.general_rows * steps
    if case.task_tokens is None:
        task = tickets[:num_task]
    else:
        task = _documents(skills, case.task_tokens, num_task, tokenizer.encode)
    if case.general_tokens is None:
        general = [row for row, _ in zip(skills, range(num_general), strict=False)]
    else:
        general = _documents(skills, case.general_tokens, num_general, tokenizer.encode)
    if len(task) < num_task or len(general) < num_general:
        raise SystemExit(f"--steps {steps}: the shipped rows are too few for the case {case.name}.")
    return task, general


def _turns(records: Sequence[Record]) -> list[dict[str, str]]:
    return [
        {"prompt": record.prompt[-1].content, "completion": record.completion} for record in records
    ]


def _documents(
    rows: Iterator[dict[str, str]], tokens: int, number: int, encode: Callable[[str], Sequence[int]]
) -> list[dict[str, str]]:
    """Rows of so many tokens: the first half of a list of questions and answers, then the rest."""
    documents: list[dict[str, str]] = []
    while len(documents) < number:
        parts: list[str] = []
        while len(encode("\n\n".join(parts))) < tokens:
            row = next(rows, None)
            if row is None:
                return documents
            parts.append(f"{row['prompt']}\n{row['completion']}")
        middle = (len(parts) + 1) // 2
        documents.append(
            {"prompt": "\n\n".join(parts[:middle]), "completion": "\n\n".join(parts[middle:])}
        )
    return documents


def _write_rows(path: Path, rows: Sequence[dict[str, str]]) -> None:
    lines = []
    for row in rows:
        turns = (("system", _SYSTEM), ("user", row["prompt"]), ("assistant", row["completion"]))
        messages = [{"role": role, "content": content} for role, content in turns]
        lines.append(json.dumps({"messages": messages}) + "\n")
    path.write_text("".join(lines), encoding="utf-8")
