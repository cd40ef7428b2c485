"""Whether anchors of a trained generator (`anchor learn`) beat those of the way `template`.

Run:
    python benchmarks/anchor_transfer.py run [--tasks 2] [--seeds 1] [--set KEY=VALUE ...]
    python benchmarks/anchor_transfer.py table [--to results/anchor_transfer.json]

A generator learns without six kinds of made-up task, and without the pool's kinds most like them.
For each task of those six, TELL is trained on 24 rows and tested on 64, with three anchors: the
generator's (of its candidates the one under which the untrained model finds the training rows'
answers likeliest), the template's, and the sentence that the task was made with, which no way to
write one is meant to beat by much. Where the generator gives no usable text, its anchor is the
template's, as a user's would be, and the table says so. The unit is the kind: an interval over the
kinds' mean differences covers kinds, tasks and rows, and as much of the luck of training as
`--seeds` draws. What is done is kept, so a run that was killed goes on; once there is a generator,
two calls with other `--kinds` may work at once. On two cores: a quarter of an hour for the
generator, and three quarters for the 36 trainings, two at once (LOG.md, 2026-11-23).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from levertune.anchors.transfer.catalog import MadeTask, make_task
from levertune.recipes.loading import apply_overrides, recipe_from_mapping
from levertune.recipes.recipe import Recipe
from levertune.results.files import write_json_atomically, write_text_atomically
from levertune.results.schema import RESULT_FILE
from levertune.runs.anchor_candidates import Way, score_candidates, suggest_anchors
from levertune.runs.anchor_learning import DEFAULT_PAIRS, learn_generator
from levertune.runs.compare import compare_runs
from levertune.runs.run import run_recipe
from levertune.runs.task_view import view_task
from levertune.scoring.intervals import t_interval

KINDS = (
    "topic-code", "two-part-code", "date-notation", "ranked-list", "sentence-to-json",
    "joined-words",
)  # fmt: skip
LIKE_THEM = ("message-to-code", "visit-coding", "field-extraction", "house-notation")
ANCHORS = ("transfer", "template", "stated")
TRAIN_ROWS, TEST_ROWS = 24, 64
FIGURES = ("exact_match", "nll.task")


@dataclass(frozen=True)
class Case:
    """One task of a kind held out.

    Args:
        task: The task.
        folder: Where its rows, anchors and runs go.
        seeds: Training seeds.
        overrides: Settings of every run.
    """

    task: MadeTask
    folder: Path
    seeds: int
    overrides: tuple[str, ...]

    @property
    def name(self) -> str:
        """Kind and seed."""
        return f"{self.task.kind}-{self.task.seed}"

    def recipe(self, anchor: str | None, name: str) -> Recipe:
        """TELL with one anchor."""
        mapping = {
            "task": {
                "path": str(self.folder / "train.jsonl"),
                "test": str(self.folder / "test.jsonl"),
                "exposures": 24,
            },
            "anchor": {"text": anchor},
            "general": {"rows": 150},
            "evaluation": {"general_heldout": 0, "retention_rows": 16},
            "arms": ["tell"],
            "seeds": self.seeds,
            "output_dir": str(self.folder / name),
        }
        return recipe_from_mapping(apply_overrides(mapping, self.overrides))


def main() -> None:
    """Do what is not done, or print what there is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("verb", choices=("run", "table"))
    parser.add_argument("--output", type=Path, default=Path("runs/anchor_transfer"))
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--tasks", type=int, default=2, help="tasks of each kind")
    parser.add_argument("--seeds", type=int, default=1, help="trainings with each anchor")
    parser.add_argument("--pairs", type=int, default=DEFAULT_PAIRS, help="pairs to learn from")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="for every run")
    parser.add_argument(
        "--set-learn", nargs="+", default=[], metavar="KEY=VALUE", help="for the generator"
    )
    parser.add_argument("--to", type=Path, help="write ids and numbers there")
    args = parser.parse_args()
    cases = [
        Case(
            make_task(kind, seed, TRAIN_ROWS + TEST_ROWS),
            args.output / f"{kind}-{seed}",
            args.seeds,
            tuple(args.set),
        )
        for seed in range(args.tasks)
        for kind in args.kinds
    ]
    if args.verb == "run":
        generator = args.output / "generator"
        print("generator", flush=True)
        learn_generator(
            generator,
            num_pairs=args.pairs,
            hold_out=(*KINDS, *LIKE_THEM),
            overrides=args.set_learn,
            say=lambda line: print(f"  {line}", flush=True),
        )
        for case in cases:
            run_case(case, generator)
    finished = [case for case in cases if is_done(case)]
    print("\n".join(table(finished)))
    if args.to is not None:
        write_json_atomically(args.to, public(finished))


def is_done(case: Case) -> bool:
    """Whether all three runs are."""
    return all((case.folder / name / RESULT_FILE).is_file() for name in ANCHORS)


