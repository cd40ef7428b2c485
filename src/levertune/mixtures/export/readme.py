"""The README of an export: what is in it, how to train it, and what will be different."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from levertune import __version__

NOT_RUN = (
    "It follows the trainer's documented format. It was **not run** by levertune's authors: look "
    "at a few batches before you trust it."
)


@dataclass(frozen=True, slots=True)
class Readme:
    """What one trainer's writer has to say.

    Args:
        trainer: The trainer and the version whose options were looked up.
        command: The exact command, to be typed in the folder.
        status: Whether it was run by us.
        rows: How the rows are written down.
        differences: What the trainer does otherwise than levertune, a sentence or two each.
    """

    trainer: str
    command: str
    status: str
    rows: str
    differences: tuple[str, ...]


def render_readme(
    readme: Readme, facts: Sequence[tuple[str, str]], notes: Sequence[str], num_rows: int
) -> str:
    """The README as Markdown.

    Args:
        readme: What the trainer's writer says.
        facts: Name and value of what the mixture is.
        notes: Sentences about this mixture.
        num_rows: Rows in it.

    Returns:
        The text.
    """
    lines = [
        f"# A mixture for {readme.trainer}",
        "",
        f"Written by levertune {__version__}. In this folder:",
        "",
        f"    {readme.command}",
        "",
        readme.status,
        "",
        "## The mixture",
        "",
        "| | |",
        "| --- | --- |",
        f"| rows | {num_rows:,} |",
        *(f"| {name} | {_cell(value)} |" for name, value in facts),
        "",
        readme.rows,
        "",
        *(line for note in notes for line in (note, "")),
        "## What is different from `levertune train`",
        "",
        *(f"- {difference}" for difference in readme.differences),
        "",
    ]
    return "\n".join(lines)


def _cell(text: str) -> str:
    """A value on one line of a table, as code, whatever it holds."""
    line = " ".join(text.split()).replace("|", "\\|")
    fence = "``" if "`" in line else "`"
    return f"{fence} {line} {fence}" if "`" in line else f"{fence}{line}{fence}"
