"""Which general rows were chosen, and why, as the page's template prints it."""

from __future__ import annotations

from dataclasses import dataclass

from levertune.reports.text import Clipped, clip, count_text, number_text, seconds_text
from levertune.results.schema import RunResult

_MAX_SOURCES = 30
_MAX_ROWS = 24
_MAX_TEXT = 200
_MAX_ID = 80

_IN_TURN = "In turn each task row was given the row that suits it best of those left."
_FARTHEST = "The control: rows whose nearest task row is farthest come first."

_SCORES = {
    "bm25": "BM25 with that task row",
    "rds": "cosine of its states with that task row's",
    "dissimilar": "nearness to that task row, the nearest to it",
    "loss": "NLL of its answer with its prompt, divided by that without",
    "gradient": "cosine of its gradient with that task row's",
}


@dataclass(frozen=True, slots=True)
class ChosenView:
    """The chosen rows as text.

    Args:
        selector: Name of the selector.
        how: In which way rows were taken.
        facts: Names and values.
        sources: Source, rows chosen and their share.
        more_sources: Sources left off.
        score_title: What the score is.
        rows: The first choices: source, id, score, task row, and both texts or None.
        notes: Sentences, as the result has them.
    """

    selector: str
    how: str
    facts: list[tuple[str, str]]
    sources: list[tuple[str, str, str]]
    more_sources: int
    score_title: str
    rows: list[dict[str, object]]
    notes: tuple[str, ...]


def chosen_view(
    result: RunResult, texts: dict[tuple[str, str], str], *, include_text: bool
) -> ChosenView | None:
    """What the page shows of the choice; None where the rows were drawn.

    Args:
        result: The result.
        texts: Texts of rows by source and id, as far as the run kept them.
        include_text: Whether they may be shown.
    """
    info = result.selection
    if info is None:
        return None
    shown = texts if include_text else {}

    def text_of(source: str, id_: str | None) -> Clipped | None:
        text = None if id_ is None else shown.get((source, id_))
        return None if text is None else clip(text, _MAX_TEXT)

    facts = [
        ("rows chosen", count_text(info.rows)),
        ("took", seconds_text(info.seconds)),
        ("tokens through the model", count_text(info.tokens)),
    ]
    if info.agreement is not None:
        found = info.agreement
        facts.append(
            (
                "agreement with all layers",
                f"{100 * found.share:.0f} % of the nearest {found.top} rows in common, on "
                f"{found.rows} sampled rows with {found.layers} of {found.all_layers} layers "
                f"({100 * found.by_chance:.0f} % by chance)",
            )
        )
    sources = list(info.by_source.items())
    return ChosenView(
        selector=info.selector,
        how=_FARTHEST if info.selector == "dissimilar" else _IN_TURN,
        facts=facts,
        sources=[
            (clip(name, _MAX_ID).text, count_text(rows), f"{100 * rows / max(1, info.rows):.0f} %")
            for name, rows in sources[:_MAX_SOURCES]
        ],
        more_sources=max(0, len(sources) - _MAX_SOURCES),
        score_title=_SCORES.get(info.selector, "score"),
        rows=[
            {
                "source": clip(row.source, _MAX_ID),
                "id": clip(row.id, _MAX_ID),
                "score": number_text(row.score),
                "nearest": clip(row.nearest or "", _MAX_ID),
                "text": text_of(row.source, row.id),
                "task_text": text_of("task", row.nearest),
            }
            for row in info.top[:_MAX_ROWS]
        ],
        notes=info.notes,
    )
