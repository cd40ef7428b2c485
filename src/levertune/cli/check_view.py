"""How `levertune check` looks: tables, and rows with anchor and supervised tokens marked."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from levertune.anchors.anchor import Anchor
from levertune.cli.terminal import Terminal
from levertune.data.check_report import CheckReport, SourceSummary
from levertune.data.near_duplicates import MAX_NEAR_ROWS
from levertune.data.printable import printable
from levertune.data.records import Record
from levertune.models.rendering import Rendered, TokenizedExample

_NUM_LABELS = 12
_LABEL_WIDTH = 40


def print_report(report: CheckReport, terminal: Terminal) -> None:
    """Print what was found for people: files, task, then warnings.

    Args:
        report: What was found.
        terminal: Where it goes.
    """
    files = [("task", report.task)]
    files += [("test", report.test)] if report.test else []
    files += [("general", summary) for summary in report.general]
    terminal.table(
        ("data", "path", "format", "schema", "rows", "tokens of text", f"over {report.max_length}"),
        [_file_row(role, summary) for role, summary in files],
    )
    terminal.table(("task", "", "what it says"), _task_rows(report))
    if report.labels is not None:
        shown = list(report.labels.items())[:_NUM_LABELS]
        rows: list[tuple[str, object]] = [(_shorten(label), count) for label, count in shown]
        terminal.table(("label", "rows"), rows)
        if len(report.labels) > len(shown):
            terminal.say(f"and {len(report.labels) - len(shown)} more labels")
    for warning in report.warnings:
        terminal.say(f"warning: {warning}")
    if not report.warnings:
        terminal.say("Nothing to warn of.")


def print_rows(
    rows: Sequence[tuple[Rendered, TokenizedExample]],
    records: Sequence[Record],
    path: str,
    anchor: Anchor | None,
    terminal: Terminal,
) -> None:
    """Print rows as they are trained on, with the anchor and the supervised tokens marked.

    On a terminal they are coloured; elsewhere the anchor stands in `<<...>>`, the supervised text
    in `[[...]]`.

    Args:
        rows: Each row as text and as tokens.
        records: The rows as the user wrote them, for their ids.
        path: The task file.
        anchor: The anchor, or None.
        terminal: Where they go.
    """
    if not rows:
        return
    is_colored = sys.stdout.isatty()
    marks = "in colour" if is_colored else "as <<anchor>> and [[supervised]]"
    terminal.say(
        f"\nTraining rows of the first seed and split, anchor and supervised tokens {marks}:"
    )
    for (rendered, tokenized), record in zip(rows, records, strict=True):
        terminal.say(
            f"\n--- {path}, row {record.id}: {len(tokenized.input_ids)} tokens, "
            f"{tokenized.num_supervised} supervised"
        )
        before, marked, behind = _split_anchor(rendered.prompt, anchor)
        supervised = rendered.completion + rendered.end
        if not is_colored:
            anchor_text = f"<<{marked}>>" if marked else ""
            terminal.say(f"{before}{anchor_text}{behind}[[{supervised}]]")
            continue
        from rich.console import Console
        from rich.text import Text

        text = Text(printable(before))
        text.append(printable(marked), style="bold cyan")
        text.append(printable(behind))
        text.append(printable(supervised), style="bold green")
        Console(file=sys.stdout).print(text, soft_wrap=True)


def _file_row(role: str, summary: SourceSummary) -> tuple[object, ...]:
    schema = summary.schema
    if summary.unused_columns:
        unused = ", ".join(summary.unused_columns[:4])
        more = ", ..." if len(summary.unused_columns) > 4 else ""
        schema += f" (unused: {unused}{more})"
    return (
        role,
        summary.path,
        summary.file_format,
        schema,
        summary.rows,
        _tokens(summary.tokens, summary),
        len(summary.over_length),
    )


def _tokens(count: int, summary: SourceSummary) -> str:
    return f"about {count:,}" if summary.is_estimated else f"{count:,}"


def _task_rows(report: CheckReport) -> list[tuple[str, object, str]]:
    near = report.near_duplicates
    rows: list[tuple[str, object, str]] = [
        (
            "tokens in chat form",
            _tokens(report.rendered_tokens, report.task),
            "as the model is given all rows",
        ),
        ("regime", report.regime.name, report.regime.suggestion),
        ("duplicates", len(report.duplicates), "groups of rows with prompt and completion equal"),
        ("conflicts", len(report.conflicts), "prompts with several completions"),
        (
            "near duplicates",
            "not looked for" if near is None else len(near),
            f"groups of nearly equal prompts (up to {MAX_NEAR_ROWS:,} rows)",
        ),
    ]
    count = len(report.test_in_task.by_row)
    rows.append(("test in task", count, "test rows like training rows"))
    if report.general:
        rows += [
            (
                "general in test",
                len(report.general_in_test.by_row),
                "general rows like test rows",
            ),
            (
                "general in task",
                len(report.general_in_task.by_row),
                "other general rows like training rows",
            ),
        ]
    if report.language is not None:
        ratio = f"{report.language.ratio:.2f} x English"
        rows.append(("tokens by character", ratio, report.language.verdict))
    if report.instruction is not None:
        rows.append(("shared instruction", "lifted", _shorten(report.instruction, 80)))
    return rows


def _split_anchor(prompt: str, anchor: Anchor | None) -> tuple[str, str, str]:
    if anchor is None:
        return prompt, "", ""
    # The last one: a prompt's earlier turns might say the same.
    before, found, behind = prompt.rpartition(anchor.text)
    return (before, found, behind) if found else (prompt, "", "")


def _shorten(text: str, width: int = _LABEL_WIDTH) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 3]}..."
