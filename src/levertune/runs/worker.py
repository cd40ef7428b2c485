"""A process that works for the one that started it; as `python -m levertune.runs.worker`, on cells.

It reads JSON lines from standard input (what to prepare once, as `{"recipe": …, "quick": …}`, then
orders one by one, as `{"name": …, "cell": FOLDER}`) and writes JSON lines to standard output:
progress, answers, the error that stopped it. When its standard input ends it ends too, at once if
it is at work: so it never outlives a run that was killed, and leaves what a kill leaves. SIGTERM
tells it to save first.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from levertune.errors import Terminated, UserError
from levertune.progress import Progress, Stage
from levertune.recipes.recipe import Recipe
from levertune.results.full_disk import find_full_disk

EXIT_ORPHANED = 3
EXIT_TERMINATED = 143

Do = Callable[[dict[str, Any]], Any]
Prepare = Callable[[dict[str, Any], Progress], Do]


class _Pipe:
    """Events to the run, and the progress listener that makes some of them."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._numbers = itertools.count()

    def send(self, event: str, **content: object) -> None:
        """Write one event."""
        print(json.dumps({"event": event, **content}, default=str), file=self._stream, flush=True)

    @contextlib.contextmanager
    def stage(self, name: str, total: int | None, unit: str = "step") -> Iterator[Stage]:
        """Begin a piece of work."""
        number = next(self._numbers)
        self.send("stage", number=number, name=name, total=total, unit=unit)
        try:
            yield _PipeStage(self, number)
        finally:
            self.send("end", number=number)

    def warn(self, text: str) -> None:
        """Say something the user should not miss."""
        self.send("warn", text=text)


class _PipeStage:
    def __init__(self, pipe: _Pipe, number: int) -> None:
        self._pipe = pipe
        self._number = number

    def advance(self, n: int = 1, **info: object) -> None:
        """Say that `n` more units are done."""
        self._pipe.send("advance", number=self._number, n=n, info=info)


def serve(prepare: Prepare) -> int:
    """Do the work that comes in.

    Args:
        prepare: Gives, from what is told once, a function that does an order and gives the answer,
            plain JSON values.

    Returns:
        0 at the end of the input, 1 after an error, which was sent, 143 after SIGTERM.
    """
    signal.signal(signal.SIGTERM, _terminate)
    # What libraries print must not get between the events.
    events = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    pipe = _Pipe(events)
    orders: queue.Queue[dict[str, Any] | None] = queue.Queue()
    at_work = threading.Event()
    at_work.set()  # until the first cell is asked for, too, nothing may outlive the run
    threading.Thread(target=_listen, args=(orders, at_work), daemon=True).start()
    try:
        _work(prepare, pipe, orders, at_work)
    except KeyboardInterrupt:
        return EXIT_TERMINATED
    except UserError as error:
        pipe.send("error", kind=type(error).__name__, message=str(error))
        return 1
    except Exception as error:
        full = find_full_disk(error)
        if full is None:
            pipe.send("error", kind="fault", message=traceback.format_exc())
        else:
            pipe.send(
                "error",
                kind="full disk",
                number=full.errno,
                message=full.strerror,
                file=full.filename,
            )
        return 1
    return 0


def _terminate(*args: object) -> None:
    raise Terminated


def _work(
    prepare: Prepare,
    pipe: _Pipe,
    orders: queue.Queue[dict[str, Any] | None],
    at_work: threading.Event,
) -> None:
    first = orders.get()
    if first is None:
        return
    do = prepare(first, pipe)
    while True:
        at_work.clear()
        order = orders.get()
        at_work.set()
        if order is None:
            return
        pipe.send("done", answer=do(order))


def _listen(orders: queue.Queue[dict[str, Any] | None], at_work: threading.Event) -> None:
    for line in sys.stdin:
        orders.put(json.loads(line))
    orders.put(None)
    if at_work.is_set():
        os._exit(EXIT_ORPHANED)


def _prepare_cells(first: dict[str, Any], progress: Progress) -> Do:
    from levertune.runs.one_cell import do_cell
    from levertune.runs.prepare import prepare_run

    recipe = Recipe.model_validate(first["recipe"])
    prepared = prepare_run(recipe, quick=first["quick"], progress=progress)
    plans = {plan.folder: plan for plan in prepared.plans}

    def do(order: dict[str, Any]) -> str | None:
        failure = do_cell(prepared, prepared.build(plans[order["cell"]]), progress)
        return failure.reason if failure else None

    return do


if __name__ == "__main__":
    sys.exit(serve(_prepare_cells))
