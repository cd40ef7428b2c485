"""The report: one self-contained HTML page made from the files of a run folder."""

from __future__ import annotations

from pathlib import Path

from levertune.errors import RunError
from levertune.reports.anchor_checks import checks_view
from levertune.reports.chosen_rows import chosen_view
from levertune.reports.layout import MAX_BYTES, page_assets, page_template
from levertune.reports.samples import ArmPredictions, choose_samples, read_arm_predictions
from levertune.reports.settings import sentence_filter, settings_table
from levertune.reports.view import (
    NLL_TITLES,
    arm_rows,
    comparison_rows,
    curve_figures,
    interval_methods,
    leak_lines,
    order_facts,
    order_figure,
    score_figures,
)
from levertune.results.files import write_text_atomically
from levertune.results.schema import RunResult, read_result
from levertune.results.selection import read_selection_texts

# Rows shown and characters of each text, from generous to scant: the first that fits is taken.
_SAMPLE_SIZES = ((200, 2000), (200, 700), (200, 300), (100, 200), (40, 150), (10, 100), (0, 0))


def write_report(run_dir: str | Path, *, include_text: bool = True) -> Path:
    """Make the report page of a run that is done.

    Args:
        run_dir: The run folder.
        include_text: Whether prompts, references, predictions, labels and the anchor's words are
            on the page. Without them it can be shared when the rows cannot.

    Returns:
        `report.html` in the run folder, or `report-no-text.html`.

    Raises:
        RunError: If the run is not done, or one of its files is damaged.
    """
    folder = Path(run_dir)
    result = read_result(folder)
    page = render_report(
        result,
        read_arm_predictions(folder, result),
        texts=read_selection_texts(folder) if include_text else {},
        include_text=include_text,
    )
    path = folder / ("report.html" if include_text else "report-no-text.html")
    write_text_atomically(path, page)
    return path


def render_report(
    result: RunResult,
    predictions: list[ArmPredictions],
    *,
    texts: dict[tuple[str, str], str] | None = None,
    include_text: bool = True,
) -> str:
    """The page as text, under 1 MB whatever the rows hold.

    Args:
        result: The result of the run.
        predictions: What its arms predicted.
        texts: Texts of general rows that were chosen, by source and id; None for none.
        include_text: As for `write_report`.

    Returns:
        HTML without any reference to another file or the network.

    Raises:
        RunError: If the result alone, without any prediction, does not fit.
    """
    say = sentence_filter(result, include_text=include_text)
    settings, more_settings = settings_table(result, include_text=include_text, say=say)
    comparisons, more_comparisons, pairs_figure = comparison_rows(result)
    context = {
        "result": result,
        "include_text": include_text,
        "say": say,
        **page_assets(script="report.js"),
        "arms": arm_rows(result),
        "nll_titles": list(NLL_TITLES.values()),
        "figures": score_figures(result),
        "score_methods": interval_methods(
            interval
            for arm in result.arms
            for interval in (*arm.scores.values(), *arm.nll.values())
        ),
        "comparison_methods": interval_methods(c.difference for c in result.comparisons),
        "comparisons": comparisons,
        "more_comparisons": more_comparisons,
        "pairs_figure": pairs_figure,
        "curves": curve_figures(result),
        "checks": checks_view(result, include_text=include_text),
        "order_figure": order_figure(result),
        "order_facts": order_facts(result),
        "leak_lines": leak_lines(result),
        "chosen": chosen_view(result, texts or {}, include_text=include_text),
        "settings": settings,
        "more_settings": more_settings,
    }
    template = page_template("report.html.jinja")
    for num_rows, num_characters in _SAMPLE_SIZES:
        samples = choose_samples(
            result,
            predictions,
            num_rows=num_rows,
            num_characters=num_characters,
            include_text=include_text,
        )
        # Half a surrogate pair, which JSON can carry and UTF-8 cannot, becomes a question mark.
        page = template.render(context, samples=samples).encode("utf-8", "replace")
        if len(page) <= MAX_BYTES:
            return page.decode("utf-8")
    raise RunError(
        f"{result.name}: the report would be {len(page):,} bytes without any prediction; at most "
        f"{MAX_BYTES:,} fit. Report fewer arms at a time."
    )
