"""Sample `embedded-self`: general rows whose prompts and answers the base model itself wrote.

Usage:
    python scripts/embedded/make_self_rows.py sample MODEL_DIR WORK_DIR --batches 200
    python scripts/embedded/make_self_rows.py filter WORK_DIR [OUT_DIR]
    python scripts/embedded/make_self_rows.py audit --seed 5

`sample` is template-only prompting in the manner of Magpie (arXiv 2406.08464, section 2): the chat
template up to the user's turn, an opener of a few words for diversity, and the model writes the
rest of the request; in a second pass it answers its own request. Each batch is one file, seeded by
its number and written atomically, so a killed run continues where it stopped and ends in the same
rows. `filter` keeps what is short, finished, on topic and new (`self_rules.py`, `self_choice.py`)
and writes `embedded-self` and the self-written half of `embedded-retention`, whose topics never
occur in the former. `audit` prints 100 shipped rows drawn by a seed, to be read by a person.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import random
import sys
import time
from pathlib import Path

from make import DATA_DIR, build_files, shipped_retention_self, task_texts
from self_choice import choose

from levertune.selfdata.openers import OPENERS

SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"

# Asking for brevity is part of the row: the answer is then the model's own to exactly that prompt.
SUFFIXES = (" Answer in one sentence.", " Keep it short.", "", " Be brief.", " Reply in one line.")

# Each topic nudges the request; topics marked "held" go to the retention set only.
TOPICS = (
    "a garden", "bread", "the ocean", "bicycles", "sleep", "trees", "maps", "a school", "rain",
    "birds", "music", "a kitchen", "computers", "the moon", "teeth", "money", "a museum", "bees",
    "exercise", "glass", "trains", "letters", "a hospital", "cats", "paint", "history", "coffee",
    "snow", "a library", "clothes", "electricity", "fish", "wood", "football", "shoes", "plants",
    "friendship", "cheese", "mountains", "rivers", "a computer program", "a bridge", "eggs",
    "a market", "dogs", "soap", "paper", "stars", "language", "a clock", "salt", "a village",
    "reading", "the human body", "recycling", "a farm", "cooking rice", "a newspaper", "dance",
    "a job interview", "water", "fire safety", "a battery", "wind", "vegetables", "a camera",
    "painting a room", "a long walk", "insects", "the heart", "fruit", "a meeting", "numbers",
    "kindness", "a wheel", "a thermometer", "gold", "cotton", "an island", "sugar", "photographs",
    "the Roman Empire", "photosynthesis", "gravity", "vitamins", "democracy", "a poem", "savings",
    "public transport", "a recipe", "a birthday party", "first aid", "noise", "winter", "goats",
    "the alphabet", "a telescope", "good manners", "a budget", "stress", "homework", "an email",
)  # fmt: skip
HELD_TOPICS = (
    "volcanoes", "chess", "honey", "a lighthouse", "deserts", "whales", "the violin", "umbrellas",
    "tea", "dinosaurs", "a passport", "clouds", "a ladder", "marathon running", "magnets",
    "a theatre", "mirrors", "bridges made of rope", "penguins", "candles",
)  # fmt: skip

BATCH_ROWS = 96
AUDIT_ROWS = 100
MAX_PROMPT_TOKENS = 28
MAX_ANSWER_TOKENS = 80


def combinations() -> list[tuple[str, str]]:
    """All (opener, topic) pairs in a fixed, hash-shuffled order."""
    pairs = itertools.product(OPENERS, TOPICS + HELD_TOPICS)
    return sorted(pairs, key=lambda p: hashlib.sha256(f"{p[0]}|{p[1]}".encode()).hexdigest())


def sample(model_dir: Path, work_dir: Path, batches: int) -> None:
    """Write candidate rows, `BATCH_ROWS` a file, skipping the files that exist."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    tokenizer.padding_side = "left"
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.bfloat16).eval()
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    pairs = combinations()
    work_dir.mkdir(parents=True, exist_ok=True)
    for batch in range(batches):
        path = work_dir / f"batch-{batch:04d}.jsonl"
        if path.exists():
            continue
        started = time.time()
        start = batch * BATCH_ROWS
        chosen = [pairs[i % len(pairs)] for i in range(start, start + BATCH_ROWS)]
        torch.manual_seed(batch)  # one seed a batch: a rerun draws the same rows
        # The topic is a hint in the system turn of the first pass only; the row kept afterwards
        # holds the request and an answer sampled under the model's own default system turn.
        heads = [
            "<|im_start|>system\n"
            f"The user asks one short, clear question about {topic}.<|im_end|>\n"
            f"<|im_start|>user\n{opener}"
            for opener, topic in chosen
        ]
        tails = _continue(model, tokenizer, heads, MAX_PROMPT_TOKENS, end, temperature=0.7)
        rows = []
        for i, ((opener, topic), (tail, finished)) in enumerate(zip(chosen, tails, strict=True)):
            request = (opener + tail).strip()
            suffix = SUFFIXES[i % len(SUFFIXES)] if request.endswith((".", "?")) else ""
            rows.append({"topic": topic, "prompt": request + suffix, "prompt_finished": finished})
        live = [r for r in rows if r["prompt_finished"]]
        heads = [
            f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n{r['prompt']}<|im_end|>\n"
            "<|im_start|>assistant\n"
            for r in live
        ]
        answers = _continue(model, tokenizer, heads, MAX_ANSWER_TOKENS, end, temperature=0.2)
        for row, (answer, finished) in zip(live, answers, strict=True):
            row.update(response=answer, response_finished=finished)
        _write_atomically(path, live)
        done = sum(r["response_finished"] for r in live)
        print(
            f"batch {batch}: {done}/{BATCH_ROWS} finished, {time.time() - started:.1f} s",
            flush=True,
        )


