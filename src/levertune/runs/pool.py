"""Cells in worker processes: hands them out, shows their progress, and stops with all of them."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from typing import Any

from levertune import errors
from levertune.errors import RunError, UserError
from levertune.progress import Progress, Stage
from levertune.recipes.recipe import Recipe
from levertune.results.full_disk import FullDiskError
from levertune.results.schema import Failure
from levertune.runs.jobs import Jobs

WORKER = [sys.executable, "-m", "levertune.runs.worker"]

_SECONDS_TO_LEAVE = 5.0


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
    pool = _Pool(recipe, deque(folders), jobs, progress, quick=quick)
    with pool.running():
        return pool.work()


class _Pool:
    def __init__(
        self, recipe: Recipe, folders: deque[str], jobs: Jobs, progress: Progress, *, quick: bool
    ) -> None:
        self._first = {"recipe": recipe.model_dump(mode="json"), "quick": quick}
        self._folders = folders
        self._jobs = jobs
        self._progress = progress
        self._workers: list[subprocess.Popen[str]] = []
        self._events: queue.Queue[tuple[int, dict[str, Any] | None]] = queue.Queue()
        self._open: dict[tuple[int, int], tuple[contextlib.ExitStack, Stage]] = {}

    @contextlib.contextmanager
    def running(self) -> Any:
        """The workers, started; all have ended when the context is left, whatever happened."""
        try:
            for _ in range(min(self._jobs.count, len(self._folders))):
                self._start_worker()
            yield
        finally:
            for worker in self._workers:
                with contextlib.suppress(OSError):
                    worker.stdin.close()  # type: ignore[union-attr]
            for worker in self._workers:
                try:
                    worker.wait(_SECONDS_TO_LEAVE)
                except subprocess.TimeoutExpired:
                    worker.kill()
                    worker.wait()
            for stack, _ in self._open.values():
                stack.close()

    def work(self) -> list[Failure]:
        """Hand out the cells until all are done."""
        failures = []
        at_work = {number: self._hand_out(number) for number in range(len(self._workers))}
        while any(at_work.values()):
            number, event = self._events.get()
            if event is None:
                if at_work[number]:
                    raise self._death_of(number, at_work[number])
            elif event["event"] == "done":
                if event["reason"] is not None:
                    failures.append(Failure(event["cell"], event["reason"]))
                at_work[number] = self._hand_out(number)
            elif event["event"] == "error":
                raise _error_of(event)
            else:
                self._show(number, event)
        return failures

    def _start_worker(self) -> None:
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": str(self._jobs.threads),
            # A metric of the user's own is found wherever this process would find it.
            "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
        }
        environment.setdefault("GOMP_SPINCOUNT", "1000")
        worker = subprocess.Popen(
            WORKER,
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

    def _send(self, number: int, order: dict[str, Any]) -> None:
        stream = self._workers[number].stdin
        with contextlib.suppress(BrokenPipeError):  # it has died; its end is an event of its own
            print(json.dumps(order), file=stream, flush=True)

    def _hand_out(self, number: int) -> str | None:
        if not self._folders:
            return None
        folder = self._folders.popleft()
        self._send(number, {"cell": folder})
        return folder

    def _show(self, number: int, event: dict[str, Any]) -> None:
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

    def _death_of(self, number: int, folder: str | None) -> Exception:
        status = self._workers[number].wait()
        if status < 0:
            return RunError(
                f"{folder}: the process doing this cell was killed (signal {-status}), perhaps for "
                "lack of memory. Type the same command again with --jobs 1; what is done is kept."
            )
        return RuntimeError(f"the process doing {folder} ended with status {status}")


def _error_of(event: dict[str, Any]) -> Exception:
    """The error a worker met, as this process would have raised it."""
    if event["kind"] == "full disk":
        return FullDiskError(event["number"], event["message"], event["file"])
    kind = getattr(errors, event["kind"], None)
    if isinstance(kind, type) and issubclass(kind, UserError):
        return kind(event["message"])
    return RuntimeError(f"a worker met a fault:\n{event['message']}")
