"""What each selector of general rows costs on this machine.

    python benchmarks/selection_cost.py [FILES ...] [--rows 300] [--selectors bm25,rds]

Each selector chooses from a sample of the files' rows (default: the pools levertune brings along),
for the training rows of an embedded task. Printed are measured seconds of wall time and of CPU time
(the fairer on a machine that does other things too); both for `--pool` rows (default 35,000) are
EXTRAPOLATED from them in proportion and marked so. With
`--rows 35000` the pool is measured whole. States come from an empty cache and are timed apart.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from levertune.anchors.lift import lift_instruction
from levertune.data.draws import draw_rows
from levertune.data.general import read_general
from levertune.data.readers import read_records
from levertune.data.records import Record
from levertune.progress import SilentProgress
from levertune.recipes.loading import recipe_from_mapping
from levertune.runs.general_draw import draw_general
from levertune.runs.selectors import DRAWS, select
from levertune.runs.workspace import Workspace
from levertune.selection.encoder import LAYER_SHARE, MAX_TOKENS, Encoder
from levertune.selection.rds import measure_agreement
from levertune.selection.selection import (
    Budget,
    Diversity,
    SelectedRow,
    Selection,
    canonical_order,
)

SELECTORS = ("stratified", "random", "bm25", "rds", "dissimilar", "loss", "gradient")
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
    task = list(lift_instruction(task).records)
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
            if name == "rds":  # the dear part alone; what follows is choosing, and the agreement
                time_states(workspace, task, rows, args.pool)
            limit = max(1, round(share * len(rows)))
            if name in SHORTLISTED:
                limit = min(limit * 8, len(rows) // 4)  # enough rows scored to time
            report(name, args, workspace, task, rows, limit)
        for text in filter(None, args.layer_shares.split(",")):
            time_depth(workspace, Path(folder), float(text), task, rows, args.pool)


def report(
    name: str,
    args: argparse.Namespace,
    workspace: Workspace,
    task: list[Record],
    rows: list[Record],
    limit: int,
) -> None:
    clock = Clock()
    if name in DRAWS:
        found = draw(name, args, workspace, rows, limit)
    else:
        found = select(
            name, task, rows, Budget(limit), seed=0, diversity=Diversity(), max_length=1024,
            workspace=workspace, progress=SilentProgress(),
        )  # fmt: skip
    clock.stop()
    done, whole, of = len(rows), args.pool, f"{args.pool:,} rows"
    if name in SHORTLISTED:
        done, whole = min(4 * limit, len(rows)), min(4 * args.budget, args.pool)
        of = f"{whole:,} rows scored for {args.budget:,} chosen"
    later = f"; {clock.extrapolate(done, whole)} for {of}"
    if name in ("rds", "dissimilar"):
        later = "; states were there already, the agreement of rds is a fixed cost"
    print(
        f"{name:11} {clock.text(done)}; {len(found.rows)} chosen, {found.tokens:,} tokens through "
        f"the model{later}"
    )
    if found.agreement is not None:
        agreed = found.agreement
        print(
            f"            nearest {agreed.top} of {agreed.rows} found by all {agreed.all_layers} "
            f"layers too with {agreed.layers}: {agreed.share:.0%} (by chance "
            f"{agreed.by_chance:.0%})"
        )


def draw(
    name: str, args: argparse.Namespace, workspace: Workspace, rows: list[Record], limit: int
) -> Selection:
    """Draw as a run does."""
    recipe = recipe_from_mapping(
        {
            "task": {"path": args.task},
            "general": {"select": name, "sources": [{"path": path} for path in args.files]},
        }
    )
    pool: dict[str, list[Record]] = {}
    for record in rows:
        pool.setdefault(record.source, []).append(record)
    drawn = draw_general(recipe, pool, num_rows=limit, seed=0, count_tokens=workspace.count_record)
    return Selection(name, tuple(SelectedRow(row.source, row.id) for row in drawn))


def time_states(workspace: Workspace, task: list, rows: list, pool: int) -> None:
    """Time the states of all rows."""
    encoder = workspace.encoder
    clock = Clock()
    encoder.encode([*task, *rows])
    clock.stop()
    print(
        f"states      {clock.text(len(task) + len(rows))}, {encoder.tokens_run:,} tokens; "
        f"{clock.extrapolate(len(task) + len(rows), pool)} for {pool:,} rows"
    )


def time_depth(
    workspace: Workspace, folder: Path, share: float, task: list, rows: list, pool: int
) -> None:
    """Time the states alone at another depth, and say how far it agrees with all layers."""
    encoder = make_encoder(workspace, folder / str(share), share)
    clock = Clock()
    encoder.encode(rows)
    clock.stop()
    agreed, _ = measure_agreement(encoder, task, canonical_order(rows, 0))
    shown = "" if agreed is None else f"; nearest {agreed.top} as all layers: {agreed.share:.0%}"
    print(
        f"states with {encoder.num_layers} of {encoder.all_layers} layers: "
        f"{clock.text(len(rows))}, {encoder.tokens_run:,} tokens{shown}; "
        f"{clock.extrapolate(len(rows), pool)} for {pool:,} rows"
    )


class Clock:
    """Wall and CPU time of a piece of work."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        """The work is done."""
        self.wall = time.perf_counter() - self._wall
        self.cpu = time.process_time() - self._cpu

    def text(self, rows: int) -> str:
        """What was measured."""
        speed = f"{rows / self.wall:,.1f} rows a second, {rows / self.cpu:,.1f} a CPU second"
        return f"measured {self.wall:.2f} s, {self.cpu:.2f} CPU s for {rows:,} rows ({speed})"

    def extrapolate(self, rows: int, whole: int) -> str:
        """The same for more rows, in proportion."""
        factor = whole / rows / 60
        return f"EXTRAPOLATED {self.wall * factor:.1f} min, {self.cpu * factor:.1f} CPU min"


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
