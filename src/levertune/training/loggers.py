"""The experiment trackers a training reports to: whether they are there."""

from __future__ import annotations

from collections.abc import Sequence

from levertune.errors import RecipeError


def check_loggers(report_to: Sequence[str]) -> None:
    """Refuse loggers that are not installed before anything is computed.

    Args:
        report_to: Names, as in `training.report_to`.

    Raises:
        RecipeError: If one is not installed.
    """
    if not report_to:
        return
    from transformers.integrations import get_available_reporting_integrations

    available = get_available_reporting_integrations()
    for name in report_to:
        if name not in available:
            raise RecipeError(
                f"training.report_to: {name!r} is not installed; found {sorted(available)}. "
                f"Install it: pip install {name}"
            )
