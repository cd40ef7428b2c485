"""A tiny real model and tokenizer, made in-process; torch is imported only where they are used."""

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says how busy the machine is; figures of speed belong to benchmarks/.
settings.register_profile("levertune", deadline=None)
settings.load_profile("levertune")

CHATML = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nBe of use.<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL_TOKENS = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<pad>"}


@pytest.fixture(scope="session")
def tiny_model_folder(tmp_path_factory) -> Path:
    """Two layers of random weights with a byte-level tokenizer and a ChatML template."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny") / "tiny-llama"
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=list(SPECIAL_TOKENS.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    text = "system user assistant Be of use. the answer is one two three red green blue"
    tokenizer.train_from_iterator([text] * 4, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **SPECIAL_TOKENS)
    fast.chat_template = CHATML
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=300,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=256,
            initializer_range=0.2,
            tie_word_embeddings=True,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=2,
        )
    )
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_tokenizer(tiny_model_folder):
    """The tiny model's tokenizer and template."""
    from levertune.models.rendering import ChatTokenizer

    return ChatTokenizer.from_folder(tiny_model_folder)


@pytest.fixture
def tiny_model(tiny_model_folder, cpu):
    """A fresh copy of the tiny model, loaded as levertune loads base models."""
    from levertune.models.load import load_base_model
    from levertune.models.resolve import resolve_model

    return load_base_model(resolve_model(str(tiny_model_folder)), cpu)


@pytest.fixture(scope="session")
def cpu():
    """The hardware of every test: a CPU in float32."""
    import torch

    from levertune.models.hardware import Hardware

    return Hardware("cpu", torch.float32)


class WatchedProgress:
    """Remembers each stage: name, total, unit, units done; and what was warned of."""

    def __init__(self) -> None:
        self.stages: list[list] = []
        self.warnings: list[str] = []

    @contextlib.contextmanager
    def stage(self, name, total, unit="step"):
        self.stages.append([name, total, unit, 0])
        yield self

    def advance(self, n=1, **info):
        assert n >= 0
        self.stages[-1][-1] += n

    def warn(self, text):
        self.warnings.append(text)


@pytest.fixture
def watched():
    """A listener that remembers what it was told."""
    return WatchedProgress()


COLOURS = ("red", "green", "blue")
TASK_PROMPTS = (
    "apples on a tree", "the sea at noon", "a fresh lawn", "roses", "clear sky over hills",
    "moss", "a brick wall", "deep lake", "young leaves", "ripe cherries", "jeans", "peas",
)  # fmt: skip
TEST_PROMPTS = ("tomato soup", "a summer pond", "cut grass", "fire engine", "ink", "lime juice")


class Project:
    """A folder with data files for whole runs on the tiny model, and recipes that use them.

    Args:
        folder: The folder; relative paths in recipes start there.
        model: Folder of the tiny model.
    """

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder = folder
        self.model = model
        colours = [COLOURS[i % 3] for i in range(12)]
        self.write("task.jsonl", zip(TASK_PROMPTS, colours, strict=True))
        # A label the task rows lack.
        self.write(
            "test.jsonl", zip(TEST_PROMPTS, [*COLOURS, "red", "black", "green"], strict=True)
        )
        general = [(f"count to {i}", " ".join(map(str, range(i)))) for i in range(2, 20)]
        self.write("general.jsonl", [*general, ("Tomato  soup", "is served hot")])
        self.write(
            "kept.jsonl", [(f"spell {word}", "-".join(word)) for word in ("one", "two", "ten")]
        )

    def write(self, name: str, rows) -> str:
        """Write `(prompt, completion)` pairs, or whole rows, as JSON lines."""
        lines = [
            row if isinstance(row, dict) else dict(zip(("prompt", "completion"), row, strict=True))
            for row in rows
        ]
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (self.folder / name).write_text(text, encoding="utf-8")
        return name

    @staticmethod
    def twins() -> list[tuple[str, str]]:
        """Two dozen task rows: TASK_PROMPTS, each of them twice, but for one word."""
        return [
            (f"{prompt} {end} {prompt[::-1]} if you please {len(prompt)}", COLOURS[i % 3])
            for i, prompt in enumerate(TASK_PROMPTS)
            for end in ("today", "now")
        ]

    def settings(self, **changes) -> dict:
        """A recipe for a run of seconds; changes are named `section__key` or `key`."""
        mapping = {
            "task": {"path": "task.jsonl", "test": "test.jsonl", "exposures": 1},
            "general": {"sources": [{"path": "general.jsonl"}], "rows": 8},
            "model": {"model_name_or_path": str(self.model), "dtype": "float32"},
            "training": {
                "learning_rate": 0.01,
                "effective_batch_size": 5,
                "lora_r": 2,
                "max_length": 200,
                "logging_steps": 1,
                "save_steps": 1,
            },
            "evaluation": {
                "general_heldout": 2,
                "retention": "kept.jsonl",
                "retention_rows": 3,
                "max_new_tokens": 3,
            },
            "arms": ["base", "sft-steps", "tell"],
            "output_dir": "runs/whole",
        }
        for name, value in changes.items():
            section, _, key = name.rpartition("__")
            (mapping.setdefault(section, {}) if section else mapping)[key] = value
        return mapping

    def recipe(self, **changes):
        """The same as a `Recipe`."""
        from levertune.recipes.loading import recipe_from_mapping

        return recipe_from_mapping(self.settings(**changes))

    def recipe_file(self, **changes) -> str:
        """The same as a file for the command line; JSON is YAML."""
        (self.folder / "recipe.yaml").write_text(json.dumps(self.settings(**changes)), "utf-8")
        return "recipe.yaml"

    def files(self) -> set[str]:
        """Every file below the folder."""
        return {str(p.relative_to(self.folder)) for p in self.folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="session")
def new_project(tiny_model_folder):
    """Makes a project in a folder."""
    return lambda folder: Project(folder, tiny_model_folder)


@pytest.fixture
def project(tmp_path, monkeypatch, new_project):
    """A project in the working directory."""
    monkeypatch.chdir(tmp_path)
    return new_project(tmp_path)


@pytest.fixture(scope="session")
def like_anywhere():
    """Gives a context in which whole runs use one thread of the CPU and wait for no disk."""
    import gc
    import os

    import torch
    import trl  # noqa: F401  # so that its modules are among those frozen
    from peft import PeftModel

    from levertune.models import hardware

    @contextlib.contextmanager
    def _like_anywhere():
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        gc.freeze()  # the engine collects garbage after each training: long among so many modules
        here = hardware.Hardware("cpu", torch.float32)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "fsync", lambda descriptor: None)
            # Written at each save, and thrown away by levertune: a tenth of a second each.
            patch.setattr(PeftModel, "create_or_update_model_card", lambda *_: None)
            patch.setattr(hardware, "choose_hardware", lambda *_: here)
            yield
        gc.unfreeze()
        torch.set_num_threads(threads)

    return _like_anywhere


@pytest.fixture(scope="module")
def on_cpu(like_anywhere):
    """The tests of a module run whole runs as they would anywhere."""
    with like_anywhere():
        yield
