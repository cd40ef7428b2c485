"""Answers by vLLM. It is not installed here: a stand-in with its interface shows what is asked."""

import json
import os
import sys
from pathlib import Path

import pytest

from levertune.errors import RecipeError, RunError
from levertune.evaluation.vllm_backend import (
    PYTHON_VARIABLE,
    continue_with_vllm,
    require_vllm,
)
from levertune.models.hardware import choose_hardware

STAND_IN = """
import json, os, types

class SamplingParams:
    def __init__(self, **options):
        self.options = options

class LLM:
    def __init__(self, **options):
        self.options = options

    def generate(self, prompts, sampling, *, use_tqdm, lora_request):
        asked = {"engine": self.options, "sampling": sampling.options, "prompts": prompts,
                 "lora": lora_request.seen if lora_request else None}
        with open(os.environ["ASKED"], "w") as file:
            json.dump(asked, file)
        fault = os.environ.get("FAULT")
        if fault:
            raise ValueError(fault)
        [end] = sampling.options["stop_token_ids"]
        ids = [prompt["prompt_token_ids"] for prompt in prompts]
        answers = [([one[-1] + 1, end], "stop", end) for one in ids]
        answers[-1] = ([7], "stop", end)  # the ending token dropped, as some versions do
        answers[0] = ([8, 9], "length", None)
        if os.environ.get("FORGETS"):
            answers.pop()
        return [
            types.SimpleNamespace(outputs=[types.SimpleNamespace(
                token_ids=tuple(ids), finish_reason=reason, stop_reason=stop)])
            for ids, reason, stop in answers
        ]
"""
LORA = """
class LoRARequest:
    def __init__(self, name, number, path):
        self.seen = [name, number, path]
"""


@pytest.fixture
def stand_in(tmp_path):
    """An environment with a module that looks like vLLM, and where it writes what it was asked."""
    package = tmp_path / "site" / "vllm"
    (package / "lora").mkdir(parents=True)
    (package / "__init__.py").write_text(STAND_IN)
    (package / "lora" / "__init__.py").write_text("")
    (package / "lora" / "request.py").write_text(LORA)
    return {
        **os.environ,
        "PYTHONPATH": str(package.parent),
        "ASKED": str(tmp_path / "asked.json"),
    }


@pytest.fixture
def ask(tmp_path, stand_in):
    def ask(prompts, *, adapter=None, **more):
        return continue_with_vllm(
            prompts,
            model=tmp_path,
            adapter=adapter,
            hardware=choose_hardware("float32", "cpu"),
            stop_ids=(2,),
            max_new_tokens=5,
            environment={**stand_in, **more},
        )

    return ask


def adapter_of_rank(folder: Path, rank: int) -> Path:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"r": rank}))
    return folder


def test_every_prompt_is_continued_in_order_greedily_and_to_our_own_end(ask, tmp_path):
    assert ask([[3, 4], [5], [6, 6, 6]]) == [[8, 9], [6, 2], [7, 2]]
    asked = json.loads((tmp_path / "asked.json").read_text())
    assert [p["prompt_token_ids"] for p in asked["prompts"]] == [[3, 4], [5], [6, 6, 6]]
    assert asked["sampling"] == {
        "temperature": 0.0, "max_tokens": 5, "stop_token_ids": [2], "ignore_eos": True,
        "detokenize": False,
    }  # fmt: skip
    assert asked["engine"] == {
        "model": str(tmp_path.resolve()), "dtype": "float32", "max_model_len": 8,
        "skip_tokenizer_init": True, "generation_config": "vllm",
    }  # fmt: skip
    assert asked["lora"] is None


@pytest.mark.parametrize(("rank", "room"), [(4, 8), (16, 16), (33, 64), (512, 512)])
def test_an_adapter_comes_along_with_room_for_its_rank(ask, tmp_path, rank, room):
    adapter = adapter_of_rank(tmp_path / "adapter", rank)
    ask([[3], [4]], adapter=adapter)
    asked = json.loads((tmp_path / "asked.json").read_text())
    assert asked["lora"] == ["adapter", 1, str(adapter.resolve())]
    assert asked["engine"]["enable_lora"] is True
    assert asked["engine"]["max_lora_rank"] == room


def test_without_prompts_nothing_is_started(ask, tmp_path):
    assert ask([]) == []
    assert not (tmp_path / "asked.json").exists()


def test_a_failure_is_one_line_with_what_vllm_said_last(ask):
    with pytest.raises(RunError) as failed:
        ask([[3]], FAULT="no room for the cache")
    assert "vllm failed: ValueError: no room for the cache" in str(failed.value)
    assert "\n" not in str(failed.value)


def test_an_answer_too_few_is_not_taken(ask):
    with pytest.raises(RunError, match="vllm answered 2 of 3 prompts"):
        ask([[3], [4], [5]], FORGETS="1")


def test_a_rank_beyond_vllms_is_refused_before_it_starts(ask, tmp_path):
    adapter = adapter_of_rank(tmp_path / "adapter", 1024)
    with pytest.raises(RunError, match=r"up to rank 512; training.lora_r is 1024"):
        ask([[3]], adapter=adapter)
    assert not (tmp_path / "asked.json").exists()


def test_where_vllm_is_missing_the_line_says_how_to_get_it(stand_in):
    require_vllm(stand_in)
    # Another interpreter is not shown this one's folders of modules, nor finds the stand-in there.
    bare = {**stand_in, PYTHON_VARIABLE: sys.executable}
    with pytest.raises(RecipeError) as refused:
        require_vllm(bare)
    assert f"not installed for {sys.executable}" in str(refused.value)
    assert PYTHON_VARIABLE in str(refused.value)


def test_an_interpreter_that_is_not_there_is_refused(stand_in, tmp_path):
    with pytest.raises(RecipeError, match="cannot be started; No such file"):
        require_vllm({**stand_in, PYTHON_VARIABLE: str(tmp_path / "python")})
