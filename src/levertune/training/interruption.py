"""Ctrl-C and SIGTERM while a training is under way: its step is finished and saved first."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any, NoReturn

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_WAIT = b"\nthe step under way is finished and saved first; Ctrl-C again stops at once\n"


class StopRequest:
    """Notes the first signal instead of ending the process; a second one acts as it always would.

    Who holds it delivers the signal when the step is saved; where the step fails, leaving does.

    A signal that the process ignores, or that is handled outside of Python, is left alone; so are
    all of them in a thread, where Python takes none.
    """

    def __init__(self) -> None:
        self._number: int | None = None
        self._before: dict[int, Any] = {}

    @property
    def is_made(self) -> bool:
        """Whether the process was asked to end."""
        return self._number is not None

    @property
    def number(self) -> int:
        """The signal; 0 if there was none."""
        return self._number or 0

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.is_made and isinstance(error, Exception):
            self.deliver()  # else the error would be taken for all that happened
        self._give_back()

    def deliver(self, number: int | None = None) -> NoReturn:
        """Let the signal do what it would have done, now that everything is saved.

        Args:
            number: The signal, where another process had it; this one's own if None.

        Raises:
            KeyboardInterrupt: For Ctrl-C, and for any signal that does not end the process itself.
        """
        self._give_back()
        signal.raise_signal(number or self._number or signal.SIGINT)
        raise KeyboardInterrupt  # whoever handles it may just have noted it; training has stopped

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._number is not None:
            self._give_back()
            signal.raise_signal(number)
            return
        self._number = number
        if sys.stderr is not None and sys.stderr.isatty():
            os.write(2, _WAIT)  # not print: the signal may have come in the middle of one

    def _give_back(self) -> None:
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, handler)
