"""One mixture through every side: its ceiling, the rounds, the check of the first losses."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.train import report
from benchmarks.train.ceiling import Job, StepShape
from benchmarks.train.clock import PROFILED_STEPS
from benchmarks.train.losses import count_tail, find_difference
from benchmarks.train.measuring import FailedError, Measured, rank_environments, run_together
from benchmarks.train.mixtures import Case, read_rows, write_recipe
from benchmarks.train.sides import Ready, write_config
from levertune.models.rendering import ChatTokenizer, TokenizedExample
from levertune.models.row_tree import share_prefixes
from levertune.recipes.loading import load_recipe


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What was found on one mixture.

    Args:
        ceilings: By number of processes at once, what `ceiling.measure` found.
        runs: Every run.
        summaries: The sides.
        not_run: By side, why it is missing.
    """

    ceilings: dict[str, dict[str, float]]
    runs: list[dict[str, Any]]
    summaries: list[report.Summary]
    not_run: dict[str, str]


@dataclass(slots=True)
class Bench:
    """A place to measure in.

    Args:
        folder: An empty folder; everything a training writes goes there.
        model: Folder of the model.
        dtype: Number format of the weights.
        device: `cpu` or `cuda`.
        warmup: First steps left out of the clock.
    """

    folder: Path
    model: Path
    dtype: str
    device: str
    warmup: int
    _count: int = field(default=0, init=False)

    def measure(
        self, case: Case, ready: Sequence[Ready], rounds: int, steps: int | None
    ) -> CaseResult:
        """The rounds of one mixture.

        Args:
            case: The mixture.
            ready: The sides; those with a reason are not run.
            rounds: Runs of each side.
            steps: Steps of a run; None for the mixture's own.

        Returns:
            What was found.
        """
        work = self._prepare(case, steps)
        not_run = {one.side.name: one.why_not for one in ready if one.why_not}
        runners = [one for one in ready if one.why_not is None]
        ceilings = {
            str(count): self._ceiling(work, count)
            for count in sorted({one.side.processes for one in runners})
        }
        runs: list[dict[str, Any]] = []
        firsts: dict[str, Any] = {}
        for number in range(rounds):
            # Who goes first changes from round to round: a machine that warms up slows later ones.
            shift = number % max(1, len(runners))
            for one in [*runners[shift:], *runners[:shift]]:
                name = one.side.name
                if name in not_run:
                    continue
                try:
                    measured = self._run(one, work)
                except FailedError as error:
                    not_run[name] = str(error)
                    continue
                firsts.setdefault(name, measured.found[0].pop("first_rows"))
                runs.append(
                    {
                        "case": case.name,
                        "side": name,
                        "round": number,
                        "processes": one.side.processes,
                        "shares": one.side.trainer == "levertune",
                        **work.throughput(measured, self.warmup, together=one.side.together),
                    }
                )
                print(
                    f"{case.name}, round {number + 1}, {name}: "
                    f"{runs[-1]['tokens_per_second']:.0f} tokens/s",
                    flush=True,
                )
        losses = self._check(work, firsts)
        ran = [run for run in runs if run["side"] not in not_run]
        summaries = report.summarise(ran, ceilings, losses)
        return CaseResult(ceilings, runs, summaries, not_run)

    def profile(self, case: Case, one: Ready, steps: int | None) -> str:
        """The table of torch.profiler over two steps of one side.

        Raises:
            FailedError: If the side cannot be run.
        """
        if one.why_not:
            raise FailedError(f"{one.side.name}: not run: {one.why_not}")
        work = self._prepare(case, steps)
        needed = self.warmup + PROFILED_STEPS
        if len(work.steps) < needed:
            raise SystemExit(f"--steps: a profile needs {needed}; found {len(work.steps)}.")
        return self._run(one, work, "--profile-after", str(self.warmup)).tables[0]

    def _prepare(self, case: Case, steps: int | None) -> Work:
        steps = steps or case.steps
        if steps <= self.warmup:
            raise SystemExit(f"--steps: must be more than --warmup; found {steps}.")
        recipe = write_recipe(
            case,
            steps,
            self._next_folder(case.name),
            model=self.model,
            dtype=self.dtype,
            tokenizer=ChatTokenizer.from_folder(self.model),
        )
        return Work(recipe, read_rows(recipe), case.batch)

    def _run(self, one: Ready, work: Work, *options: str) -> Measured:
        together, count = one.side.together, one.side.processes
        configs = [
            write_config(
                one.side,
                work.recipe,
                self._next_folder(one.side.name),
                use_cpu=self.device == "cpu",
            )
            for _ in range(1 if together else count)
        ]
        if together:
            configs *= count
        return run_together(
            one.python,
            "driver",
            [(*options, one.side.trainer, str(config)) for config in configs],
            folders=[config.parent for config in configs],
            environments=rank_environments(count) if together else None,
            own_source=one.side.option is None,
        )

    def _ceiling(self, work: Work, processes: int) -> dict[str, float]:
        rank = load_recipe(work.recipe).training.lora_r
        steps, shared = work.shapes(shared=False), work.shapes(shared=True)
        job = Job(str(self.model), self.dtype, self.device, rank, steps, shared)
        path = job.write(self._next_folder("ceiling").with_suffix(".json"))
        found = _run_own("ceiling", path, processes)
        # Of several at once the rates add up; the work a token is the same for all.
        return {
            key: sum(one[key] for one in found) / (processes if key == "flops_per_token" else 1)
            for key in found[0]
        }

    def _check(self, work: Work, firsts: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """By side the float32 loss of its first step's rows, or why there is none."""
        ours = work.first_rows()
        found: dict[str, dict[str, Any]] = {}
        groups: list[Any] = []
        for name, rows in firsts.items():
            # levertune hands its trainer positions: its rows are those read here.
            rows = ours if name.startswith(report.OURS) else rows
            difference = find_difference(ours, rows)
            found[name] = {"note": difference}
            if rows is None:
                continue
            if rows not in groups:
                groups.append(rows)
            found[name] |= {"group": groups.index(rows), "tail": count_tail(ours, rows)}
        if groups:
            path = self._next_folder("losses").with_suffix(".json")
            path.write_text(
                json.dumps({"model": str(self.model), "groups": groups}), encoding="utf-8"
            )
            [job] = _run_own("losses", path, 1)
            for check in found.values():
                if "group" in check:
                    check["reference"] = job["losses"][check.pop("group")]
        return found

    def _next_folder(self, name: str) -> Path:
        self._count += 1
        return self.folder / f"{self._count:03}-{name}"


@dataclass(frozen=True, slots=True)
class Work:
    """A mixture's recipe and its rows.

    Args:
        recipe: The recipe.
        rows: Its rows, in training order.
        batch: Rows a step.
    """

    recipe: Path
    rows: list[TokenizedExample]
    batch: int

    @property
    def steps(self) -> list[list[TokenizedExample]]:
        """The rows of each step."""
        return [self.rows[i : i + self.batch] for i in range(0, len(self.rows), self.batch)]

    def first_rows(self) -> list[dict[str, list[int]]]:
        """Ids and labels of the first step."""
        return [{"ids": list(r.input_ids), "labels": list(r.labels)} for r in self.steps[0]]

    def shapes(self, *, shared: bool) -> tuple[StepShape, ...]:
        """What each step has to compute.

        Args:
            shared: Whether what rows have in common at their beginning is computed once.
        """
        shapes = []
        for step in self.steps:
            ids = [row.input_ids for row in step]
            lengths = tuple(map(len, ids))
            tokens = share_prefixes(ids).num_tokens if shared else sum(lengths)
            shapes.append(StepShape(tokens, sum(row.num_supervised for row in step), lengths))
        return tuple(shapes)

    def throughput(
        self, measured: Measured, warmup: int, *, together: bool = False
    ) -> dict[str, Any]:
        """What processes that trained at once did together.

        Tokens are levertune's own count for every side: the work is the same, whatever padding or
        line ends a trainer adds to it.

        Args:
            measured: What they left.
            warmup: First steps left out of the clock.
            together: Whether they shared the rows of one training, which ends with the last.

        Raises:
            FailedError: If one of them took another number of steps, or trained on other rows.
        """
        steps = self.steps
        timed = [row for step in steps[warmup:] for row in step]
        tokens = sum(len(row.input_ids) for row in timed)
        supervised = sum(row.num_supervised for row in timed)
        seconds = []
        for found in measured.found:
            self._require_all_steps(found)
            seconds.append(found["ends"][-1] - found["ends"][warmup - 1])
        if together:
            seconds = [max(seconds)]
        first = measured.found[0]
        last_step = max(first["losses"], key=int)
        device_peaks = [found["peak_device_bytes"] for found in measured.found]
        return {
            "tokens_per_second": sum(tokens / one for one in seconds),
            "supervised_per_second": sum(supervised / one for one in seconds),
            "seconds": seconds,
            "peak_bytes": measured.peak_bytes,
            "peak_device_bytes": None if None in device_peaks else sum(device_peaks),
            "first_loss": first["losses"]["1"],
            "final_loss": first["losses"][last_step],
            **{key: value for key, value in first.items() if key not in _PER_PROCESS},
        }

    def _require_all_steps(self, found: dict[str, Any]) -> None:
        """Refuse a training that left rows out, or cut them."""
        steps = self.steps
        if len(found["ends"]) != len(steps):
            raise FailedError(f"took {len(found['ends'])} steps instead of {len(steps)}")
        for number, (step, counted) in enumerate(zip(steps, found["tokens"], strict=False)):
            ours = sum(len(row.input_ids) for row in step)
            if counted["real"] < ours:
                raise FailedError(
                    f"trained on {counted['real']} tokens instead of {ours} in step {number + 1}"
                )


_PER_PROCESS = {"ends", "first_rows", "peak_device_bytes"}


def _run_own(module: str, job: Path, processes: int) -> list[dict[str, Any]]:
    """One of this package's own measurements, in so many processes at once."""
    return run_together(sys.executable, module, [(str(job),)] * processes).found
