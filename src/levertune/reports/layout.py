"""What every page is laid out with: the templates, escaping, and a policy that lets nothing in."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup

from levertune.reports.text import clip, count_text, first, number_text, seconds_text

MAX_BYTES = 1_000_000
"""Size that no page exceeds: it is sent by mail and opened on phones."""


def page_template(name: str) -> Template:
    """A template of a whole page; what it prints is escaped.

    Args:
        name: Its file, as `report.html.jinja`.
    """
    return _environment().get_template(name)


def page_assets(*, script: str | None = None) -> dict[str, Any]:
    """The stylesheet and script of a page, with the hashes its policy lets them through by.

    Args:
        script: File of the script; None for a page without one.

    Returns:
        What `page_head` in `parts.html.jinja` and the end of a page print.
    """
    style, code = _asset("report.css"), _asset(script) if script else ""
    return {
        "style": Markup(style),
        "script": Markup(code),
        "style_hash": _csp_hash(style),
        "script_hash": _csp_hash(code) if script else "",
    }


@cache
def _asset(name: str) -> str:
    return resources.files("levertune.reports").joinpath("templates", name).read_text("utf-8")


def _csp_hash(text: str) -> str:
    """The source expression that lets exactly this inline style or script through."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


@cache
def _environment() -> Environment:
    environment = Environment(
        autoescape=True,
        loader=FunctionLoader(_asset),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": count_text,
        "number": number_text,
        "seconds": seconds_text,
        "cut": lambda text, length=120: clip(str(text), length).text,
        "first": first,
    }
    return environment
