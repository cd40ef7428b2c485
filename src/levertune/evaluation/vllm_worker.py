"""Continues prompts with vLLM and writes what it wrote.

Run as a file: python vllm_worker.py JOB OUT

vLLM may live in another environment than levertune, which it seldom shares all versions with, so
nothing is imported here but vLLM and what comes with Python. JOB is a JSON object: `model` (its
folder), `adapter` (its folder, or null), `rank` (of the adapter), `dtype`, `prompts` (lists of
ids), `stop_ids`, `max_new_tokens`, `max_length` and `memory_share` (of the GPU; null on a CPU).
OUT becomes a JSON list: the new ids of each prompt, in order.
"""

import json
import sys
from pathlib import Path
from typing import Any

# Ranks vLLM has kernels for; an adapter of another rank fits into the next one.
_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)


def main() -> None:
    """Do the job."""
    job_file, out_file = map(Path, sys.argv[1:])
    job = json.loads(job_file.read_text(encoding="utf-8"))
    out_file.write_text(json.dumps(continue_prompts(job)), encoding="utf-8")


def continue_prompts(job: dict[str, Any]) -> list[list[int]]:
    """The new ids of each prompt, greedily.

    Args:
        job: As described above.
    """
    from vllm import LLM, SamplingParams
    from vllm.lora.request import LoRARequest

    options: dict[str, Any] = {}
    request = None
    if job["adapter"] is not None:
        rank = next(rank for rank in _RANKS if rank >= job["rank"])
        options |= {"enable_lora": True, "max_loras": 1, "max_lora_rank": rank}
        request = LoRARequest("adapter", 1, job["adapter"])
    if job["memory_share"] is not None:
        options["gpu_memory_utilization"] = job["memory_share"]
    engine = LLM(
        model=job["model"],
        dtype=job["dtype"],
        max_model_len=job["max_length"],
        skip_tokenizer_init=True,
        generation_config="vllm",  # not the model's own sampling
        **options,
    )
    sampling = SamplingParams(
        temperature=0.0,
        max_tokens=job["max_new_tokens"],
        stop_token_ids=job["stop_ids"],
        ignore_eos=True,  # what ends an answer is said above
        detokenize=False,
    )
    outputs = engine.generate(
        [{"prompt_token_ids": ids} for ids in job["prompts"]],
        sampling,
        use_tqdm=False,
        lora_request=request,
    )
    return [_new_ids(output.outputs[0]) for output in outputs]


def _new_ids(output: Any) -> list[int]:
    """What was written, with the token that ended it, which versions of vLLM keep or drop."""
    ids = list(output.token_ids)
    end = output.stop_reason
    if output.finish_reason == "stop" and isinstance(end, int) and ids[-1:] != [end]:
        ids.append(end)
    return ids


if __name__ == "__main__":
    main()
