"""Greedy generation of levertune against transformers' plain `generate`, on the same rows.

Run: python benchmarks/generation_throughput.py [--rounds 3] [--rows 128] [--new 14 64]
     [--adapter FOLDER --task FILE] [--dtype float32] [--beside-float32]
SmolLM2-135M-Instruct answers task rows behind an anchor, with a trained adapter (`best` of a run
folder) or with a random one, that is, in free prose. `generate` is run as a careful script would,
rows sorted by length and padded on the left, at each of the batch sizes; its best is the one that
counts. The sides alternate in one process. Tokens are those of the answers. In bfloat16 two ways
of adding up may choose another token where two are about as likely: how many answers differ is
told, and each is listed. How much of that is the precision's and not the way's is shown by
`generate` itself, at one batch size against another, and with `--beside-float32` by all of them
against it in float32. `--rounds 0` compares without timing.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import torch

from levertune.anchors.anchor import Example, plain_example
from levertune.anchors.auto import choose_anchor
from levertune.data.readers import read_records
from levertune.evaluation.generation import generate_completions, own_defaults_set_aside
from levertune.models.adapters import attach_lora, load_adapter
from levertune.models.hardware import Hardware, choose_hardware
from levertune.models.load import load_base_model
from levertune.models.rendering import ChatTokenizer
from levertune.models.resolve import fingerprint_model, resolve_model
from levertune.settings import EVALUATION_BATCH

MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"


def main() -> None:
    args = _parse()
    hardware = choose_hardware(args.dtype)
    location = resolve_model(MODEL)
    tokenizer = ChatTokenizer.from_folder(location.folder)
    examples = task_rows(args.task, args.rows)
    base = load_base_model(location, hardware)
    if args.adapter is None:
        model = attach_lora(base, r=16, alpha=32, dropout=0.0, target_modules="all-linear").eval()
        move_adapter(model)
    else:
        model = load_adapter(base, args.adapter, base_sha256=fingerprint_model(location))
    print(f"{len(examples)} rows, {hardware.device}, {hardware.dtype_name}")

    def ours(limit: int) -> list[str]:
        answers = generate_completions(
            cast(Any, model),
            tokenizer,
            examples,
            hardware=hardware,
            max_new_tokens=limit,
            batch_size=EVALUATION_BATCH,
        )
        return [answer.text for answer in answers]

    for limit in args.new:
        sides: dict[str, Callable[[int], list[str]]] = {"levertune": ours}
        for size in args.batch_sizes:
            sides[f"generate, {size} together"] = plain(model, tokenizer, examples, hardware, size)
        answers = report(sides, limit, args.rounds, tokenizer)
        if args.beside_float32:
            answers["float32"] = in_float32(args, tokenizer, examples, limit)
        compare(answers)


def in_float32(
    args: argparse.Namespace, tokenizer: ChatTokenizer, examples: Sequence[Example], limit: int
) -> list[str]:
    """What `generate` answers in float32, with the trained adapter."""
    if args.adapter is None:
        raise SystemExit("--beside-float32: compares a trained adapter. Name one with --adapter.")
    hardware, location = choose_hardware("float32"), resolve_model(MODEL)
    base = load_base_model(location, hardware)
    model = load_adapter(base, args.adapter, base_sha256=fingerprint_model(location))
    return plain(model, tokenizer, examples, hardware, args.batch_sizes[0])(limit)


def task_rows(task: str, number: int) -> list[Example]:
    """Rows of a task behind the anchor that `auto` chooses."""
    train = read_records(task).records
    choice = choose_anchor("auto", train[:48])
    lifted = choice.lifting.take_from_all(train).records[:number]
    if len(lifted) < number:
        raise SystemExit(f"--rows: the task has {len(lifted)} rows.")
    return [choice.anchor.apply(row) if choice.anchor else plain_example(row) for row in lifted]


def move_adapter(model: torch.nn.Module) -> None:
    """Give the adapter some effect, as after a training."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.002)


