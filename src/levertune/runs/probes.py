"""General rows no arm trains on, which show what a training does to everything else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from levertune.data.records import Record


@dataclass(frozen=True, slots=True)
class Probes:
    """General rows no arm trains on.

    Args:
        general_heldout: Held-out rows of the sources that are mixed in.
        retention: Rows of sources that are never mixed in.
    """

    general_heldout: tuple[Record, ...]
    retention: tuple[Record, ...]


def choose_probes(
    heldout: Sequence[Record],
    retention: Sequence[Record],
    *,
    context_length: int | None,
    count_tokens: Callable[[Record], int],
) -> tuple[Probes, list[str]]:
    """Leave out the rows that the model cannot read whole.

    Past its context a model's losses say nothing, or there are none; the NLL is a mean over
    tokens, so a few such rows would decide it.

    Args:
        heldout: Held-out rows of the sources that are mixed in.
        retention: Rows of sources that are never mixed in.
        context_length: Tokens the model reads; None where its configuration does not say.
        count_tokens: Gives the tokens of a row.

    Returns:
        The rows left, and what a reader should know.
    """
    if context_length is None:
        return Probes(tuple(heldout), tuple(retention)), []
    warnings = []
    kept = []
    for name, rows in (("held-out general", heldout), ("retention", retention)):
        fitting = tuple(row for row in rows if count_tokens(row) <= context_length)
        kept.append(fitting)
        if len(fitting) < len(rows):
            warnings.append(
                f"Rows longer than the model reads ({context_length} tokens), left out of the "
                f"{name} rows: {len(rows) - len(fitting)} of {len(rows)}."
            )
    return Probes(*kept), warnings
