"""What a training order costs, ours beside `datasets`, and what each does to the rows.

    python benchmarks/mixture_order.py [--general 1000000] [--strategies NAME ...] [--rounds]

Prints two tables. The first is the contract: a plan over 10^9 general rows, in each of the orders.
The second lays out 48 task rows, planned 24 times each, and `--general` rows of one integer column:
with `concatenate_datasets(...).shuffle()`, and with `interleave_datasets` by its stopping
strategies, at the planned share of task rows and at one half. Each line is measured in a process
of its own. Times are processor time of one thread, which is what the clock shows on an idle
machine and what other programs change least.

- `build s`: until the first row could be read;
- `held MB`: memory after building above that of the imports; `peak MB`: the most while building
  and reading. `datasets` reads the rows themselves where we compute their indices, so its
  `rows/s` is not our `rows/s`;
- `never`, `repeated`: general rows that never come, and that come more than once;
- `exposures`: fewest and most times that a task row comes; 24 were planned;
- `in file order`: correlation of a general row's number with its position; 1 is not shuffled.

`--rounds` prints instead how uniform the computed permutation is by its number of rounds: all 5,040
orders of 7 values are counted over 50,000 seeds (mixtures/permutation.py, NUM_ROUNDS).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from levertune.mixtures.plan import Order

# The parent imports nothing heavy: a child's peak memory may start from its parent's.
TASK_ROWS, EXPOSURES = 48, 24
BILLION = 10**9
READ_ROWS, SEEKS = 2 * 10**6, 200
ORDERS: tuple[Order, ...] = ("shuffle", "even", "general-then-task", "task-then-general")
STRATEGIES = ("first_exhausted", "all_exhausted")
ROUNDS, ROUND_SEEDS = (8, 10, 12, 16), 50_000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--general", type=int, default=10**6)
    parser.add_argument("--strategies", nargs="+", default=STRATEGIES)
    parser.add_argument("--rounds", action="store_true")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        name, *rest = json.loads(arguments.side)
        print(json.dumps(SIDES[name](*rest)))
    elif arguments.rounds:
        for rounds in ROUNDS:
            in_own_process("rounds", rounds)
    else:
        print(f"| {BILLION:,} general rows | build s | held MB | positions/s | ms a seek |")
        print("| --- | ---: | ---: | ---: | ---: |")
        for order in ORDERS:
            in_own_process("billion", order)
        print()
        print(
            f"| {arguments.general:,} general rows | build s | peak MB | rows/s | "
            "positions | never | repeated | exposures | in file order |"
        )
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
        in_own_process("ours", arguments.general)
        in_own_process("concatenate", arguments.general)
        planned = TASK_ROWS * EXPOSURES / (TASK_ROWS * EXPOSURES + arguments.general)
        for share in (planned, 0.5):
            for strategy in arguments.strategies:
                in_own_process("interleave", arguments.general, strategy, share)


def in_own_process(*side: Any) -> None:
    """Measure one side in a fresh process and print its line."""
    command = [sys.executable, __file__, "--side", json.dumps(side)]
    environment = {
        **os.environ,
        "HF_DATASETS_OFFLINE": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    }
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    print(f"| {' | '.join(json.loads(done.stdout.splitlines()[-1]))} |", flush=True)


def measure_billion(order: Order) -> list[str]:
    """The contract: a plan over 10^9 general rows."""
    import numpy as np
    import psutil

    from levertune.mixtures.order import build_mixture
    from levertune.mixtures.plan import MixturePlan

    process = psutil.Process()
    before, started = process.memory_info().rss, time.process_time()
    plan = MixturePlan(TASK_ROWS, EXPOSURES, (("general", BILLION),), order, 0)
    mixture = build_mixture(plan)
    build = time.process_time() - started
    held = process.memory_info().rss - before
    started, chunk = time.process_time(), 1 << 14
    for start in range(BILLION // 2, BILLION // 2 + READ_ROWS, chunk):
        mixture.positions(start, min(start + chunk, BILLION // 2 + READ_ROWS))
    rate = READ_ROWS / (time.process_time() - started)
    places = np.random.default_rng(0).integers(len(mixture), size=SEEKS).tolist()
    started = time.process_time()
    for place in places:
        mixture.positions(place, place + 1)
    seek = (time.process_time() - started) / SEEKS * 1e3
    return [f"`{order}`", f"{build:.3f}", f"{held / 1e6:.1f}", f"{rate:,.0f}", f"{seek:.2f}"]


def measure_ours(general: int) -> list[str]:
    """Our order of a plan small enough for `datasets`."""
    import numpy as np

    from levertune.mixtures.order import build_mixture
    from levertune.mixtures.plan import MixturePlan

    base, started = peak_bytes(), time.process_time()
    mixture = build_mixture(MixturePlan(TASK_ROWS, EXPOSURES, (("general", general),)))
    build, started = time.process_time() - started, time.process_time()
    rows = np.empty(len(mixture), dtype=np.int64)
    for start in range(0, len(mixture), 10_000):
        found = mixture.positions(start, start + 10_000)
        # As in the data sets below: task rows count down from -1, general rows up from 0.
        rows[start : start + 10_000] = np.where(found.is_task, -1 - found.row, found.row)
    return describe("levertune, `shuffle`", general, rows, build, started, base)


def measure_concatenate(general: int) -> list[str]:
    """`concatenate_datasets` of so many copies of the task, shuffled."""
    from datasets import concatenate_datasets

    task, rest = make_datasets(general)
    base, started = peak_bytes(), time.process_time()
    mixed = concatenate_datasets([*[task] * EXPOSURES, rest]).shuffle(seed=0)
    return read_dataset("`concatenate_datasets` + `shuffle`", general, mixed, started, base)


def measure_interleave(general: int, strategy: str, share: float) -> list[str]:
    """`interleave_datasets` by probability."""
    from datasets import interleave_datasets

    task, rest = make_datasets(general)
    base, started = peak_bytes(), time.process_time()
    mixed = interleave_datasets(
        [task, rest], probabilities=[share, 1 - share], seed=0, stopping_strategy=strategy
    )
    name = f"`interleave_datasets`, {strategy}, share {share:.3g}"
    return read_dataset(name, general, mixed, started, base)


def make_datasets(general: int) -> tuple[Any, Any]:
    """Task rows that count down from -1 and general rows that count up from 0."""
    import numpy as np
    from datasets import Dataset

    task = Dataset.from_dict({"row": -1 - np.arange(TASK_ROWS)})
    return task, Dataset.from_dict({"row": np.arange(general)})


def read_dataset(name: str, general: int, mixed: Any, started: float, base: int) -> list[str]:
    """Read a whole data set in its order, then describe what came."""
    import numpy as np

    build, started = time.process_time() - started, time.process_time()
    mixed = mixed.with_format("numpy")
    rows = np.empty(len(mixed), dtype=np.int64)
    for start in range(0, len(mixed), 10_000):
        rows[start : start + 10_000] = mixed[start : start + 10_000]["row"]
    return describe(name, general, rows, build, started, base)


def describe(
    name: str, general: int, rows: Any, build: float, started: float, base: int
) -> list[str]:
    """One line of the second table."""
    import numpy as np

    rate = len(rows) / (time.process_time() - started)
    peak = peak_bytes() - base - rows.nbytes
    times = np.bincount(rows[rows >= 0], minlength=general)
    exposures = np.bincount(-1 - rows[rows < 0], minlength=TASK_ROWS)
    places = np.flatnonzero(rows >= 0)
    kept = np.corrcoef(places, rows[places])[0, 1]
    return [
        name,
        f"{build:.3f}",
        f"{max(0, peak) / 1e6:.0f}",
        f"{rate:,.0f}",
        f"{len(rows):,}",
        f"{int((times == 0).sum()):,}",
        f"{int((times > 1).sum()):,}",
        f"{exposures.min():,} to {exposures.max():,}",
        f"{kept:.2f}",
    ]


def measure_rounds(rounds: int) -> list[str]:
    """Chi-square over all orders of 7 values."""
    import numpy as np
    from scipy import stats

    from levertune.mixtures.permutation import FeistelPermutation

    places, digits, num_orders = np.arange(7), 7 ** np.arange(7), 5040
    codes = np.empty(ROUND_SEEDS, dtype=np.int64)
    for seed in range(ROUND_SEEDS):
        keys = np.random.PCG64(np.random.SeedSequence(seed)).random_raw(rounds)
        codes[seed] = FeistelPermutation(7, keys).forward(places) @ digits
    counts = np.unique(codes, return_counts=True)[1]
    found = stats.chisquare(np.pad(counts, (0, num_orders - len(counts))))
    excess = max(0.0, found.statistic - (num_orders - 1)) / ROUND_SEEDS
    return [
        f"{rounds} rounds",
        f"{len(counts):,} of {num_orders:,} orders",
        f"chances off by {100 * excess**0.5:.1f} % (root mean square)",
        f"p = {found.pvalue:.2g}",
    ]


def peak_bytes() -> int:
    """The most memory this process has held so far."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


SIDES: dict[str, Callable[..., Any]] = {
    "billion": measure_billion,
    "ours": measure_ours,
    "concatenate": measure_concatenate,
    "interleave": measure_interleave,
    "rounds": measure_rounds,
}


if __name__ == "__main__":
    main()
