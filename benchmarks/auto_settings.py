"""What stands behind the constants of `auto` that need no training (levertune/settings.py).

Run: python benchmarks/auto_settings.py [FILE ...]   (a minute on one core; prints Markdown tables)

- How wide the 95 % interval of a share is by test rows, hold-out against cross-validation.
- How often `evaluation.max_new_tokens`, taken from the longest of a few training completions, would
  cut a test row's reference: the shipped tasks, and any FILE with `train` in its name beside one
  with `test` in its place.
- What a checkpoint costs, in seconds and megabytes (SmolLM2-135M, LoRA of rank 16).

Exposures, general rows and learning rates need trainings: `levertune tune`.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from levertune.data.embedded.catalog import EMBEDDED_TASKS
from levertune.data.readers import read_records
from levertune.data.records import Record
from levertune.data.splits import draw_subset
from levertune.models.embedded import EMBEDDED_NAME
from levertune.models.rendering import ChatTokenizer
from levertune.models.resolve import resolve_tokenizer
from levertune.scoring.intervals import wilson
from levertune.settings import NEW_TOKENS_FACTOR, NEW_TOKENS_MARGIN, TEST_SHARE

DRAWS = 200
TRAIN_ROWS = (20, 48, 200)
RULES = ((1.0, 0), (1.0, 8), (NEW_TOKENS_FACTOR, NEW_TOKENS_MARGIN), (2.0, 16))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="*", help="more tasks: their training files")
    parser.add_argument("--without-model", action="store_true", help="leave the checkpoint out")
    args = parser.parse_args()
    print_widths()
    print_answer_lengths(args.files)
    if not args.without_model:
        print_checkpoint()


def print_widths() -> None:
    """Interval widths at a share of one half, where they are widest."""
    print("| rows | hold-out tests | width, points | cross-validation tests | width, points |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for rows in (20, 50, 100, 200, 500, 1000):
        held = round(TEST_SHARE * rows)
        print(f"| {rows} | {held} | {_width(held):.0f} | {rows} | {_width(rows):.0f} |")


def _width(n: int) -> float:
    found = wilson(n / 2, n)
    return 100 * ((found.high or 1.0) - (found.low or 0.0))


def print_answer_lengths(files: Sequence[str]) -> None:
    """Share of test references longer than each rule would let the model write."""
    tokenizer = ChatTokenizer.from_folder(resolve_tokenizer(EMBEDDED_NAME).folder)

    def lengths(records: Sequence[Record]) -> list[int]:
        return [len(tokenizer.encode(record.completion)) for record in records]

    print("\n| task | training rows | " + " | ".join(f"{f:g} x + {m}" for f, m in RULES), end="")
    print(" |\n| --- | ---: |" + " ---: |" * len(RULES))
    pairs = {name: (f"embedded:{name}", f"embedded:{name}@test") for name in EMBEDDED_TASKS}
    pairs |= {Path(f).parent.name: (f, str(_test_file(Path(f)))) for f in files}
    for name, (train_path, test_path) in pairs.items():
        train = read_records(train_path).records
        length_of = dict(zip((r.id for r in train), lengths(train), strict=True))
        references = lengths(read_records(test_path).records)
        for num_rows in TRAIN_ROWS:
            if num_rows > len(train):
                continue
            draws = (draw_subset(train, num_rows, seed=seed) for seed in range(DRAWS))
            longest = [max(length_of[record.id] for record in draw) for draw in draws]
            cells = [f"{_share_cut(longest, references, *rule):.2%}" for rule in RULES]
            print(f"| {name} | {num_rows} | {' | '.join(cells)} |")
    print(f"mean over {DRAWS} draws; a column is factor x longest completion + margin")


def _test_file(train: Path) -> Path:
    return train.with_name(train.name.replace("train", "test"))


def _share_cut(
    longest: Sequence[int], references: Sequence[int], factor: float, margin: int
) -> float:
    limits = [math.ceil(factor * length) + margin for length in longest]
    return statistics.mean(
        sum(reference > limit for reference in references) / len(references) for limit in limits
    )


def print_checkpoint(repeats: int = 5) -> None:
    """Time to write adapter and optimizer state, as a checkpoint does."""
    import torch

    from levertune.models.adapters import attach_lora, save_adapter
    from levertune.models.hardware import choose_hardware
    from levertune.models.load import load_base_model
    from levertune.models.resolve import resolve_model

    base = load_base_model(resolve_model(EMBEDDED_NAME), choose_hardware())
    model = attach_lora(base, r=16, alpha=32, dropout=0.0, target_modules="all-linear")
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained)
    for parameter in trained:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    seconds = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(repeats):
            started = time.perf_counter()
            save_adapter(model, folder / str(number))
            torch.save(optimizer.state_dict(), folder / str(number) / "optimizer.pt")
            seconds.append(time.perf_counter() - started)
        size = sum(path.stat().st_size for path in (folder / "0").iterdir())
    print(
        f"\na checkpoint: {statistics.median(seconds):.2f} s "
        f"({min(seconds):.2f} to {max(seconds):.2f}, {repeats} times), {size / 1e6:.0f} MB"
    )


if __name__ == "__main__":
    main()
