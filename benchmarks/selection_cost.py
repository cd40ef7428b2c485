"""What each selector of general rows costs on this machine.

    python benchmarks/selection_cost.py [FILES ...] [--rows 300] [--selectors bm25,rds]

Each selector chooses from a sample of the files' rows (default: the pools levertune brings along),
for the training rows of an embedded task. Printed are measured seconds and rows a second; the time
for `--pool` rows (default 35,000) is EXTRAPOLATED from them in proportion and marked so. With
`--rows 35000` the pool is measured whole. States come from an empty cache, so nothing is reused but
by `dissimilar` after `rds`, which is said.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from levertune.data.draws import draw_rows
from levertune.data.general import read_general
from levertune.data.readers import read_records
from levertune.progress import SilentProgress
from levertune.recipes.loading import recipe_from_mapping
from levertune.runs.selectors import select
from levertune.runs.workspace import Workspace
from levertune.selection.draws import select_random, select_stratified
from levertune.selection.encoder import LAYER_SHARE, MAX_TOKENS, Encoder
from levertune.selection.rds import measure_agreement
from levertune.selection.selection import Budget, Selection, canonical_order

SELECTORS = ("stratified", "random", "bm25", "rds", "dissimilar", "loss", "gradient")
DRAWS = {"stratified": select_stratified, "random": select_random}
SHORTLISTED = ("loss", "gradient")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", default=["embedded-skills", "embedded-self"])
    parser.add_argument("--task", default="embedded:ticket_codes")
    parser.add_argument("--task-rows", type=int, default=48)
    parser.add_argument("--rows", type=int, default=300, help="candidates to choose from")
    parser.add_argument("--pool", type=int, default=35_000, help="rows to extrapolate to")
    parser.add_argument("--budget", type=int, default=300, help="rows to choose from the pool")
    parser.add_argument("--selectors", default=",".join(SELECTORS))
    parser.add_argument("--layer-shares", default="", help="also time rds at these, as 0.33,1.0")
    parser.add_argument("--model", default="HuggingFaceTB/SmolLM2-135M-Instruct")
    args = parser.parse_args()

    everything = [r for path in args.files for file in read_general(path) for r in file.records]
    rows = draw_rows(everything, args.rows, seed=0, stratified=True)
    task = draw_rows(read_records(args.task).records, args.task_rows, seed=0, stratified=True)
    recipe = recipe_from_mapping(
        {"task": {"path": args.task}, "model": {"model_name_or_path": args.model}}
    )
    workspace = Workspace(recipe)
    print(
        f"{len(task)} task rows, {len(rows):,} of {len(everything):,} candidates, "
        f"{workspace.hardware.device}, {workspace.hardware.dtype_name}, "
        f"{_threads()} threads; rds: {MAX_TOKENS} tokens, {LAYER_SHARE:.0%} of the layers"
    )
    workspace.base()  # loading is not what is measured
    # Of a sample the same share is chosen as of the whole pool, so that shortlists are as long.
    share = min(1.0, args.budget / args.pool)
    with tempfile.TemporaryDirectory() as folder:
        vars(workspace)["encoder"] = make_encoder(workspace, Path(folder), LAYER_SHARE)
        for name in args.selectors.split(","):
            limit = max(1, round(share * len(rows)))
            if name in SHORTLISTED:
                limit = min(limit * 8, len(rows) // 4)  # enough rows scored to time
            report(name, args, workspace, task, rows, limit)
        for text in filter(None, args.layer_shares.split(",")):
            time_depth(workspace, Path(folder), float(text), task, rows, args.pool)


def report(name: str, args, workspace: Workspace, task: list, rows: list, limit: int) -> None:
    started = time.perf_counter()
    if name in DRAWS:
        found: Selection = DRAWS[name](task, rows, Budget(limit), seed=0)
    else:
        found = select(
            name, task, rows, Budget(limit), seed=0, max_length=1024, workspace=workspace,
            progress=SilentProgress(),
        )  # fmt: skip
    seconds = time.perf_counter() - started
    if name in SHORTLISTED:
        scored = min(4 * limit, len(rows))
        whole = seconds / scored * min(4 * args.budget, args.pool)
        what = f"{scored / seconds:.1f} rows scored a second"
        of = f"{4 * args.budget:,} rows scored for {args.budget:,} chosen"
    else:
        whole = seconds / len(rows) * args.pool
        what, of = f"{len(rows) / seconds:,.1f} rows a second", f"{args.pool:,} rows"
    cached = ", states reused from rds" if name == "dissimilar" and not found.tokens else ""
    print(
        f"{name:11} measured {seconds:7.2f} s for {len(rows):,} rows, {len(found.rows)} chosen "
        f"({what}, {found.tokens:,} tokens through the model{cached}); "
        f"EXTRAPOLATED {whole / 60:.1f} min for {of}"
    )
    if found.agreement is not None:
        agreed = found.agreement
        print(
            f"            nearest {agreed.top} of {agreed.rows} found by all {agreed.all_layers} "
            f"layers too with {agreed.layers}: {agreed.share:.0%} (by chance "
            f"{agreed.by_chance:.0%}); the seconds above include measuring this"
        )


def time_depth(
    workspace: Workspace, folder: Path, share: float, task: list, rows: list, pool: int
) -> None:
    """Time the states alone at another depth, and say how far it agrees with all layers."""
    encoder = make_encoder(workspace, folder / str(share), share)
    started = time.perf_counter()
    encoder.encode(rows)
    seconds = time.perf_counter() - started
    agreed, _ = measure_agreement(encoder, task, canonical_order(rows, 0))
    shown = "" if agreed is None else f", agreement {agreed.share:.0%}"
    speed = f"{len(rows) / seconds:.1f} rows, {encoder.tokens_run / seconds:,.0f} tokens a second"
    print(
        f"states with {encoder.num_layers} of {encoder.all_layers} layers: "
        f"measured {seconds:.2f} s ({speed}){shown}; "
        f"EXTRAPOLATED {seconds / len(rows) * pool / 60:.1f} min for {pool:,} rows"
    )


def make_encoder(workspace: Workspace, folder: Path, share: float) -> Encoder:
    return Encoder(
        workspace.base,
        workspace.tokenizer,
        workspace.hardware,
        identity=workspace.model_hash,
        folder=folder,
        layer_share=share,
    )


def _threads() -> int:
    import torch

    return torch.get_num_threads()


if __name__ == "__main__":
    main()
