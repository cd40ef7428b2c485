"""Whether levertune ends where another trainer ends: task NLL after the same mixture, over seeds.

Run: python -m benchmarks.train.final_nll RECIPE [key=value ...] [--seeds 5] [--side trl-tuned]
     [--llamafactory PYTHON] [--ms-swift PYTHON] [--output FILE]

Each seed of the recipe's arm `tell` is trained by levertune and, from what `levertune mix --to`
writes, by the other. Both adapters are scored by levertune on the recipe's test rows. The trainers
start their adapters from different random numbers and add up in another order, so they cannot end
alike; what they must not do is differ by more than the seeds of one of them do. A recipe of two
minutes a seed is enough.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any, cast

import yaml

from benchmarks.train.measuring import FailedError, run_together
from benchmarks.train.mixtures import ARM
from benchmarks.train.sides import SIDES, Ready, find_sides, write_config
from levertune.evaluation.likelihood import score_likelihood
from levertune.models.resolve import resolve_model
from levertune.recipes.loading import load_recipe
from levertune.results.files import write_text_atomically
from levertune.runs.arm_rows import arm_example
from levertune.runs.cells import split_of
from levertune.runs.prepare import Prepared, prepare_run


def main() -> None:
    args = _parse()
    [other] = find_sides(
        [args.side], {"llamafactory": args.llamafactory, "ms_swift": args.ms_swift}
    )
    if other.why_not:
        raise SystemExit(f"{args.side}: {other.why_not}")
    [own] = find_sides(["levertune"], {})
    found: dict[str, list[float]] = {"levertune": [], args.side: []}
    with tempfile.TemporaryDirectory() as name:
        for seed in range(args.seeds):
            changes = [*args.settings, f"seeds=[{seed}]", f"arms=[{ARM}]"]
            folder = Path(name, f"seed-{seed}")
            recipe = _write_recipe(args.recipe, changes, folder)
            prepared = prepare_run(load_recipe(recipe))
            for one in (own, other):
                nll = mean_nll(prepared, train(one, recipe, folder / one.side.name))
                found[one.side.name].append(nll)
            print(
                f"seed {seed}: {', '.join(f'{k} {v[-1]:.3f}' for k, v in found.items())}",
                flush=True,
            )
    report(found, args.side)
    if args.output is not None:
        write_text_atomically(args.output, json.dumps(found, indent=1) + "\n")


def train(one: Ready, recipe: Path, folder: Path) -> Path:
    """Train with one side; the folder of the adapter."""
    config = write_config(one.side, recipe, folder, use_cpu=True)
    if one.side.trainer != "levertune":
        settings = yaml.safe_load(config.read_text(encoding="utf-8"))
        settings |= {
            "output_dir": str(folder / "out"),
            "save_strategy": "no",
            "overwrite_output_dir": True,
        }
        if one.side.trainer != "llama-factory":
            settings.pop("overwrite_output_dir")
        config.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    try:
        run_together(
            one.python,
            "driver",
            [(one.side.trainer, str(config))],
            folders=[config.parent],
            own_source=one.side.option is None,
        )
    except FailedError as error:
        raise SystemExit(f"{one.side.name}: {error}") from error
    adapters = sorted(folder.rglob("adapter_model.safetensors"))
    if len(adapters) != 1:
        raise SystemExit(f"{folder}: should hold one adapter; found {len(adapters)}.")
    return adapters[0].parent


def mean_nll(prepared: Prepared, adapter: Path) -> float:
    """NLL a token of the references of the test rows, in nats."""
    from peft import PeftModel

    workspace = prepared.workspace
    [plan] = prepared.plans
    data = prepared.build(plan)
    records = split_of(prepared.inputs, plan).test
    rows = [
        workspace.tokenizer.tokenize(arm_example(record, plan.arm, data.tested))
        for record in records
    ]
    model = PeftModel.from_pretrained(workspace.base(), str(adapter)).eval()
    try:
        scored = score_likelihood(
            cast(Any, model), rows, hardware=workspace.hardware, pad_id=workspace.tokenizer.pad_id
        )
    finally:
        model.unload()
    return sum(row.nll for row in scored) / sum(row.num_tokens for row in scored)


def report(found: dict[str, list[float]], side: str) -> None:
    """Print the seeds, their spread, and how far the trainers are from each other."""
    print(f"\n| seed | {' | '.join(found)} | difference |")
    print(f"| --- | {' | '.join('---:' for _ in found)} | ---: |")
    pairs = list(zip(found["levertune"], found[side], strict=True))
    for seed, (own, other) in enumerate(pairs):
        print(f"| {seed} | {own:.3f} | {other:.3f} | {own - other:+.3f} |")
    means = [statistics.fmean(values) for values in found.values()]
    print(f"| mean | {means[0]:.3f} | {means[1]:.3f} | {means[0] - means[1]:+.3f} |")
    if len(pairs) > 1:
        spreads = [statistics.stdev(values) for values in found.values()]
        spread = statistics.stdev(own - other for own, other in pairs)
        print(f"| SD over seeds | {spreads[0]:.3f} | {spreads[1]:.3f} | {spread:.3f} |")
        verdict = "within" if abs(means[0] - means[1]) <= spreads[0] else "beyond"
        print(f"\nThe means are {verdict} the SD over levertune's seeds.")


def _write_recipe(recipe: Path, changes: list[str], folder: Path) -> Path:
    folder.mkdir(parents=True)
    path = folder / "recipe.yaml"
    settings = load_recipe(recipe, [*changes, f"output_dir={folder / 'plan'}"])
    # By its folder, which every side finds.
    model = resolve_model(settings.model.model_name_or_path, revision=settings.model.revision)
    settings = load_recipe(
        recipe,
        [*changes, f"output_dir={folder / 'plan'}", f"model.model_name_or_path={model.folder}"],
    )
    text = yaml.safe_dump(_with_whole_paths(settings.model_dump(mode="json")), sort_keys=False)
    path.write_text(text, encoding="utf-8")
    return path


def _with_whole_paths(value: Any) -> Any:
    """The settings with every name of a file here made absolute: a side runs in its own folder."""
    if isinstance(value, dict):
        return {key: _with_whole_paths(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_whole_paths(inner) for inner in value]
    is_file = isinstance(value, str) and "/" in value and Path(value).exists()
    return str(Path(value).absolute()) if is_file else value


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("settings", nargs="*", help="key=value")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--side", default="trl-tuned", choices=[s for s in SIDES if "lever" not in s]
    )
    parser.add_argument("--llamafactory", metavar="PYTHON")
    parser.add_argument("--ms-swift", metavar="PYTHON")
    parser.add_argument("--output", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
