"""What `--help` and the page of the command line say of an option: its help, and its default."""

from __future__ import annotations

import argparse


def describe_option(action: argparse.Action) -> str:
    """Help of an option or argument, with the default where there is one to tell.

    Args:
        action: The option; a default that its help words itself is None there.
    """
    text = action.help or ""
    is_valued = bool(action.option_strings) and action.nargs != 0
    if not is_valued or action.default in (None, [], argparse.SUPPRESS):
        return text
    return f"{text} (default: {action.default})".strip()


class HelpWithDefaults(argparse.HelpFormatter):
    """argparse's help with the defaults of options."""

    def _get_help_string(self, action: argparse.Action) -> str:
        return describe_option(action)
