"""The files of a tokenizer, read with `tokenizers` alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from levertune.errors import ModelError
from levertune.models.model_files import read_object, read_text
from levertune.models.templates import one_line

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TEMPLATE_FILE = "chat_template.jinja"

_SPECIAL = ("bos_token", "eos_token", "pad_token", "unk_token")


@dataclass(frozen=True, slots=True)
class TokenizerFiles:
    """What a model folder says of its tokenizer.

    Args:
        tokenizer: The tokenizer itself.
        chat_template: Jinja source, or None where there is none.
        special_tokens: Texts of `bos_token`, `eos_token`, `pad_token`, `unk_token` where known.
        num_embeddings: Tokens that the model itself has, by `config.json`; None where it does not
            say, or is not there.
    """

    tokenizer: Tokenizer
    chat_template: str | None
    special_tokens: dict[str, str]
    num_embeddings: int | None = None


def read_tokenizer_files(folder: Path) -> TokenizerFiles:
    """Read a tokenizer from a model folder.

    Args:
        folder: Folder with `tokenizer.json` and, where there is one, the chat template in
            `chat_template.jinja` or `tokenizer_config.json`.

    Raises:
        ModelError: If the folder has no readable `tokenizer.json`, or another of these files is
            damaged.
    """
    tokenizer = _read_tokenizer(folder)
    config = _read_if_there(folder / "tokenizer_config.json")
    template = config.get("chat_template")
    template_path = folder / TEMPLATE_FILE
    if template_path.is_file():
        template = read_text(template_path)
    if isinstance(template, list):  # several named templates: the default one
        template = _default_of(template, folder)
    special = {
        key: value["content"] if isinstance(value, dict) else value
        for key, value in {**_read_if_there(folder / "special_tokens_map.json"), **config}.items()
        if key in _SPECIAL and value
    }
    model = _read_if_there(folder / "config.json")
    size = (model.get("text_config") or model).get("vocab_size")
    return TokenizerFiles(tokenizer, template, special, size)


def _read_tokenizer(folder: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ModelError(
            f"{folder.name}: has no tokenizer.json; found "
            f"{sorted(p.name for p in folder.glob('*token*')) or 'no tokenizer file'}. Save a "
            "fast tokenizer there with transformers: "
            "AutoTokenizer.from_pretrained(...).save_pretrained(...)."
        )
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception for any fault in the file
        raise ModelError(
            f"{folder.name}/tokenizer.json: cannot be read; {one_line(error)}. Save it again "
            "with transformers: AutoTokenizer.from_pretrained(...).save_pretrained(...)."
        ) from error
    # Some files carry the limits of the run that saved them; nothing may be cut or padded here.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _default_of(templates: list[Any], folder: Path) -> str | None:
    try:
        return {named["name"]: named["template"] for named in templates}.get("default")
    except (KeyError, TypeError) as error:
        raise ModelError(
            f"{folder.name}/tokenizer_config.json: each entry of `chat_template` needs a `name` "
            "and a `template`. Copy or download it again."
        ) from error


def _read_if_there(path: Path) -> dict[str, Any]:
    return read_object(path) if path.is_file() else {}
