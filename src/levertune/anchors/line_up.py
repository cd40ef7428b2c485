"""Which anchors challenge the one in use at a check."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from levertune.anchors.quotes import spoken
from levertune.results.anchor_checks import AnchorCheck, Origin


@dataclass(frozen=True, slots=True)
class Proposal:
    """A text that may challenge the anchor in use.

    Args:
        text: Its words.
        origin: Where it came from.
    """

    text: str
    origin: Origin


def line_up(
    current: str,
    contenders: Sequence[Proposal],
    sources: Sequence[Iterable[Proposal]],
    *,
    limit: int,
    is_usable: Callable[[str], bool],
) -> list[Proposal]:
    """The challengers of one check.

    Those that were better at the last check come first, since a switch needs them again; the rest
    of the places go to the sources in turn.

    Args:
        current: The words of the anchor in use.
        contenders: Those that were better at the last check, the best first.
        sources: Other proposals, the best of each source first; none is taken that is not needed.
        limit: Most challengers.
        is_usable: Whether a text can be an anchor of the rows.

    Returns:
        The challengers, no words twice and never those in use.
    """
    chosen = list(contenders[:limit])
    known = {spoken(current), *(spoken(proposal.text) for proposal in contenders)}
    rest = _in_turn(sources)
    while len(chosen) < limit and (proposal := next(rest, None)) is not None:
        key = spoken(proposal.text)
        if key and key not in known and is_usable(proposal.text):
            known.add(key)
            chosen.append(proposal)
    return chosen


def fresh_first(proposals: Sequence[Proposal], checks: Sequence[AnchorCheck]) -> list[Proposal]:
    """Proposals that were scored least often so far first, otherwise in their order.

    So the whole of a list gets its turn, however few places a check has.

    Args:
        proposals: The proposals, the best first.
        checks: The checks so far.
    """
    seen = _count_seen(checks)
    return sorted(proposals, key=lambda proposal: seen.get(spoken(proposal.text), 0))


def _count_seen(checks: Sequence[AnchorCheck]) -> Mapping[str, int]:
    seen: dict[str, int] = {}
    for check in checks:
        for challenger in check.challengers:
            key = spoken(challenger.text)
            seen[key] = seen.get(key, 0) + 1
    return seen


def _in_turn(sources: Sequence[Iterable[Proposal]]) -> Iterator[Proposal]:
    waiting = [iter(source) for source in sources]
    while waiting:
        for source in list(waiting):
            proposal = next(source, None)
            if proposal is None:
                waiting.remove(source)
            else:
                yield proposal
