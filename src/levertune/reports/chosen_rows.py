"""Which general rows were drawn or chosen, and why, as the page's template prints it."""

from __future__ import annotations

from dataclasses import dataclass

from levertune.reports.text import Clipped, clip, count_text, number_text, seconds_text
from levertune.results.schema import RunResult

_MAX_SOURCES = 30
_MAX_ROWS = 24
_MAX_TEXT = 200
_MAX_ID = 80

_BLIND = "No test row had a part in it."
_IN_TURN = f"In turn each task row was given the row that suits it best of those left. {_BLIND}"
_FARTHEST = f"The control: rows whose nearest task row is farthest come first. {_BLIND}"
_DRAWS = {
    "stratified": "A seeded draw, every source and family in proportion to its rows; no task row "
    "was looked at. Each seed draws other rows.",
    "random": "A seeded uniform draw of each source; no task row was looked at. Each seed draws "
    "other rows.",
}

_SCORES = {
    "bm25": "BM25 with that task row",
    "rds": "cosine of its states with that task row's",
    "dissimilar": "nearness to that task row, the nearest to it",
    "loss": "NLL of its answer with its prompt, divided by that without",
    "gradient": "cosine of its gradient with that task row's",
}


@dataclass(frozen=True, slots=True)
class ChosenView:
    """The rows taken as text.

    Args:
        title: What was done, as a heading.
        selector: Name of the selector.
        how: In which way rows were taken.
        facts: Names and values.
        sources: Source, rows taken, rows there were, and the share of all rows taken.
        more_sources: Sources left off.
        score_title: What the score is.
        rows: The first choices: source, id, score, task row, and both texts or None.
        notes: Sentences, as the result has them.
    """

    title: str
    selector: str
    how: str
    facts: list[tuple[str, str]]
    sources: list[tuple[Clipped, str, str, str]]
    more_sources: int
    score_title: str
    rows: list[dict[str, object]]
    notes: tuple[str, ...]


def chosen_view(
    result: RunResult, texts: dict[tuple[str, str], str], *, include_text: bool
) -> ChosenView | None:
    """What the page shows of the choice or draw; None where no general rows were taken.

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

    done = "drawn" if info.is_draw else "chosen"
    facts = [(f"rows {done}", count_text(info.rows))]
    if not info.is_draw:
        facts.append(("took", seconds_text(info.seconds)))
        facts.append(("tokens through the model", count_text(info.tokens)))
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
    unused = {name: 0 for name in info.available if name not in info.by_source}
    sources = list({**info.by_source, **unused}.items())
    how = _FARTHEST if info.selector == "dissimilar" else _IN_TURN
    return ChosenView(
        title=f"Which general rows were {done}",
        selector=info.selector,
        how=_DRAWS.get(info.selector, how),
        facts=facts,
        sources=[
            (
                clip(name, _MAX_ID),
                count_text(rows),
                count_text(info.available[name]) if name in info.available else "",
                f"{100 * rows / max(1, info.rows):.0f} %",
            )
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
