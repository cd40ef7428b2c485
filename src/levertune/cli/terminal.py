"""What a command prints: notes, tables, JSON, and progress with the time left."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from levertune.data.printable import printable
from levertune.progress import Progress, SilentProgress, Stage

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

SECONDS_BETWEEN_LINES = 60.0
WIDTH_OF_FILES = 160


class Terminal:
    """The place a command prints to: results to standard output, the rest to standard error.

    Args:
        quiet: Print results, warnings and errors only.
        json: Print the result as JSON and nothing else to standard output.
    """

    def __init__(self, *, quiet: bool = False, json: bool = False) -> None:
        self.quiet = quiet
        self.json = json

    def note(self, text: str) -> None:
        """Say something on the way."""
        if not self.quiet:
            print(printable(text), file=sys.stderr)

    def warn(self, text: str) -> None:
        """Say something the user should not miss."""
        print(printable(f"warning: {text}"), file=sys.stderr)

    def say(self, text: str) -> None:
        """Print a line of the result."""
        if not self.json:
            print(printable(text))

    def result(self, value: Mapping[str, Any]) -> None:
        """Print the result for machines, if `--json` asks for it."""
        if self.json:
            print(json.dumps(value, indent=2, allow_nan=False, default=str))

    def table(
        self, columns: Sequence[str], rows: Sequence[Sequence[object]], title: str | None = None
    ) -> None:
        """Print a table, numbers to the right."""
        if self.json:
            return
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        is_terminal = sys.stdout.isatty()
        console = Console(file=sys.stdout, width=None if is_terminal else WIDTH_OF_FILES)
        heading = None if title is None else Text(printable(title), style="table.title")
        table = Table(title=heading, box=box.SIMPLE_HEAD, title_justify="left")
        for i, column in enumerate(columns):
            is_numeric = all(isinstance(row[i], int | float) for row in rows)
            table.add_column(Text(column), justify="right" if is_numeric else "left")
        for row in rows:
            table.add_row(*(Text(printable("" if cell is None else str(cell))) for cell in row))
        console.print(table)

    def progress(self) -> Progress:
        """A listener for long work: bars on a terminal, a line now and then elsewhere."""
        if self.quiet:
            return SilentProgress()
        return BarProgress() if sys.stderr.isatty() else LineProgress(sys.stderr)


def duration(seconds: float) -> str:
    """A time as people say it: `45 s`, `12 min`, `1 h 20 min`."""
    if seconds < 90:
        return f"{max(0, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


class _Pace:
    """Work done and time left. The first report is the base: it may hold work resumed from."""

    def __init__(self, total: int | None, clock: Callable[[], float]) -> None:
        self.done = 0
        self.total = total
        self._clock = clock
        self._base: tuple[float, int] | None = None

    def advance(self, n: int) -> None:
        self.done += n
        if self._base is None:
            self._base = (self._clock(), self.done)

    def seconds_left(self) -> float | None:
        if self.total is None or self._base is None:
            return None
        base_time, base_done = self._base
        since = self.done - base_done
        if since <= 0:
            return None
        return (self._clock() - base_time) / since * max(0, self.total - self.done)

    def words(self) -> str:
        left = self.seconds_left()
        return f"{duration(left)} left" if left is not None else ""


class LineProgress:
    """Plain lines, for logs: at most one a minute for a stage (docs/design.md says why any).

    Args:
        stream: Where the lines go.
        clock: Gives the time in seconds.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock

    @contextmanager
    def stage(self, name: str, total: int | None, unit: str = "step") -> Iterator[Stage]:
        """Begin a piece of work."""
        yield _LineStage(self._stream, self._clock, name, total, unit)

    def warn(self, text: str) -> None:
        """A line of its own."""
        print(printable(f"warning: {text}"), file=self._stream, flush=True)


class _LineStage:
    def __init__(
        self,
        stream: TextIO,
        clock: Callable[[], float],
        name: str,
        total: int | None,
        unit: str,
    ) -> None:
        self._stream = stream
        self._clock = clock
        self._name = name
        self._unit = unit
        self._pace = _Pace(total, clock)
        self._last_line = clock()

    def advance(self, n: int = 1, **info: object) -> None:
        """Say that `n` more units are done."""
        self._pace.advance(n)
        if self._clock() - self._last_line < SECONDS_BETWEEN_LINES:
            return
        self._last_line = self._clock()
        of_total = f"/{self._pace.total}" if self._pace.total is not None else ""
        parts = [f"{self._unit} {self._pace.done}{of_total}", _shown(info), self._pace.words()]
        line = f"{self._name}: {', '.join(part for part in parts if part)}"
        print(printable(line), file=self._stream, flush=True)


class BarProgress:
    """Bars on a terminal, one for each stage under way."""

    def __init__(self) -> None:
        self._bars: Bars | None = None
        self._open = 0

    @contextmanager
    def stage(self, name: str, total: int | None, unit: str = "step") -> Iterator[Stage]:
        """Begin a piece of work; its bar goes when it ends."""
        bars = self._bars or self._start()
        self._open += 1
        stage = _BarStage(bars, name, total, unit)
        try:
            yield stage
        finally:
            stage.end()
            self._open -= 1
            if not self._open:
                bars.stop()
                self._bars = None

    def warn(self, text: str) -> None:
        """A line above the bars."""
        line = printable(f"warning: {text}")
        if self._bars is None:
            print(line, file=sys.stderr)
        else:
            self._bars.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _start(self) -> Bars:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bars

        bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[words]}", markup=False),
            console=Console(stderr=True),
            transient=True,
        )
        bars.start()
        self._bars = bars
        return bars


class _BarStage:
    def __init__(self, bars: Bars, name: str, total: int | None, unit: str) -> None:
        self._bars = bars
        self._unit = unit
        self._pace = _Pace(total, time.monotonic)
        self._task = bars.add_task(printable(name), total=total, words="")

    def advance(self, n: int = 1, **info: object) -> None:
        """Say that `n` more units are done."""
        self._pace.advance(n)
        of_total = f"/{self._pace.total}" if self._pace.total is not None else ""
        parts = [f"{self._unit} {self._pace.done}{of_total}", self._pace.words(), _shown(info)]
        words = printable(", ".join(part for part in parts if part))
        self._bars.update(self._task, advance=n, words=words)

    def end(self) -> None:
        """Take the bar away."""
        self._bars.remove_task(self._task)


def _shown(info: Mapping[str, object]) -> str:
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in info.items()
    )