def run_case(case: Case, generator: Path) -> None:
    """Train and test with each anchor, unless that was done."""
    if is_done(case):
        return
    print(case.name, flush=True)
    write_rows(case)
    anchors = find_anchors(case, generator)
    for name in ANCHORS:
        if not (case.folder / name / RESULT_FILE).is_file():
            print(f"  {name}: {anchors[name]['text']!r}", flush=True)
            run_recipe(case.recipe(anchors[name]["text"], name), jobs=1)


def write_rows(case: Case) -> None:
    """The first rows of the task to train on, the others to test on."""
    rows = [
        json.dumps({"id": row.id, "prompt": row.user_text, "completion": row.completion}) + "\n"
        for row in case.task.rows
    ]
    case.folder.mkdir(parents=True, exist_ok=True)
    write_text_atomically(case.folder / "train.jsonl", "".join(rows[:TRAIN_ROWS]))
    write_text_atomically(case.folder / "test.jsonl", "".join(rows[TRAIN_ROWS:]))


def find_anchors(case: Case, generator: Path) -> dict[str, dict[str, Any]]:
    """The three anchors, kept once they are found."""
    path = case.folder / "anchors.json"
    if path.is_file():
        return dict(json.loads(path.read_text(encoding="utf-8")))
    recipe = case.recipe("auto", "none")
    view = view_task(recipe)
    store = case.folder / "answers.jsonl"
    ways: tuple[Way, ...] = ("template", "transfer")
    found = suggest_anchors(recipe, view, ways=ways, generator=generator, store=store).candidates
    [template] = [one for one in found if one.way == "template"]
    written = [one for one in found if one.way == "transfer"]
    best = template
    if written:
        scored = score_candidates(recipe, view, [one.text for one in written], max_rows=TRAIN_ROWS)
        losses = [float("inf") if s.nll is None else s.nll for s in scored.scores]
        best = written[losses.index(min(losses))]
    count = view.workspace.tokenizer.count
    texts = {"transfer": best.text, "template": template.text, "stated": case.task.anchor}
    anchors: dict[str, dict[str, Any]] = {
        name: {"text": text, "tokens": count(text)} for name, text in texts.items()
    }
    anchors["transfer"]["candidates"] = len(written)
    anchors["transfer"]["seconds"] = round(sum(one.cost.seconds for one in written), 2)
    write_json_atomically(path, anchors)
    return anchors


def differences(case: Case, name: str) -> dict[str, float]:
    """What an anchor gained over the template's, by figure; positive is better."""
    compared = compare_runs(case.folder / name, case.folder / "template")
    found = {one.metric: one.difference.value for one in compared.differences}
    signs = {"exact_match": 100.0, "nll.task": -1.0}
    return {key: signs[key] * value for key in FIGURES if (value := found.get(key)) is not None}


def by_kind(cases: Sequence[Case], name: str, figure: str) -> list[float]:
    """The mean difference of each kind."""
    kinds: dict[str, list[float]] = {}
    for case in cases:
        found = differences(case, name)
        if figure in found:
            kinds.setdefault(case.task.kind, []).append(found[figure])
    return [fmean(values) for values in kinds.values()]


def table(cases: Sequence[Case]) -> Iterator[str]:
    """A row a task, then the means over kinds: points of exact match, nats a token, both gained."""
    yield "| task | candidates | transfer: points | nats | stated: points | nats |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    for case in cases:
        anchors = json.loads((case.folder / "anchors.json").read_text(encoding="utf-8"))
        cells = [
            f"{differences(case, name).get(figure, float('nan')):+.3f}"
            for name in ("transfer", "stated")
            for figure in FIGURES
        ]
        yield f"| {case.name} | {anchors['transfer']['candidates']} | {' | '.join(cells)} |"
    for name in ("transfer", "stated"):
        for figure in FIGURES:
            yield f"{name} against template, {figure}: {_mean(by_kind(cases, name, figure))}"


def _mean(values: Sequence[float]) -> str:
    interval = t_interval(values)
    if interval.value is None:
        return "nothing finished"
    if interval.low is None or interval.high is None:
        return f"{interval.value:+.3f}, one kind, no interval"
    return (
        f"{interval.value:+.3f}, 95 % interval [{interval.low:+.3f}, {interval.high:+.3f}], "
        f"{len(values)} kinds"
    )


def public(cases: Sequence[Case]) -> dict[str, Any]:
    """Ids and numbers, no texts."""
    tasks = []
    for case in cases:
        anchors = json.loads((case.folder / "anchors.json").read_text(encoding="utf-8"))
        tasks.append(
            {
                "task": case.name,
                "seeds": case.seeds,
                "tokens": {name: anchors[name]["tokens"] for name in ANCHORS},
                "candidates": anchors["transfer"]["candidates"],
                "against_template": {n: differences(case, n) for n in ("transfer", "stated")},
            }
        )
    means = {
        name: {figure: _mean(by_kind(cases, name, figure)) for figure in FIGURES}
        for name in ("transfer", "stated")
    }
    return {"tasks": tasks, "over_kinds": means}


if __name__ == "__main__":
    main()
