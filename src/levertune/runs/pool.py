"""Work in several processes: handed out, its progress shown, and all of them stopped together."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

from levertune import errors
from levertune.errors import RunError, UserError
from levertune.progress import Progress, Stage
from levertune.recipes.recipe import Recipe
from levertune.results.full_disk import FullDiskError
from levertune.results.schema import Failure
from levertune.runs.jobs import Jobs

CELL_WORKER = "levertune.runs.worker"

_SECONDS_TO_LEAVE = 5.0
_SECONDS_TO_SAVE = 60.0
"""How long workers may finish the step under way and save it after Ctrl-C or SIGTERM."""


def do_cells_in_workers(
    recipe: Recipe, folders: Sequence[str], jobs: Jobs, progress: Progress, *, quick: bool = False
) -> list[Failure]:
    """Do cells, several at once, each by `runs.one_cell.do_cell` in a process of its own.

    Args:
        recipe: The recipe, as the run was given it.
        folders: Folders of the cells below the run folder, the longest first.
        jobs: How many at once, and with how many threads.
        progress: Where to show progress.
        quick: As for the run.

    Returns:
        The cells that failed.

    Raises:
        UserError: As `do_cell`; the other workers are stopped, what they wrote is kept.
        FullDiskError: If the disk is full.
        RuntimeError: If a worker ended by a fault of levertune.
    """
    first = {"recipe": recipe.model_dump(mode="json"), "quick": quick}
    orders = [{"name": folder, "cell": folder} for folder in folders]
    with WorkerPool(CELL_WORKER, first, jobs, progress) as pool:
        answers = list(pool.work(orders))
    return [Failure(folders[i], reason) for i, reason in answers if reason is not None]


class WorkerPool:
    """Processes that each do one piece of work at a time; none outlives the context.

    Args:
        module: The module each of them runs; it calls `runs.worker.serve`.
        first: What they are told once, at their start.
        jobs: How many there are at most, and with how many threads.
        progress: Where to show their progress.
    """

    def __init__(
        self, module: str, first: Mapping[str, Any], jobs: Jobs, progress: Progress
    ) -> None:
        self._command = worker_command(module)
        self._first = first
        self._jobs = jobs
        self._progress = progress
        self._workers: list[subprocess.Popen[str]] = []
        self._events: queue.Queue[tuple[int, dict[str, Any] | None]] = queue.Queue()
        self._open: dict[tuple[int, int], tuple[contextlib.ExitStack, Stage]] = {}
        self._ended: set[int] = set()

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if isinstance(error, KeyboardInterrupt):
                self._let_save()
        finally:  # a second Ctrl-C ends them at once
            self._end_workers()
        for stack, _ in self._open.values():
            stack.close()

    def _let_save(self) -> None:
        """Have the trainings at work save what they have, and end."""
        for worker in self._workers:
            worker.terminate()
        deadline = time.monotonic() + _SECONDS_TO_SAVE
        for worker in self._workers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.wait(max(0.0, deadline - time.monotonic()))

    def _end_workers(self) -> None:
        for worker in self._workers:
            if worker.stdin is not None:
                with contextlib.suppress(OSError):
                    worker.stdin.close()
        for worker in self._workers:
            try:
                worker.wait(_SECONDS_TO_LEAVE)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()

    def work(self, orders: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, Any]]:
        """Hand out work until all of it is done.

        Args:
            orders: What to do, in the order it is handed out; `name` is what errors call it.

        Yields:
            Index of an order that is done, and the answer to it, as they come.

        Raises:
            UserError: If a worker met one.
            FullDiskError: If the disk is full.
            RuntimeError: If a worker ended by a fault of levertune.
        """
        waiting = deque(range(len(orders)))
        at_work: dict[int, int] = {}
        while len(self._workers) < min(self._jobs.count, len(orders)):
            self._start_worker()

        def hand_out(number: int) -> None:
            if waiting:
                at_work[number] = waiting.popleft()
                if number in self._ended:
                    raise self._death_of(number, str(orders[at_work[number]]["name"]))
                self._send(number, orders[at_work[number]])

        for number in range(len(self._workers)):
            hand_out(number)
        while at_work:
            number, event = self._events.get()
            if event is None:
                self._ended.add(number)
                if number in at_work:
                    raise self._death_of(number, str(orders[at_work[number]]["name"]))
            elif event["event"] == "done":
                done = at_work.pop(number)
                hand_out(number)
                yield done, event["answer"]
            elif event["event"] == "error":
                raise _error_of(event)
            else:
                self._show(number, event)

    def _start_worker(self) -> None:
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": str(self._jobs.threads),
            # A metric of the user's own is found wherever this process would find it.
            "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
        }
        environment.setdefault("GOMP_SPINCOUNT", "1000")
        worker = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=environment,
            # Ctrl-C reaches this process alone, which then lets the workers go.
            start_new_session=True,
        )
        number = len(self._workers)
        self._workers.append(worker)
        threading.Thread(target=self._listen, args=(number, worker), daemon=True).start()
        self._send(number, self._first)

    def _listen(self, number: int, worker: subprocess.Popen[str]) -> None:
        for line in worker.stdout or ():
            self._events.put((number, json.loads(line)))
        self._events.put((number, None))

    def _send(self, number: int, order: Mapping[str, Any]) -> None:
        stream = self._workers[number].stdin
        with contextlib.suppress(BrokenPipeError):  # it has died; its end is an event of its own
            print(json.dumps(order), file=stream, flush=True)

    def _show(self, number: int, event: dict[str, Any]) -> None:
        if event["event"] == "warn":
            self._progress.warn(event["text"])
            return
        key = (number, event["number"])
        if event["event"] == "stage":
            stack = contextlib.ExitStack()
            stage = stack.enter_context(
                self._progress.stage(event["name"], event["total"], event["unit"])
            )
            self._open[key] = (stack, stage)
        elif event["event"] == "advance":
            self._open[key][1].advance(event["n"], **event["info"])
        else:
            self._open.pop(key)[0].close()

    def _death_of(self, number: int, name: str) -> Exception:
        status = self._workers[number].wait()
        if status < 0:
            return RunError(
                f"{name}: the process doing this was killed (signal {-status}), perhaps for lack "
                "of memory. Type the same command again with --jobs 1; what is done is kept."
            )
        return RuntimeError(f"the process doing {name} ended with status {status}")


def worker_command(module: str) -> list[str]:
    """The command that starts a worker."""
    return [sys.executable, "-m", module]


def _error_of(event: dict[str, Any]) -> Exception:
    """The error a worker met, as this process would have raised it."""
    if event["kind"] == "full disk":
        return FullDiskError(event["number"], event["message"], event["file"])
    kind = getattr(errors, event["kind"], None)
    if isinstance(kind, type) and issubclass(kind, UserError):
        return kind(event["message"])
    return RuntimeError(f"a worker met a fault:\n{event['message']}")
