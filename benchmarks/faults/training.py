"""A training of the faults benchmark: its recipe, its model, and a process that does it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from levertune.training.checkpoints import list_checkpoints
from levertune.training.seal import DamagedError, read_seal

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content']"
    " + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
CELL = "arms/tell/seed-0"
EXPOSURES, GENERAL_ROWS, TASK_ROWS, STEP_ROWS = 6, 30, 20, 6


@dataclass(frozen=True)
class Training:
    """One training, in a run folder of its own.

    Args:
        name: Its name; recipe, run folder and output carry it.
        folder: Where they lie.
        model: The base model.
        dtype: Its precision.
    """

    name: str
    folder: Path
    model: str
    dtype: str = "auto"

    @property
    def cell(self) -> Path:
        """The folder of its one trained cell."""
        return self.folder / self.name / CELL

    @property
    def output(self) -> str:
        """What its latest process printed."""
        return self._output.read_text(encoding="utf-8")

    @property
    def _output(self) -> Path:
        return self.folder / f"{self.name}.txt"

    def steps(self) -> list[int]:
        """The steps of its checkpoints."""
        return [step for step, _ in list_checkpoints(self.cell)]

    def whole_steps(self) -> list[int]:
        """Of those, the ones whose checkpoint is as it was written."""
        found = []
        for step, path in list_checkpoints(self.cell):
            try:
                read_seal(path)
            except DamagedError:
                continue
            found.append(step)
        return found

    def outcome(self) -> str:
        """Hash of the adapter's weights and of the training log."""
        digest = hashlib.sha256()
        for name in ("adapter/adapter_model.safetensors", "train_log.jsonl"):
            digest.update((self.cell / name).read_bytes())
        return digest.hexdigest()

    def start(self, spoil: Callable[[], None] | None = None, **settings: Any) -> int:
        """Begin it, or go on with it, in a process of its own.

        Args:
            spoil: Called in that process before it begins.
            **settings: Keys of `training` to be changed.

        Returns:
            The number of the process.
        """
        recipe = self.folder / f"{self.name}.json"
        recipe.write_text(json.dumps(self._recipe(settings)), encoding="utf-8")
        child = os.fork()
        if child:
            return child
        status = 99
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
            output = os.open(self._output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(output, 1)
            os.dup2(output, 2)
            if spoil is not None:
                spoil()
            from levertune.cli.main import main

            status = main(["train", str(recipe)])
        finally:
            os._exit(status)

    def go_on(self, spoil: Callable[[], None] | None = None, **settings: Any) -> int:
        """Do it to its end, however that comes; the exit status."""
        return wait(self.start(spoil, **settings))

    def wait_for_checkpoints(self, count: int, child: int) -> bool:
        """Wait until so many were made; False if the process ended before."""
        seen: set[int] = set()
        while len(seen) < count:
            if has_ended(child):
                return False
            seen.update(self.steps())
            time.sleep(0.01)
        return True

    def _recipe(self, training: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "task": {
                "path": "embedded:ticket_codes",
                "exposures": EXPOSURES,
                "subset": TASK_ROWS,
                "subset_seed": 0,
            },
            "general": {"sources": [{"path": "embedded-skills"}], "rows": GENERAL_ROWS},
            "model": {"model_name_or_path": self.model, "dtype": self.dtype},
            "training": {
                "learning_rate": 1e-3,
                "effective_batch_size": STEP_ROWS,
                "lora_dropout": 0.1,  # draws random numbers at each step
                "save_steps": 4,
                "logging_steps": 3,  # so that most checkpoints lie between two lines
                **training,
            },
            "evaluation": {"general_heldout": 0, "retention": None, "max_new_tokens": 4},
            "arms": ["tell"],
            "output_dir": str(self.folder / self.name),
        }


def has_ended(child: int) -> bool:
    """Whether a process has ended; it can still be waited for."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def wait(child: int) -> int:
    """Exit status of a process; minus the signal if one ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def write_tiny_model(folder: Path) -> str:
    """A model of two small layers with random weights, and a tokenizer of bytes.

    Args:
        folder: Where to put it.

    Returns:
        The folder, as a recipe names it.
    """
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    special = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<pad>"}
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=list(special.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["the answer is a word of the text that stands above"], trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)
    fast.chat_template = CHATML
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=300,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        initializer_range=0.2,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return str(folder)
