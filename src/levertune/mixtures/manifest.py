"""The manifest: what a training run was made from, so that a resume can be refused."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from levertune.data.records import Record
from levertune.errors import RunError, UserError
from levertune.mixtures.plan import MixturePlan
from levertune.results.files import read_json, write_json_atomically

FORMAT_VERSION = 2

_WORDS = {
    "task_hash": "the task rows",
    "task_ids_hash": "how task rows become tokens",
    "general_hashes": "the general rows",
    "anchor": "the anchor",
    "model_hash": "the base model",
    "tokenizer_hash": "the tokenizer or its template",
    "plan": "the order",
    "mixture_hash": "the order",
    "seeds": "the seeds",
    "training": "the settings",
}

_ABSENT = "absent"
_FULL_HASH = re.compile(r'"([0-9a-f]{12})[0-9a-f]{28,}"')


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything that, if changed, would make the same run another run.

    Args:
        task_hash: `hash_records` of the task rows in training.
        task_ids_hash: Hash of the same rows as token ids and labels, in each form they are trained
            in from the start.
        general_hashes: The same of each general source's rows in the mixture, by name.
        anchor: What was applied to the task rows: at least `id` and `dropout`; None without one.
        model_hash: Hash of the base model's weights.
        tokenizer_hash: Hash of the tokenizer, chat template and special tokens included.
        plan: The mixture's plan.
        mixture_hash: `Mixture.content_hash`.
        seeds: Every seed by its name.
        training: Settings that change the adapter (learning rate, LoRA, lengths, dtype, …), as
            JSON values. Not those that only change speed.
        format_version: Version of this file's layout.
    """

    task_hash: str
    task_ids_hash: str
    general_hashes: Mapping[str, str]
    anchor: Mapping[str, Any] | None
    model_hash: str
    tokenizer_hash: str
    plan: MixturePlan
    mixture_hash: str
    seeds: Mapping[str, int] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    def to_json(self) -> dict[str, Any]:
        """The manifest as a JSON object."""
        return {
            "format_version": self.format_version,
            "task_hash": self.task_hash,
            "task_ids_hash": self.task_ids_hash,
            "general_hashes": dict(self.general_hashes),
            "anchor": None if self.anchor is None else dict(self.anchor),
            "model_hash": self.model_hash,
            "tokenizer_hash": self.tokenizer_hash,
            "plan": self.plan.to_json(),
            "mixture_hash": self.mixture_hash,
            "seeds": dict(self.seeds),
            "training": dict(self.training),
        }

    @classmethod
    def from_json(cls, obj: Mapping[str, Any], *, where: str = "manifest.json") -> Manifest:
        """The manifest that `to_json` wrote.

        Args:
            obj: The JSON object.
            where: The file it comes from, for the message.

        Returns:
            The manifest.

        Raises:
            RunError: If it was written by another format version, or a field is missing, unknown
                or out of range.
        """
        version = obj.get("format_version")
        if version != FORMAT_VERSION:
            raise RunError(
                f"{where}: written in format {version!r}; this levertune reads {FORMAT_VERSION}. "
                "Use the version that wrote it, or start a new run in another output_dir."
            )
        expected = {entry.name for entry in fields(cls)}
        if expected != set(obj):
            raise RunError(
                f"{where}: not a manifest; missing {sorted(expected - set(obj))}, "
                f"unknown {sorted(set(obj) - expected)}. Start a new run in another output_dir."
            )
        try:
            return cls(**{**obj, "plan": MixturePlan.from_json(obj["plan"])})
        except (KeyError, TypeError, UserError) as error:
            raise RunError(
                f"{where}: holds no usable plan; {error}. Start a new run in another output_dir."
            ) from error

    @property
    def fingerprint(self) -> str:
        """Hash of the whole manifest, 64 hexadecimal digits."""
        return _hash_text(_canonical(self.to_json()))


def write_manifest(path: str | Path, manifest: Manifest) -> None:
    """Write a manifest, whole or not at all.

    Args:
        path: The file, by custom `manifest.json`.
        manifest: The manifest.

    Raises:
        RunError: If the disk is full or the place cannot be written to.
    """
    write_json_atomically(path, manifest.to_json())


def read_manifest(path: str | Path) -> Manifest:
    """Read a manifest.

    Args:
        path: The file.

    Returns:
        The manifest.

    Raises:
        RunError: If the file is missing, damaged or of another format version.
    """
    return Manifest.from_json(read_json(path), where=str(path))


def explain_difference(old: Manifest, new: Manifest) -> list[str]:
    """Name every setting and input in which two manifests differ.

    Args:
        old: The manifest of the run there is.
        new: The manifest of the run asked for.

    Returns:
        Lines as `training.learning_rate: 0.0002 -> 0.0005`, with only the start of a hash, and
        none exactly when the fingerprints are equal.
    """
    before, after = _flatten(old.to_json()), _flatten(new.to_json())
    names = list(dict.fromkeys([*before, *after]))
    return [
        f"{name}: {_shorten(before.get(name, _ABSENT))} -> {_shorten(after.get(name, _ABSENT))}"
        for name in names
        if before.get(name, _ABSENT) != after.get(name, _ABSENT)
    ]


def check_same_run(path: str | Path, new: Manifest) -> None:
    """Refuse to go on with a run that was started from something else.

    Args:
        path: The manifest of the run there is.
        new: The manifest of the run asked for.

    Raises:
        RunError: If they differ, naming what changed; or if the file cannot be read.
    """
    changes = explain_difference(read_manifest(path), new)
    if changes:
        raise RunError(
            f"{path}: the run in this folder was made from something else; "
            f"{'; '.join(changes)}. What changed: {_in_words(changes)}. Change it back, or choose "
            "another output_dir."
        )


def _in_words(changes: Iterable[str]) -> str:
    """The parts of a manifest that differ, as a user knows them."""
    parts = (re.split(r"[.\[:]", change, maxsplit=1)[0] for change in changes)
    return ", ".join(dict.fromkeys(_WORDS.get(part, part) for part in parts))


def hash_records(records: Iterable[Record]) -> str:
    """Hash the content of records in their order; where they stood in a file does not count.

    Args:
        records: The records.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for record in records:
        content = asdict(record)
        del content["line"]
        digest.update(_canonical(content).encode("ascii") + b"\n")
    return digest.hexdigest()


def _hash_text(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _canonical(value: Any) -> str:
    """JSON with one spelling for equal values: keys sorted, 1.0 as 1, tuples as lists."""
    return json.dumps(_plain(value), sort_keys=True, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _flatten(value: Any, name: str = "") -> dict[str, str]:
    """Leaves by dotted name, each as canonical JSON, which tells `true` from `1`."""
    if isinstance(value, Mapping) and value:
        inner = [(f"{name}.{key}" if name else str(key), one) for key, one in value.items()]
    elif isinstance(value, (list, tuple)) and value:
        inner = [(f"{name}[{index}]", one) for index, one in enumerate(value)]
    else:
        return {name: _canonical(value)}
    leaves: dict[str, str] = {}
    for inner_name, one in inner:
        leaves.update(_flatten(one, inner_name))
    return leaves


def _shorten(leaf: str) -> str:
    return _FULL_HASH.sub(r"\1...", leaf)
