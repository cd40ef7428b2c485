"""The same mixtures through levertune, TRL, LLaMA-Factory and ms-swift, alternating.

    python -m benchmarks.train [--cases short mixed long] [--rounds 3]
        [--llamafactory PYTHON] [--ms-swift PYTHON]
    python -m benchmarks.train --regression [--against FILE]
    python -m benchmarks.train --profile SIDE

README.md beside this package says what is measured and how.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.train import report
from benchmarks.train.bench import Bench, CaseResult
from benchmarks.train.measuring import FailedError
from benchmarks.train.mixtures import CASES
from benchmarks.train.model_sizes import SIZES, write_random_model
from benchmarks.train.sides import SIDES, find_sides

MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
SLOWER = 0.9


def main() -> None:
    """Measure what is asked for."""
    args = _parse()
    from levertune.models.hardware import choose_hardware
    from levertune.models.resolve import resolve_model

    hardware = choose_hardware(args.dtype)
    ready = find_sides(args.sides, {"llamafactory": args.llamafactory, "ms_swift": args.ms_swift})
    model = resolve_model(args.model).folder.resolve()
    with tempfile.TemporaryDirectory() as name:
        if args.size is not None:
            place = Path(name, f"random-{args.size}")
            model = write_random_model(
                SIZES[args.size], place, tokenizer=model, device=hardware.device
            )
        bench = Bench(Path(name), model, hardware.dtype_name, hardware.device, args.warmup)
        if args.profile:
            [side] = ready
            for case in args.cases:
                print(f"\n{case}, {side.side.name}\n")
                print(bench.profile(CASES[case], side, args.steps))
            return
        earlier = _read_earlier(args.against)
        found, failed = {}, False
        for case in args.cases:
            found[case] = bench.measure(CASES[case], ready, args.rounds, args.steps)
            if args.regression:
                failed |= _compare(case, found[case], earlier)
            else:
                _print_case(case, found[case])
    result = {
        "command": f"python -m benchmarks.train {' '.join(sys.argv[1:])}".strip(),
        "model": args.model if args.size is None else f"random weights, {args.size}",
        "dtype": hardware.dtype_name,
        "device": hardware.device,
        "cores": os.cpu_count(),
        "cases": {case: asdict(one) for case, one in found.items()},
    }
    output = Path(args.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"\nall figures: {output}")
    if failed:
        raise SystemExit(1)


def _print_case(case: str, found: CaseResult) -> None:
    print(f"\n## {case}: {CASES[case].about}\n\n{report.show_ceiling(found.ceilings)}\n")
    if found.summaries:
        print(f"{report.show_table(found.summaries)}\n\n{report.show_check(found.summaries)}")
    for side, reason in found.not_run.items():
        print(f"{side}: not run: {reason}")


def _compare(case: str, found: CaseResult, earlier: dict[tuple[str, str], Any]) -> bool:
    """Print a line for each side; whether one is slower than before, or did not run."""
    failed = bool(found.not_run)
    for row in found.summaries:
        before = earlier.get((row.case, row.side))
        print(report.show_line(row, before), flush=True)
        failed |= before is not None and report.ratio_to(row, before) < SLOWER
    for side, reason in found.not_run.items():
        print(f"{case} {side}: not run: {reason}", flush=True)
    return failed


def _read_earlier(path: Path | None) -> dict[tuple[str, str], Any]:
    """The summaries of an earlier result, by mixture and side."""
    if path is None:
        return {}
    cases = json.loads(path.read_text(encoding="utf-8"))["cases"].values()
    return {(row["case"], row["side"]): row for case in cases for row in case["summaries"]}


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.train", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--sides", nargs="+", choices=SIDES, help="all of them by default")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each side")
    parser.add_argument("--steps", type=int, help="steps of a run, instead of each case's own")
    parser.add_argument("--warmup", type=int, default=2, help="first steps left out of the clock")
    parser.add_argument("--model", default=MODEL, help="a folder, or a model's name")
    parser.add_argument(
        "--size",
        choices=SIZES,
        help="random weights of this size in the place of the model's, its tokenizer kept",
    )
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--llamafactory", metavar="PYTHON", help="a Python that has llamafactory")
    parser.add_argument("--ms-swift", metavar="PYTHON", help="a Python that has ms-swift")
    parser.add_argument("--regression", action="store_true", help="levertune alone, a line a case")
    parser.add_argument("--against", type=Path, metavar="FILE", help="an earlier --output")
    parser.add_argument("--profile", choices=SIDES, metavar="SIDE", help="where its step goes")
    parser.add_argument("--output", default="runs/benchmarks/train.json")
    args = parser.parse_args()
    if args.warmup < 1:
        parser.error("--warmup must be at least 1")
    if args.against is not None and not args.regression:
        parser.error("--against goes with --regression")
    if args.profile:
        args.sides = [args.profile]
    elif args.regression:
        args.sides = args.sides or [report.OURS]
    else:
        args.sides = args.sides or list(SIDES)
    return args


if __name__ == "__main__":
    try:
        main()
    except FailedError as error:
        raise SystemExit(str(error)) from None
