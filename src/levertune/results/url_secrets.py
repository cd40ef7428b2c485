"""Take passwords and signed query parameters out of URLs before anyone sees or writes them.

What is left still names the file, and is the same after a URL was signed anew.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://[^\s'\"<>`]+")
# A parameter whose name says that its value lets one in, or ends with the signature it belongs to.
_SECRET_NAME = re.compile(
    r"sig|token|key|secret|pass|pwd|auth|cred|session|expires|policy|hmac|jwt|x-(amz|goog|oss|obs)-"
    r"|^(se|sp|sv|sr|st|ss|srt|spr|sip|sdd|skoid|sktid|skt|ske|sks|skv)$",
    re.IGNORECASE,
)
# Long values without a word in them are kept only where they name a version.
_OPAQUE = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[\w+/=.~%-]{32,}")
_VERSION_NAME = re.compile(r"version(id)?|generation|rev(ision)?|commit|sha\d*", re.IGNORECASE)
# Shorter values would also blot out parts of ordinary words.
_MIN_HIDDEN = 6


def without_url_secrets(value: Any) -> Any:
    """`value` without the secrets of the URLs in its strings.

    Args:
        value: A string, or JSON made of lists and dictionaries; other values are kept.

    Returns:
        The same shape: `https://me:pw@host/a.jsonl?X-Amz-Signature=1f` becomes
        `https://host/a.jsonl`.
    """
    if isinstance(value, str):
        return _URL.sub(lambda match: _split(match[0])[0], value) if "://" in value else value
    if isinstance(value, dict):
        return {name: without_url_secrets(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(without_url_secrets(item) for item in value)
    return value


def hide_secrets(text: str, url: str) -> str:
    """A text about a URL, as a library's error, without that URL's secrets in any spelling.

    Args:
        text: What may quote them.
        url: The URL as the user gave it.
    """
    for secret in sorted(_split(url)[1], key=len, reverse=True):
        for spelling in (secret, unquote(secret)):
            if len(spelling) >= _MIN_HIDDEN:
                text = text.replace(spelling, "***")
    return str(without_url_secrets(text))


def _split(url: str) -> tuple[str, list[str]]:
    """A URL without its secrets, and the secrets."""
    scheme, rest = url.split("://", 1)
    cut = min((i for i in map(rest.find, "/?#") if i >= 0), default=len(rest))
    authority, rest = rest[:cut], rest[cut:]
    secrets: list[str] = []
    is_web = scheme.lower().rpartition("+")[2] in ("http", "https")  # git+https too
    user, at, host = authority.rpartition("@")
    if at and (":" in user or is_web):  # a bare name may be a container's, as in abfs://box@site
        secrets += [user, *user.split(":", 1)]
        authority = host
    if is_web:  # elsewhere a `#` may be part of the file's name
        rest, _, fragment = rest.partition("#")
        secrets += [fragment] if fragment else []
    path, mark, query = rest.partition("?")
    kept = []
    for parameter in query.split("&") if mark else ():
        name, _, value = parameter.partition("=")
        is_opaque = _OPAQUE.fullmatch(value) and not _VERSION_NAME.fullmatch(name)
        if _SECRET_NAME.search(name) or is_opaque:
            secrets.append(value)
        else:
            kept.append(parameter)
    return f"{scheme}://{authority}{path}{'?' if kept else ''}{'&'.join(kept)}", secrets
