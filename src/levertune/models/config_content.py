"""What a model's `config.json` says of its computation, however it is spelt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from levertune.models.model_files import read_object
from levertune.models.quiet import quiet_libraries

# Where it was saved and by what, in which precision it is loaded, and whether keys and values are
# kept while generating: the same weights compute the same with any of these. `auto_map` names code
# that comes with a model; where that may run, the code itself is looked at.
_FREE_KEYS = ("_name_or_path", "_model_name_or_path", "transformers_version", "torch_dtype",
              "dtype", "use_cache", "auto_map")  # fmt: skip


def config_content(folder: Path) -> str:
    """The configuration of a model folder as text, equal for equal computations.

    The Hub's file and the one that `save_pretrained` writes differ in keys that say what holds
    anyway, in older names, and in `1e4` for `10000`. So the file is read as transformers reads it,
    and what is the default of its kind of model is left out; of a kind that transformers does not
    know, every key counts.

    Args:
        folder: The folder.

    Raises:
        ModelError: If its `config.json` is damaged.
    """
    content = read_object(folder / "config.json")
    full, default = (_without_free(values) for values in _as_read(content))
    kind = {"model_type": content.get("model_type")}
    return json.dumps(_differing(full, default) | kind, sort_keys=True, default=str)


def _as_read(content: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Every key and value, and the defaults; the content itself, and none, of an unknown kind."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    kind = str(content.get("model_type"))
    if kind not in CONFIG_MAPPING:
        return content, {}
    with quiet_libraries():
        try:
            known = CONFIG_MAPPING[kind]
            return known.from_dict(content).to_dict(), known().to_dict()
        except Exception:  # whatever a class finds wrong is told when the model is loaded
            return content, {}


def _without_free(values: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_free(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if key not in _FREE_KEYS
    }


def _differing(values: dict[str, Any], default: dict[str, Any]) -> dict[str, Any]:
    """What differs from the defaults, section by section."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        other = default.get(key)
        if value == other:
            continue
        if isinstance(value, dict) and isinstance(other, dict):
            found[key] = _differing(value, other)
        else:
            found[key] = _one_spelling(value)
    return found


def _one_spelling(value: Any) -> Any:
    """Numbers without a fraction as whole ones, at any depth."""
    if isinstance(value, dict):
        return {key: _one_spelling(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_one_spelling(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
