"""Whether a training survives what happens to trainings: one line a case, and all must be `ok`.

    python benchmarks/faults/run.py [--model embedded] [--kills 20] [--seed 0] [--only WORDS]

Each case is a `levertune train` in a process of its own (forked, so that libraries are loaded once;
hence not on Windows). Its adapter and log must end bit for bit as those of a training that nothing
happened to. The tiny model has random weights; `embedded` is SmolLM2-135M-Instruct.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from training import Training, has_ended, wait, write_tiny_model

EMBEDDED = "HuggingFaceTB/SmolLM2-135M-Instruct"
Finding = tuple[bool, str]


class Cases:
    """The cases, against one unbroken training.

    Args:
        folder: Where everything is written.
        model: The base model.
        draw: Draws the moments.
    """

    def __init__(self, folder: Path, model: str, draw: random.Random) -> None:
        self._folder, self._model, self._draw = folder, model, draw
        self._numbers = iter(range(1_000_000))
        unbroken = self._fresh()
        started = time.monotonic()
        status = unbroken.go_on()
        self.seconds = time.monotonic() - started
        if status != 0:
            raise SystemExit(f"the unbroken training failed:\n{unbroken.output}")
        self._whole, self._whole_cell = unbroken.outcome(), unbroken.cell

    def _fresh(self, dtype: str = "auto") -> Training:
        return Training(f"run-{next(self._numbers)}", self._folder, self._model, dtype)

    def _end(self, training: Training, said: str, *expected: bool) -> Finding:
        """Go on to the end and compare."""
        status = training.go_on()
        same = status == 0 and training.outcome() == self._whole
        is_good = same and all(expected)
        shutil.rmtree(training.cell.parents[2])
        verdict = "same adapter and log" if same else f"ANOTHER END (status {status})"
        return is_good, f"{said}; {verdict}"

    def kill(self) -> Finding:
        """SIGKILL at a random moment."""
        while True:
            training, moment = self._fresh(), self._draw.uniform(0, self.seconds)
            child = training.start()
            time.sleep(moment)
            if not has_ended(child):
                break
            wait(child)
        os.kill(child, signal.SIGKILL)
        wait(child)
        step = max(training.whole_steps(), default=0)
        half = (
            " while one was written" if list(training.cell.glob("checkpoints/.partial/*")) else ""
        )
        return self._end(training, f"at {moment:.2f} s{half}, goes on from step {step}")

    def kill_until_done(self) -> Finding:
        """One training killed again and again, until it ends before the next kill."""
        training, steps = self._fresh(), []
        while True:
            child = training.start()
            time.sleep(self._draw.uniform(0.3, 1.0) * self.seconds)
            if has_ended(child):
                break
            os.kill(child, signal.SIGKILL)
            wait(child)
            steps.append(max(training.whole_steps(), default=0))
        wait(child)
        return self._end(training, f"{len(steps)} times, at steps {steps}")

    def ask_to_end(self, number: signal.Signals, expected: int) -> Finding:
        """Ctrl-C or SIGTERM: it saves the step, then ends with a status of its own."""
        training = self._fresh()
        child = training.start(save_steps=10)
        training.wait_for_checkpoints(1, child)
        time.sleep(self._draw.uniform(0, 0.2) * self.seconds)
        before = training.steps()[-1:]
        os.kill(child, number)
        status = wait(child)
        said = "to go on: levertune train" in training.output
        steps = training.whole_steps()
        line = f"status {status}, saved steps {before} before and {steps} after"
        return self._end(training, line, status == expected, said, steps[-1:] > before)

    def full_disk(self) -> Finding:
        """The kernel refuses to write the third checkpoint."""
        training = self._fresh()
        status = training.go_on(_fill_the_disk)
        said = "the disk is full" in training.output and "Traceback" not in training.output
        steps = training.whole_steps()
        line = f"status {status}, whole checkpoints {steps}"
        return self._end(training, line, status == 2, said, steps == [4, 8])

    def damage(self, how: Callable[[Path], None], name: str) -> Finding:
        """The newest checkpoint is not as it was written."""
        training = self._fresh()
        child = training.start()
        training.wait_for_checkpoints(3, child)
        os.kill(child, signal.SIGKILL)
        wait(child)
        newest = training.steps()[-1]
        how(training.cell / "checkpoints" / f"checkpoint-{newest}" / name)
        before = training.whole_steps()[-1]
        found, line = self._end(training, f"{name} of step {newest}, goes on from {before}")
        told = f"checkpoint-{newest}: is damaged; {name}" in training.output
        return found and told, line + ("" if told else ", BUT DOES NOT SAY SO")

    def two_runs(self) -> Finding:
        """A second training in the folder is refused; the lock ends with its owner."""
        training = self._fresh()
        first = training.start()
        training.wait_for_checkpoints(1, first)
        status = training.go_on()
        told = "is under way in this folder already" in training.output
        os.kill(first, signal.SIGKILL)
        wait(first)
        return self._end(training, f"second refused with status {status}", status == 2, told)

    def no_number(self) -> Finding:
        """The loss of a step is NaN."""
        training = self._fresh()
        status = training.go_on(_spoil_a_loss)
        told = "step 14: the loss is nan" in training.output and "-12 is good" in training.output
        line = f"status {status}, step 14 and checkpoint-12 named"
        return self._end(training, line, status == 2, told)

    def little_memory(self) -> Finding:
        """Torch's allocator refuses passes of more than two rows.

        In float32: smaller passes add up in another order, and Adam makes much of how bfloat16
        rounds that.
        """
        import torch
        from safetensors.torch import load_file

        training = self._fresh("float32")
        status = training.go_on(_take_memory_away, lora_dropout=0.0)
        told = training.output.count("memory ran out; it is taken again")
        plain = self._fresh("float32")
        plain.go_on(lora_dropout=0.0)
        name = "adapter/adapter_model.safetensors"
        split, whole = load_file(training.cell / name), load_file(plain.cell / name)
        both = [torch.cat([w[k].flatten() for k in sorted(whole)]) for w in (split, whole)]
        distance = float((both[0] - both[1]).norm() / both[1].norm())
        line = f"status {status}, {told} retries; weights differ by {distance:.1e} (rounding)"
        return status == 0 and told > 0 and distance < 0.01, line

    def all(self, kills: int) -> Iterator[tuple[str, Callable[[], Finding]]]:
        """Names and cases."""
        for number in range(1, kills + 1):
            yield f"SIGKILL {number:2}", self.kill
        yield "SIGKILL again and again", self.kill_until_done
        yield "Ctrl-C", partial(self.ask_to_end, signal.SIGINT, 130)
        yield "SIGTERM", partial(self.ask_to_end, signal.SIGTERM, 143)
        yield "full disk", self.full_disk
        yield "truncated checkpoint", partial(self.damage, _truncate, "optimizer.pt")
        yield "flipped bit", partial(self.damage, _flip_a_bit, "adapter_model.safetensors")
        yield "two runs in one folder", self.two_runs
        yield "loss is no number", self.no_number
        yield "out of memory", self.little_memory


def _fill_the_disk() -> None:
    import torch

    save, calls = torch.save, []

    def fill(content: object, path: Any) -> None:
        calls.append(path)  # optimizer, schedule and random numbers of each checkpoint
        save(content, path if len(calls) <= 6 else "/dev/full")

    torch.save = fill  # type: ignore[assignment]


def _spoil_a_loss() -> None:
    from levertune.training.trainer import StepTrainer

    loss = StepTrainer._micro_batch_loss

    def spoiled(self, *args):
        found, by_row = loss(self, *args)
        return found * (float("nan") if self.state.global_step == 13 else 1.0), by_row

    StepTrainer._micro_batch_loss = spoiled  # type: ignore[method-assign]


def _take_memory_away() -> None:
    import torch

    from levertune.training.trainer import StepTrainer

    loss = StepTrainer._micro_batch_loss

    def refused(self, model, examples, *args):
        found = loss(self, model, examples, *args)
        if len(examples) > 2:
            torch.empty(1 << 55, dtype=torch.uint8)
        return found

    StepTrainer._micro_batch_loss = refused  # type: ignore[method-assign]


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def main() -> int:
    """Do the cases; 1 if one of them failed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="tiny", help="tiny, embedded, or a model's name")
    parser.add_argument("--kills", type=int, default=20, help="trainings killed at random")
    parser.add_argument("--seed", type=int, default=0, help="draws the moments")
    parser.add_argument("--only", default="", help="the cases with these words in their names")
    args = parser.parse_args()
    import torch

    import levertune.runs.stages
    import levertune.training.saving
    import levertune.training.trainer  # noqa: F401  # loaded once, before the processes part

    gc.freeze()  # the engine collects garbage at each line of the log: long among so many modules
    if args.model == "tiny":
        torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        names = {"tiny": lambda: write_tiny_model(folder / "tiny"), "embedded": lambda: EMBEDDED}
        model = names.get(args.model, lambda: args.model)()
        cases = Cases(folder, model, random.Random(args.seed))
        print(f"unbroken: {cases.seconds:.1f} s, model {args.model}, seed {args.seed}", flush=True)
        failed = 0
        chosen = [(name, case) for name, case in cases.all(args.kills) if args.only in name]
        if not chosen:
            raise SystemExit(f"--only: no case is named so; found {args.only!r}.")
        for name, case in chosen:
            is_good, line = case()
            failed += not is_good
            print(f"{'ok    ' if is_good else 'FAILED'} {name}: {line}", flush=True)
    print(f"{failed} failed" if failed else "all ended as they should")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
