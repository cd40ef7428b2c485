"""Write docs/reference/cli.md from the parsers. Run: python scripts/write_cli_reference.py."""

from __future__ import annotations

import argparse
from pathlib import Path

from levertune.cli.help_text import describe_option
from levertune.cli.main import VERBS, build_parser

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "cli.md"

_HEAD = """\
# The command line

<!-- Written by scripts/write_cli_reference.py; a test compares the two. -->

`levertune VERB --help` says the same. A verb that takes a recipe also takes a run folder or
`--task FILE`, and settings behind it as `key=value` ([all keys](recipe.md)). Results go to standard
output, everything else to standard error, so `--json` can be piped.

| exit status | meaning |
| --- | --- |
| 0 | done |
| 1 | a cell of a run, or a way to write an anchor, failed, and the others are done; \
or `anchor pool check` found faults |
| 2 | a mistake the user can mend; one line on standard error says where, what and what to do |
| 130 | stopped with Ctrl-C; the step under way is saved, and the line to go on with is printed |
| 141 | whoever read the output went away |
| 143 | stopped with SIGTERM, as by a batch system; otherwise as 130 |

Anything else is a fault of levertune's own and shows a traceback: please report it.

| verb | what it does |
| --- | --- |
"""


def cli_reference() -> str:
    """The page, from the parsers themselves."""
    parts = [_HEAD]
    parts += [f"| [`{verb}`](#{verb}) | {summary} |\n" for verb, (_, summary) in VERBS.items()]
    for verb in VERBS:
        parts.append(_verb_section(verb))
    return "".join(parts)


def _verb_section(verb: str) -> str:
    overview = build_parser(verb)
    [subparsers] = [a for a in overview._actions if isinstance(a, argparse._SubParsersAction)]
    return "".join(_section(verb, subparsers.choices[verb], "##"))


def _section(words: str, parser: argparse.ArgumentParser, mark: str) -> list[str]:
    """What a verb, or an action of one, takes; of a verb with actions each in a section below."""
    actions = [a for a in parser._actions if not isinstance(a, argparse._HelpAction)]
    nested = [a for a in actions if isinstance(a, argparse._SubParsersAction)]
    lines = [f"\n{mark} {words}\n"]
    if not nested:
        lines.append(f"\n    levertune {' '.join([words, *map(_usage, actions)])}\n")
    lines.append(f"\n{' '.join((parser.description or '').split())}\n")
    if nested:
        for name, child in nested[0].choices.items():
            lines += _section(f"{words} {name}", child, f"{mark}#")
        return lines
    lines.append("\n| argument | meaning |\n| --- | --- |\n")
    lines += [f"| {_names(action)} | {_cell(action)} |\n" for action in actions]
    return lines


def _usage(action: argparse.Action) -> str:
    if not action.option_strings:
        name = str(action.metavar or action.dest)
        return f"[{name} ...]" if action.nargs == "*" else name
    shown = _with_value(action, action.option_strings[-1])
    return shown if action.required else f"[{shown}]"


def _with_value(action: argparse.Action, option: str) -> str:
    if action.nargs == 0:
        return option
    value = str(action.metavar or action.dest.upper())
    return f"{option} {value} [{value} ...]" if action.nargs == "+" else f"{option} {value}"


def _names(action: argparse.Action) -> str:
    if not action.option_strings:
        return "`" + str(action.metavar or action.dest).replace("|", r"\|") + "`"
    *others, last = action.option_strings
    return ", ".join(f"`{name}`" for name in [*others, _with_value(action, last)])


def _cell(action: argparse.Action) -> str:
    return describe_option(action).replace("|", r"\|")


if __name__ == "__main__":
    PAGE.write_text(cli_reference(), encoding="utf-8")
