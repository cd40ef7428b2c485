"""What this machine can attain: the matrix products of a training step, and nothing else.

Every linear layer of the model forward and backward with its adapter (the frozen weights get no
gradient), attention on half of the square, the head on supervised tokens; in the precision of the
run, all rows of a step as one matrix without padding. Also the rate of one large product.

Run by the benchmark: python -m benchmarks.train.ceiling JOB OUTPUT.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import linear
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForCausalLM

_REPEATS = 2
_STEPS = 2
_PEAK_SIZES = (1024, 2048, 4096)
_QUERY_BLOCK = 256


@dataclass(frozen=True, slots=True)
class StepShape:
    """What a step has to compute.

    Args:
        tokens: Tokens through the linear layers.
        supervised: Tokens through the head.
        lengths: Length of each row, for attention.
    """

    tokens: int
    supervised: int
    lengths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """What to measure.

    Args:
        model: Folder of the model.
        dtype: Number format.
        device: `cpu` or `cuda`.
        rank: Rank of the adapter.
        steps: Steps as every trainer sees them.
        shared: The same where what rows share at their beginning is computed once.
    """

    model: str
    dtype: str
    device: str
    rank: int
    steps: tuple[StepShape, ...]
    shared: tuple[StepShape, ...]

    def write(self, path: Path) -> Path:
        """Write it for `main`; the path."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")
        return path


class Products:
    """The matrices of a model, and passes over them.

    Args:
        job: What to measure.
    """

    def __init__(self, job: Job) -> None:
        self._dtype, self._device = getattr(torch, job.dtype), job.device
        config: Any = AutoConfig.from_pretrained(job.model)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
        head = model.get_output_embeddings()
        shapes = [
            (module.in_features, module.out_features)
            for module in model.modules()
            if isinstance(module, torch.nn.Linear) and module is not head
        ]
        # Each layer has weights of its own: they come out of memory, not out of a cache.
        self._layers = [
            (self._random(out, into), self._random(job.rank, into), self._random(out, job.rank))
            for into, out in shapes
        ]
        self._head = self._random(head.out_features, head.in_features)
        self._num_layers = config.num_hidden_layers
        self._num_heads = config.num_attention_heads
        self._head_size = getattr(config, "head_dim", None) or config.hidden_size // self._num_heads

    def prepare(self, step: StepShape) -> Callable[[], None]:
        """A pass forward and backward over one step's products."""
        widths = {size for weight, _, _ in self._layers for size in weight.shape}
        rows = {width: self._random(step.tokens, width) for width in widths}
        states = self._random(step.supervised, self._head.shape[1])
        slopes = self._random(step.supervised, self._head.shape[0])
        attended = [self._random(self._num_heads, n, self._head_size) for n in step.lengths]

        def run() -> None:
            for weight, down, up in self._layers:
                x, slope = rows[weight.shape[1]], rows[weight.shape[0]]
                linear(x, weight)
                inner = linear(x, down)
                linear(inner, up)
                slope @ weight
                back = slope @ up
                slope.t() @ inner
                back.t() @ x
                back @ down
            linear(states, self._head)
            slopes @ self._head
            for _ in range(self._num_layers):
                for heads in attended:
                    _attend(heads)

        return run

    def large(self, size: int) -> Callable[[], None]:
        """One square product."""
        left, right = self._random(size, size), self._random(size, size)

        def run() -> None:
            left @ right

        return run

    def seconds(self, run: Callable[[], None]) -> float:
        """The shortest of some readings, after one that warms up."""
        readings = []
        for number in range(_REPEATS + 1):
            self._wait()
            started = time.perf_counter()
            run()
            self._wait()
            if number:
                readings.append(time.perf_counter() - started)
        return min(readings)

    def _random(self, *shape: int) -> torch.Tensor:
        return torch.randn(*shape, device=self._device).to(self._dtype)

    def _wait(self) -> None:
        if self._device == "cuda":
            torch.cuda.synchronize()


def _attend(heads: torch.Tensor) -> None:
    """The six products of causal attention, forward and backward, by blocks of queries."""
    length = heads.shape[1]
    for start in range(0, length, _QUERY_BLOCK):
        queries = heads[:, start : start + _QUERY_BLOCK]
        keys = heads[:, : start + queries.shape[1]]
        scores = queries @ keys.transpose(1, 2)
        scores @ keys
        queries @ keys.transpose(1, 2)
        scores.transpose(1, 2) @ queries
        scores @ keys
        scores.transpose(1, 2) @ queries


def choose_steps(steps: Sequence[StepShape]) -> list[int]:
    """Indices of some steps spread over all."""
    count = min(_STEPS, len(steps))
    return [number * (len(steps) - 1) // max(1, count - 1) for number in range(count)]


def measure(job: Job) -> dict[str, float]:
    """Real tokens a second at the ceiling, with and without sharing, and the rate of products.

    Args:
        job: What to measure.

    Returns:
        `tokens_per_second` and `shared_tokens_per_second`, both of real tokens;
        `flops_per_token`, of a real token without sharing; `peak_flops`, a second.
    """
    products = Products(job)
    chosen = choose_steps(job.steps)
    tokens = sum(job.steps[i].tokens for i in chosen)
    seconds, flops, shared_seconds = 0.0, 0, 0.0
    for i in chosen:
        run = products.prepare(job.steps[i])
        with FlopCounterMode(display=False) as counter:
            run()
        flops += counter.get_total_flops()
        seconds += products.seconds(run)
        is_same = job.shared[i] == job.steps[i]
        shared_seconds += products.seconds(run if is_same else products.prepare(job.shared[i]))
    peaks = [2 * size**3 / products.seconds(products.large(size)) for size in _PEAK_SIZES]
    return {
        "tokens_per_second": tokens / seconds,
        "shared_tokens_per_second": tokens / shared_seconds,
        "flops_per_token": flops / tokens,
        "peak_flops": max(peaks),
    }


def main() -> None:
    """Measure the job in the first file, write the second."""
    job_path, output = map(Path, sys.argv[1:])
    values = json.loads(job_path.read_text(encoding="utf-8"))
    for name in ("steps", "shared"):
        values[name] = tuple(
            StepShape(step["tokens"], step["supervised"], tuple(step["lengths"]))
            for step in values[name]
        )
    output.write_text(json.dumps(measure(Job(**values))), encoding="utf-8")


if __name__ == "__main__":
    main()
