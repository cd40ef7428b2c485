"""The recipe's reference page and JSON schema, both from the descriptions in the models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from levertune.recipes.general_section import GeneralSource
from levertune.recipes.recipe import Recipe
from levertune.recipes.rules import rule_of
from levertune.recipes.yaml_text import format_value

_HEAD = """\
# The recipe

<!-- Written by `levertune schema --markdown`; a test compares the two. -->

A recipe is a YAML 1.2 file with every setting of a run. Only `task.path` must be given. Every key
can be changed on the command line: `levertune run recipe.yaml training.learning_rate=2e-4`.
Unknown keys are refused. A run saves its recipe with each `auto` replaced, the reason as a comment
([how `auto` is decided](settings.md)). Relative paths start at the working directory.
"""


def recipe_schema() -> dict[str, Any]:
    """The JSON schema of a recipe (draft 2020-12)."""
    schema = Recipe.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def recipe_reference() -> str:
    """The reference page in Markdown."""
    parts = [_HEAD, "## Top level\n", *_table(Recipe, "")]
    for name, field in Recipe.model_fields.items():
        if _is_section(field):
            model: type[BaseModel] = field.annotation  # type: ignore[assignment]
            parts += [f"\n## {name}\n\n{field.description}\n", *_table(model, f"{name}.")]
    parts += ["\n## An item of general.sources\n", *_table(GeneralSource, "")]
    return "\n".join(parts) + "\n"


def _table(model: type[BaseModel], prefix: str) -> Iterator[str]:
    yield "| key | default | accepts | meaning |"
    yield "| --- | --- | --- | --- |"
    for name, field in model.model_fields.items():
        if _is_section(field):
            yield f"| [`{name}`](#{name}) | | a section | {field.description} |"
            continue
        default = "required" if field.is_required() else f"`{format_value(_plain(field.default))}`"
        accepts = "a list of sections" if name == "sources" else rule_of(field)
        # Two brackets side by side would be read as a link.
        meaning = (field.description or "").replace("][", r"]\[")
        yield f"| `{prefix}{name}` | {default} | {accepts} | {meaning} |"


def _is_section(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.model_dump(exclude_defaults=True) if isinstance(value, BaseModel) else value
