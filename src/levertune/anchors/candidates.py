"""A candidate for the anchor: its text, the way it was written, and what the writing cost."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class DesignCost:
    """What it took to write an anchor, or several.

    Args:
        tokens: Tokens that models read and wrote for it; None if one of them did not say.
        seconds: Wall time.
        requests: Requests to a model, repeated ones included.
    """

    tokens: int | None = 0
    seconds: float = 0.0
    requests: int = 0

    def __add__(self, other: DesignCost) -> DesignCost:
        """Both together; a sum with an unknown part is unknown."""
        known = self.tokens is not None and other.tokens is not None
        return DesignCost(
            (self.tokens or 0) + (other.tokens or 0) if known else None,
            self.seconds + other.seconds,
            self.requests + other.requests,
        )

    def describe(self) -> str:
        """The cost in a few words, as `12.0 s, 3 requests, 1,200 tokens`."""
        asked = [f"{self.requests} requests"] if self.requests else []
        if self.tokens != 0:
            asked.append(f"{'?' if self.tokens is None else f'{self.tokens:,}'} tokens")
        return ", ".join([f"{self.seconds:.1f} s", *asked])


@dataclass(frozen=True, slots=True)
class AnchorCandidate:
    """A text that could become the anchor.

    Args:
        text: Its words.
        way: How it was written: `template`, `features`, `model`, `transfer`, `pool`, `hand`, …
        cost: What the writing took.
        notes: What a reader should know of it, one sentence each.
    """

    text: str
    way: str
    cost: DesignCost = DesignCost()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The candidate as a JSON object."""
        return {**asdict(self), "notes": list(self.notes)}


@dataclass(frozen=True, slots=True)
class WayResult:
    """What one way of writing came to.

    Args:
        candidates: What it wrote.
        note: One sentence on the rest, or None.
        stopped_by: The one line that says why its model could not be asked to the end, or None.
    """

    candidates: tuple[AnchorCandidate, ...]
    note: str | None = None
    stopped_by: str | None = None