def plain(
    model: torch.nn.Module,
    tokenizer: ChatTokenizer,
    examples: Sequence[Example],
    hardware: Hardware,
    batch_size: int,
) -> Callable[[int], list[str]]:
    """`generate` as a script would call it; the LoRA layers are ours, faster than PEFT's own."""
    prompts = [tokenizer.encode_prompt(example) for example in examples]
    order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))

    def run(limit: int) -> list[str]:
        texts: dict[int, str] = {}
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            width = max(len(prompts[i]) for i in batch)
            ids = torch.full((len(batch), width), tokenizer.pad_id)
            mask = torch.zeros_like(ids)
            for row, i in enumerate(batch):
                ids[row, width - len(prompts[i]) :] = torch.tensor(prompts[i])
                mask[row, width - len(prompts[i]) :] = 1
            with torch.inference_mode(), own_defaults_set_aside(cast(Any, model)):
                out = cast(Any, model).generate(
                    input_ids=ids.to(hardware.device),
                    attention_mask=mask.to(hardware.device),
                    do_sample=False,
                    max_new_tokens=limit,
                    eos_token_id=list(tokenizer.stop_ids),
                    pad_token_id=tokenizer.pad_id,
                )
            for i, new in zip(batch, out[:, width:].tolist(), strict=True):
                end = next((n for n, t in enumerate(new) if t in tokenizer.stop_ids), len(new))
                texts[i] = tokenizer.decode(new[:end]).strip()
        return [texts[i] for i in range(len(prompts))]

    return run


def report(
    sides: dict[str, Callable[[int], list[str]]],
    limit: int,
    rounds: int,
    tokenizer: ChatTokenizer,
) -> dict[str, list[str]]:
    """Time the sides in turn and print what each wrote a second; the answers of each."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    answers: dict[str, list[str]] = {}
    for number in range(rounds + 1):  # the first round warms up
        for name, run in sides.items():
            started = time.perf_counter()
            answers[name] = run(limit)
            if number:
                seconds[name].append(time.perf_counter() - started)
    if rounds == 0:
        return answers
    tokens = {
        name: sum(len(tokenizer.encode(text)) for text in texts) for name, texts in answers.items()
    }
    print(f"\nanswers of at most {limit} tokens; seconds are medians of {rounds} [range]\n")
    print("| side | seconds | tokens/s | levertune is faster by | answers that differ |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, values in seconds.items():
        middle = statistics.median(values)
        ratios = [a / b for a, b in zip(values, seconds["levertune"], strict=True)]
        differ = sum(a != b for a, b in zip(answers[name], answers["levertune"], strict=True))
        print(
            f"| {name} | {middle:.1f} [{min(values):.1f}, {max(values):.1f}] "
            f"| {tokens[name] / middle:.0f} "
            f"| {statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}] "
            f"| {differ} |"
        )
    best = min(
        (n for n in seconds if n != "levertune"), key=lambda n: statistics.median(seconds[n])
    )
    print(f"\nfastest other: {best}; its answers that differ:")
    for own, other in zip(answers["levertune"], answers[best], strict=True):
        if own != other:
            print(f"  levertune: {own!r}\n  generate:  {other!r}")
    return answers


def compare(answers: dict[str, list[str]]) -> None:
    """Print how many answers of every two sides are the same."""
    names = list(answers)
    print("\nanswers that are the same\n")
    print(f"| | {' | '.join(names)} |")
    print(f"| --- | {' | '.join('---:' for _ in names)} |")
    for name in names:
        same = (sum(map(str.__eq__, answers[name], answers[other])) for other in names)
        print(f"| {name} | {' | '.join(map(str, same))} |")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=128)
    parser.add_argument("--task", default="embedded:ticket_codes", help="rows to answer")
    parser.add_argument("--adapter", type=Path, help="folder of a trained adapter")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--beside-float32", action="store_true", help="compare with it as well")
    parser.add_argument("--new", type=int, nargs="+", default=[14, 64], help="limits of an answer")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[8, 16, 32, 64])
    return parser.parse_args()


if __name__ == "__main__":
    main()
