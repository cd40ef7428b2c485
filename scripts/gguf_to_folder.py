"""Turn a GGUF file into a model folder that levertune trains on: safetensors, tokenizer, template.

Usage: python scripts/gguf_to_folder.py FILE.gguf FOLDER [--sha256 HASH] [--chat-template FILE]

A file in parts is given as all of them, in order, before the folder. The weights are de-quantised
once and written as bfloat16; they stay those of the rounded model, not of the one it was made from.
What transformers cannot read (its architecture, its kind of tokenizer) is refused. In the end the
model reads a few sentences: a perplexity of hundreds says that the conversion is wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import math
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from levertune.errors import ModelError, UserError
from levertune.models.hardware import Hardware
from levertune.models.load import load_base_model
from levertune.models.quiet import quiet_libraries
from levertune.models.rendering import ChatTokenizer
from levertune.models.resolve import resolve_model

SENTENCES = (
    "The library opens at nine in the morning and closes at six in the evening.",
    "My grandmother planted an apple tree behind the house, and it still bears fruit every autumn.",
    "Water boils at a lower temperature on a mountain because the air pressure is lower there.",
    "She put the letter into an envelope, wrote the address on it and took it to the post office.",
)
ROUND_TRIPS = (
    "two  spaces, three\n\n\nline ends, a\ttab",
    "12345 and 67.8 %",
    "Gr\u00fc\u00dfe aus \u6771\u4eac",
    "def f(x):\n    return {x: 1}\n",
)


def convert(
    parts: Sequence[Path],
    folder: Path,
    *,
    sha256: str | None = None,
    chat_template: str | None = None,
) -> None:
    """Write the model folder.

    Args:
        parts: The GGUF file, or its parts in order.
        folder: The folder to make; it must not be there yet.
        sha256: Hash that the whole file must have.
        chat_template: Jinja source, in place of the file's own if it has one.

    Raises:
        ModelError: If the folder is there already, the hash differs, transformers cannot read the
            file, or its tokenizer does not give back the file's vocabulary.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    if folder.exists():
        raise ModelError(f"{folder}: is there already. Name another folder, or remove it.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}.") as work:
        gguf, made = Path(work) / "model.gguf", Path(work) / folder.name
        _join(parts, gguf, sha256)
        # The bar of the GGUF reader ignores every switch for bars, so its stream is taken away.
        with quiet_libraries(), contextlib.redirect_stderr(io.StringIO()):
            try:
                tokenizer = AutoTokenizer.from_pretrained(work, gguf_file=gguf.name)
                # De-quantised without this, a model refuses to be saved or trained.
                model = AutoModelForCausalLM.from_pretrained(
                    work,
                    gguf_file=gguf.name,
                    quantization_config=GgufConfig(dequantize=True),
                    dtype=torch.float32,
                )
            except (ValueError, KeyError, OSError, NotImplementedError, RuntimeError) as error:
                reason = " ".join(str(error).split())[:200]
                raise ModelError(
                    f"{parts[0].name}: transformers cannot read it; {reason}"
                ) from error
            _require_vocabulary(gguf, tokenizer)
            if chat_template is not None:
                tokenizer.chat_template = chat_template
            # A display name inside the file, which is no name that leads to the model.
            vars(model.config).pop("_model_name_or_path", None)
            model.to(torch.bfloat16).save_pretrained(made)  # type: ignore[arg-type]
            tokenizer.save_pretrained(made)
        made.rename(folder)


def _join(parts: Sequence[Path], target: Path, sha256: str | None) -> None:
    with target.open("wb") as out:
        for part in parts:
            with part.open("rb") as source:
                shutil.copyfileobj(source, out)
    with target.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 is not None and found != sha256:
        raise ModelError(
            f"{parts[0].name}: has the hash {found}; expected {sha256}. Give all parts, in order."
        )


def _require_vocabulary(gguf: Path, tokenizer: Any) -> None:
    """Refuse a tokenizer that numbers a token otherwise than the file does."""
    from gguf import GGUFReader

    tokens = GGUFReader(str(gguf)).fields["tokenizer.ggml.tokens"].contents()
    vocabulary = tokenizer.get_vocab()
    # Gemma's files spell tokens of blanks as blanks.
    spelt = [t if t.strip() else t.replace(" ", "\u2581") for t in tokens]
    wrong = [
        t
        for i, (token, t) in enumerate(zip(tokens, spelt, strict=True))
        if vocabulary.get(token, vocabulary.get(t)) != i
    ]
    if wrong:
        raise ModelError(
            f"the tokenizer made of the file: numbers {len(wrong)} of {len(tokens)} tokens "
            f"otherwise, among them {wrong[:3]}. The conversion of this file is not to be trusted."
        )


def describe(folder: Path, device: str = "cpu") -> str:
    """What a look at the converted model shows.

    Args:
        folder: The model folder.
        device: Where it runs.

    Returns:
        A few lines: round trips of its tokenizer, its template, perplexity of plain sentences.
    """
    tokenizer = ChatTokenizer.from_folder(folder)
    model = load_base_model(resolve_model(str(folder)), Hardware(device, torch.float32))
    broken = [text for text in ROUND_TRIPS if tokenizer.decode(tokenizer.encode(text)) != text]
    nll, count = 0.0, 0
    for sentence in SENTENCES:
        ids = tokenizer.encode(tokenizer.start_text + sentence)
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([ids], device=device)).logits[0, :-1]
        targets = torch.tensor(ids[1:], device=device)
        nll += float(torch.nn.functional.cross_entropy(logits.float(), targets, reduction="sum"))
        count += len(targets)
    return "\n".join(
        (
            f"model: {sum(p.numel() for p in model.parameters()):,} parameters, "
            f"{model.config.model_type}",
            f"texts that do not survive the tokenizer: {broken or 'none'}",
            f"chat template: {'yes' if tokenizer.has_chat_template else 'none (a base model)'}, "
            f"system turn {'written' if tokenizer.has_system_role else 'put into the user turn'}",
            f"what opens a text: {tokenizer.start_text!r}; what ends an answer: "
            f"{tokenizer.end_text!r}",
            f"perplexity of {count} tokens of plain English: {math.exp(nll / count):.1f}",
        )
    )


def main(words: Sequence[str] | None = None) -> int:
    """Convert, look at the result, say what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--sha256", help="hash the whole file must have")
    parser.add_argument("--chat-template", type=Path, help="Jinja file; default: the file's own")
    options = parser.parse_args(words)
    template = options.chat_template.read_text("utf-8") if options.chat_template else None
    try:
        convert(options.parts, options.folder, sha256=options.sha256, chat_template=template)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(describe(options.folder))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
