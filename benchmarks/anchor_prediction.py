"""Whether figures of an anchor under the untrained model tell the score after training.

Run, when the grid of `benchmarks/evidence/anchor_prediction_grid.yaml` is done (its first lines
say how):
    python benchmarks/anchor_prediction.py [--rows 48] [--to results/anchor_prediction.json]

Each anchor of the grid is scored as `levertune anchor score` does it, on training rows (a minute or
two a task). Spearman's rank correlation of each figure with what its run reached is pooled within
the tasks; the interval covers the choice of anchors. "At equal length" is the partial correlation,
given the anchor's tokens: a long anchor moves every figure. Test rows serve the outcome only.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import yaml

from levertune.recipes.loading import load_recipe
from levertune.results.anchor_scores import AnchorScore
from levertune.results.files import write_text_atomically
from levertune.runs.anchor_candidates import score_candidates
from levertune.runs.task_view import view_task
from levertune.scoring.intervals import Interval
from levertune.scoring.rank_correlation import RankCorrelation, rank_correlation

sys.path.insert(0, str(Path(__file__).parent / "evidence"))
from run_grid import Run, expand

LENGTH = "tokens_per_request"
PROXIES = ("nll", "auc", "silhouette", "energy", "spread", "tokens_per_request")
OUTCOMES = ("score", "task_nll")
SEED = 0


def main() -> None:
    args = _parse()
    grid = yaml.safe_load(args.grid.read_text(encoding="utf-8"))
    found: dict[str, dict[str, dict[str, float | None]]] = {}
    for recipe in grid["recipes"]:
        runs = [run for run in expand(grid) if str(run.recipe) == recipe]
        done = [run for run in runs if run.kept(SEED) is not None]
        if len(done) < len(runs):
            print(f"{recipe}: {len(runs) - len(done)} of {len(runs)} runs are not done")
        if done:
            found[Path(recipe).stem] = measure(done, args.rows)
    if not found:
        raise SystemExit("no run is done: see the first command above")
    correlations = {
        (proxy, outcome, given): correlate(found, proxy, outcome, given)
        for given in (None, LENGTH)
        for proxy in PROXIES
        for outcome in OUTCOMES
        if proxy != given
    }
    show(found, correlations)
    written = {
        "anchors": found,
        "correlations": [
            {
                "proxy": proxy,
                "outcome": outcome,
                "given": given,
                "pooled": _ends(one.pooled),
                "by_task": {task: _ends(interval) for task, interval in one.by_group},
            }
            for (proxy, outcome, given), one in correlations.items()
        ],
    }
    write_text_atomically(args.to, json.dumps(written, indent=1, allow_nan=False) + "\n")


def measure(runs: list[Run], max_rows: int) -> dict[str, dict[str, float | None]]:
    """Figures before and after training, by variant."""
    texts = {run.variant: str(run.settings["anchor.text"]) for run in runs}
    settings = {key: value for key, value in runs[0].settings.items() if key != "anchor.text"}
    recipe = load_recipe(
        runs[0].recipe, [f"{key}={json.dumps(value)}" for key, value in settings.items()]
    )
    view = view_task(recipe)
    scored = score_candidates(recipe, view, list(texts.values()), max_rows=max_rows)
    by_text: dict[str, AnchorScore] = {score.text: score for score in scored.scores}
    found = {}
    for run in runs:
        cell = run.kept(SEED)
        if cell is None:
            continue
        score = by_text[texts[run.variant].strip()]
        found[run.variant] = {
            **{proxy: getattr(score, proxy) for proxy in PROXIES},
            "score": cell.score.aggregate(),
            "task_nll": cell.nll["task"].aggregate(),
        }
    return found


def correlate(
    found: dict[str, dict[str, dict[str, float | None]]],
    proxy: str,
    outcome: str,
    given: str | None,
) -> RankCorrelation:
    """The correlation over the anchors that have all the figures."""
    groups, lengths = {}, {}
    for task, anchors in found.items():
        figures = [
            (x, y, one[given or LENGTH] or 0.0)
            for one in anchors.values()
            if (x := one[proxy]) is not None and (y := one[outcome]) is not None
        ]
        groups[task] = ([x for x, _, _ in figures], [y for _, y, _ in figures])
        lengths[task] = [z for _, _, z in figures]
    return rank_correlation(groups, given=lengths if given else None, seed=SEED)


def show(
    found: dict[str, Any], correlations: dict[tuple[str, str, str | None], RankCorrelation]
) -> None:
    """Print the correlations as a Markdown table."""
    tasks = list(found)
    print("\n| before training | after | pooled | " + " | ".join(tasks) + " |")
    print("| --- | --- | ---: |" + " ---: |" * len(tasks))
    for (proxy, outcome, given), one in correlations.items():
        cells = [_shown(one.pooled), *(_shown(interval) for _, interval in one.by_group)]
        name = f"{proxy}, at equal length" if given else proxy
        print(f"| {name} | {outcome} | " + " | ".join(cells) + " |")


def _shown(interval: Interval) -> str:
    if interval.value is None:
        return interval.method
    if interval.low is None or interval.high is None:
        return f"{interval.value:+.2f}"
    return f"{interval.value:+.2f} [{interval.low:+.2f}, {interval.high:+.2f}] ({interval.n})"


def _ends(interval: Interval) -> dict[str, float | int | None]:
    return {"value": interval.value, "low": interval.low, "high": interval.high, "n": interval.n}


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    grid = Path("benchmarks/evidence/anchor_prediction_grid.yaml")
    parser.add_argument("--grid", type=Path, default=grid)
    parser.add_argument("--rows", type=int, default=48, help="most task rows to score on")
    parser.add_argument("--to", type=Path, default=Path("results/anchor_prediction.json"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