def _continue(model, tokenizer, texts, max_new_tokens, end, *, temperature):
    """Sampled continuations and whether each reached the end of its turn."""
    import torch

    from levertune.models.head import contiguous_head_input

    inputs = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
    with torch.inference_mode(), contiguous_head_input(model):
        ids = model.generate(
            **inputs, max_new_tokens=max_new_tokens, do_sample=True, temperature=temperature,
            top_p=1.0, top_k=40, eos_token_id=end, pad_token_id=end,
        )  # fmt: skip
    out = []
    for row in ids[:, inputs["input_ids"].shape[1] :].tolist():
        finished = end in row
        out.append((tokenizer.decode(row[: row.index(end)] if finished else row), finished))
    return out


def _write_atomically(path: Path, rows: list[dict]) -> None:
    partial = path.with_suffix(".partial")
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def filter_rows(work_dir: Path, out_dir: Path) -> None:
    """Write the kept rows into `out_dir` and print how many rows each rule dropped.

    A retention probe that is there stays as it is: figures measured on it are comparable whatever
    batches and rules are added later. It was chosen from batches 0 to 55.
    """
    paths = sorted(work_dir.glob("batch-*.jsonl"))
    candidates = [
        json.loads(line) for path in paths for line in path.read_text(encoding="utf-8").splitlines()
    ]
    choice = choose(candidates, openers=OPENERS, task_texts=task_texts(DATA_DIR))
    general = out_dir / "general"
    general.mkdir(parents=True, exist_ok=True)
    _write_atomically(general / "self.jsonl", choice.general)
    held = shipped_retention_self(out_dir) or choice.retention
    files = build_files(held)
    retention = [json.loads(line) for line in files["general/retention.jsonl"].splitlines()]
    _write_atomically(general / "retention.jsonl", retention)
    print(f"{len(paths)} batches, {len(candidates)} candidates")
    for reason, count in choice.dropped.most_common():
        print(f"  {reason}: {count}")
    print(f"kept: {len(choice.general)} general; retention: {len(held)}")


def print_audit_rows(seed: int) -> None:
    """Print `AUDIT_ROWS` rows of the shipped `embedded-self`, one a line."""
    path = DATA_DIR / "general" / "self.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for row in random.Random(seed).sample(rows, AUDIT_ROWS):
        answer = row["response"].replace("\n", " / ")
        print(f"{row['id']}  {row['prompt']}  ->  {answer}")


def main() -> int:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("sample", help="write candidate rows into WORK_DIR")
    one.add_argument("model_dir", type=Path)
    one.add_argument("work_dir", type=Path)
    one.add_argument("--batches", type=int, default=150)
    two = verbs.add_parser("filter", help="choose among the candidates and write the shipped files")
    two.add_argument("work_dir", type=Path)
    two.add_argument("out_dir", type=Path, nargs="?", default=DATA_DIR)
    three = verbs.add_parser("audit", help="print random shipped rows for reading")
    three.add_argument("--seed", type=int, required=True)
    args = parser.parse_args()
    if args.verb == "audit":
        print_audit_rows(args.seed)
    elif args.verb == "sample":
        sample(args.model_dir, args.work_dir, args.batches)
    else:
        filter_rows(args.work_dir, args.out_dir)
    return 0


if __name__ == "__main__":
    sys.exit(main())
