"""The page of `anchor score`: what anchors do to a base model, before any training."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from levertune import __version__
from levertune.errors import RunError
from levertune.reports.anchor_view import (
    FIGURES,
    anchor_rows,
    front_figures,
    notes,
    panels,
    score_methods,
    sentence,
)
from levertune.reports.layout import MAX_BYTES, page_assets, page_template
from levertune.reports.plane_figures import legend_marks
from levertune.results.anchor_scores import AnchorScores, pareto_front
from levertune.results.files import write_text_atomically

MAX_ANCHORS = 150
"""Anchors that a page has room for."""

# Characters of an anchor and points of a kind in a panel, from all to few: the first that fit.
_SIZES: tuple[tuple[int, int | None], ...] = ((8000, None), (2000, 200), (500, 60), (120, 20))


def write_anchor_page(
    path: str | Path,
    found: AnchorScores,
    *,
    task: str,
    model: str,
    include_text: bool = True,
) -> Path:
    """Write the page of some scored anchors.

    Args:
        path: The file.
        found: The scores.
        task: Name of the task's file, without its folder.
        model: Name of the base model, without its folder.
        include_text: Whether the words of the anchors are on the page. Rows never are: points have
            neither ids nor texts.

    Returns:
        The file.

    Raises:
        RunError: If there are too many anchors for a page, or the file cannot be written.
    """
    page = render_anchor_page(found, task=task, model=model, include_text=include_text)
    write_text_atomically(path, page)
    return Path(path)


def render_anchor_page(
    found: AnchorScores, *, task: str, model: str, include_text: bool = True
) -> str:
    """The page as text, under 1 MB.

    Where all would not fit, anchors are cut and points are left out evenly; the page says so.

    Args:
        found: The scores.
        task: As for `write_anchor_page`.
        model: As for `write_anchor_page`.
        include_text: As for `write_anchor_page`.

    Returns:
        HTML without any reference to another file or the network.

    Raises:
        RunError: If there are too many anchors for a page.
    """
    require_room(len(found.scores))
    template = page_template("anchor_scores.html.jinja")
    rows = anchor_rows(found, num_characters=0, include_text=False)
    nll_figure, apart_figure = front_figures(found, rows)
    for num_characters, num_points in _SIZES:
        rows = anchor_rows(found, num_characters=num_characters, include_text=include_text)
        drawn = found.picture and panels(found.picture, rows, num_points=num_points)
        page = template.render(
            **page_assets(),
            found=found,
            task=task,
            model=model,
            version=__version__,
            include_text=include_text,
            say=sentence(include_text, found),
            columns=list(FIGURES.values()),
            rows=rows,
            num_front=len(pareto_front(found.scores)),
            methods=score_methods(found),
            nll_figure=nll_figure,
            apart_figure=apart_figure,
            panels=drawn or (),
            num_points=num_points,
            legend={name: Markup(mark) for name, mark in legend_marks().items()},
            notes=notes(found, include_text=include_text),
        )
        # Half a surrogate pair, which JSON can carry and UTF-8 cannot, becomes a question mark.
        content = page.encode("utf-8", "replace")
        if len(content) <= MAX_BYTES:
            return content.decode("utf-8")
    raise AssertionError(f"{len(content):,} bytes at the smallest size")


def require_room(num_anchors: int) -> None:
    """Refuse more anchors than a page has room for.

    Args:
        num_anchors: How many there are.

    Raises:
        RunError: If there are too many.
    """
    if num_anchors > MAX_ANCHORS:
        raise RunError(
            f"the page of anchor score: has room for {MAX_ANCHORS} anchors; found {num_anchors:,}. "
            "Score fewer at a time."
        )
