"""Whether sides train the same rows, and how far their first loss is from one in float32.

Trainers differ in what they learn beside the answer (most also learn the line end that a chat
template writes after it), so each first loss is held against a loss computed here on the very
tokens that side had. Every adapter starts as nothing, so it is the base model's.

Run by the benchmark: python -m benchmarks.train.losses JOB OUTPUT.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

IGNORED = -100
TOLERANCE = 1e-3
Row = dict[str, list[int]]


def find_difference(ours: Sequence[Row], theirs: Sequence[Row] | None) -> str | None:
    """What a side's first step holds that levertune's does not.

    Args:
        ours: Token ids and labels of levertune's rows.
        theirs: Those of the side; None where they could not be seen.

    Returns:
        None if each row is ours, or ours and a tail; else a sentence.
    """
    if theirs is None:
        return "its rows could not be seen"
    if len(ours) != len(theirs):
        return f"its first step has {len(theirs)} rows instead of {len(ours)}"
    for number, (own, other) in enumerate(zip(ours, theirs, strict=True)):
        size = len(own["ids"])
        if other["ids"][:size] != own["ids"]:
            return f"row {number} of its first step has other tokens"
        if other["labels"][:size] != own["labels"]:
            return f"row {number} of its first step has its loss on other tokens"
    return None


def count_tail(ours: Sequence[Row], theirs: Sequence[Row]) -> int:
    """Tokens a side's rows have after the end of ours, all rows together."""
    return sum(len(row["ids"]) for row in theirs) - sum(len(row["ids"]) for row in ours)


def reference_losses(model_folder: str, groups: Sequence[Sequence[Row]]) -> list[float]:
    """The base model's mean loss a supervised token, in float32, row by row.

    Args:
        model_folder: The model.
        groups: Rows of a first step, for each kind of side.
    """
    import torch
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32).eval()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device)
    found = []
    for rows in groups:
        total, count = 0.0, 0
        for row in rows:
            labels = torch.tensor(row["labels"][1:], device=device)
            with torch.inference_mode():
                logits = model(input_ids=torch.tensor([row["ids"]], device=device)).logits[0, :-1]
                kept = labels != IGNORED
                losses = torch.nn.functional.cross_entropy(
                    logits[kept].float(), labels[kept], reduction="sum"
                )
            total, count = total + losses.item(), count + int(kept.sum())
        found.append(total / count)
    return found


def main() -> None:
    """Compute the groups in the first file, write the second."""
    job_path, output = map(Path, sys.argv[1:])
    job = json.loads(job_path.read_text(encoding="utf-8"))
    output.write_text(
        json.dumps({"losses": reference_losses(job["model"], job["groups"])}), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
