"""How long work tells its progress, without knowing who listens."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Stage(Protocol):
    """One piece of work under way."""

    def advance(self, n: int = 1, **info: object) -> None:
        """Say that `n` more units are done.

        Args:
            n: Units done since the last call.
            **info: What else is worth showing, as `loss=0.41`.
        """


class Progress(Protocol):
    """Whoever shows progress."""

    def stage(
        self, name: str, total: int | None, unit: str = "step"
    ) -> AbstractContextManager[Stage]:
        """Begin a piece of work; leaving the context ends it.

        Args:
            name: What is done, as `train tell seed 0`.
            total: Units of work in all, or None if unknown.
            unit: What one unit is called, in the singular.
        """
        ...

    def warn(self, text: str) -> None:
        """Say something the user should not miss, such as a checkpoint that is damaged.

        Args:
            text: A sentence.
        """
        ...


class SilentStage:
    """A stage nobody watches."""

    def advance(self, n: int = 1, **info: object) -> None:
        """Do nothing."""


class SilentProgress:
    """The default listener: shows nothing; warnings go to Python's log."""

    @contextmanager
    def stage(self, name: str, total: int | None, unit: str = "step") -> Iterator[Stage]:
        """Begin a piece of work that nobody watches."""
        yield SilentStage()

    def warn(self, text: str) -> None:
        """Log it; where the program keeps no log, Python puts it on standard error."""
        logging.getLogger("levertune").warning("warning: %s", text)
