"""An OpenAI-compatible chat endpoint that anchors are asked of; its key is never shown or kept."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from levertune.anchors.asking import Answer, AskError, UnusableAnswerError

MAX_BODY_BYTES = 2_000_000
MAX_WAIT_SECONDS = 60.0

_CHUNK_BYTES = 65_536
_FIRST_WAIT_SECONDS = 1.0
_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
# Servers differ in which of these they take; one that names it in its refusal is asked without.
_OPTIONAL = ("seed", "temperature")
_LIMITS = ("max_tokens", "max_completion_tokens")
_MAX_QUOTED = 200
# Shorter ones are stand-ins for servers without keys, and also parts of ordinary words.
_MIN_HIDDEN = 6


class EndpointError(AskError):
    """An endpoint cannot be used, or did not answer after several tries."""


class EndpointAnswerError(EndpointError, UnusableAnswerError):
    """An endpoint answered, but not with a chat completion that holds text."""


@dataclass(frozen=True, slots=True)
class _Reply:
    """What one request brought: a status, the body, and how long the server asks to wait."""

    status: int
    body: bytes
    retry_after: str | None = None
    location: str | None = None


class ChatEndpoint:
    """Asks a model behind an OpenAI-compatible chat endpoint, as `Ask` wants it.

    Args:
        base_url: Address without `/chat/completions`, as `https://host/v1`.
        model: The model's name there.
        key_variable: Environment variable that holds the key, or None for a server without one.
            The key is read anew for each request and stands in no error and no file.
        temperature: Temperature of the sampling.
        timeout_seconds: Longest wait for a whole answer, each time it is asked for.
        max_retries: How often a request is repeated after 429, a server's error or a time-out.
        sleep: Waits so many seconds.
        clock: Gives the time in seconds.

    Raises:
        EndpointError: If the address is none, or the variable holds no key.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        key_variable: str | None = None,
        temperature: float = 1.0,
        timeout_seconds: float = 300.0,
        max_retries: int = 4,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = _chat_url(base_url)
        self._model = model
        self._key_variable = key_variable
        self._timeout = timeout_seconds
        self._max_retries = max_retries
        self._sleep = sleep
        self._clock = clock
        self._options: dict[str, Any] = {"temperature": temperature}
        self._refused_options: set[str] = set()
        self._key()

    def __repr__(self) -> str:
        return f"ChatEndpoint({self._url!r}, {self._model!r})"

    def __call__(self, prompt: str, *, seed: int, max_tokens: int) -> Answer:
        """The model's answer to a prompt, as the user's only turn.

        Args:
            prompt: What it is asked.
            seed: Seed of the sampling, left out for servers that refuse one.
            max_tokens: Most tokens it may answer with.

        Returns:
            The answer.

        Raises:
            EndpointError: If it cannot be had after the bounded number of tries.
            EndpointAnswerError: If it is no chat completion, or holds no text.
        """
        num_requests = num_retries = 0
        while True:
            fault, wait = "", None
            reply = None
            num_requests += 1
            try:
                reply = self._send(self._body(prompt, seed, max_tokens))
            except _Unreachable as error:
                fault = str(error)
                if not error.is_passing:
                    line = f"cannot be reached; {fault}. Check the address."
                    raise self._error(line, num_requests) from None
            if reply is not None:
                if reply.status == 200:
                    return self._read(reply.body, num_requests, max_tokens)
                if reply.status in (400, 422) and self._adapt(reply.body):
                    continue
                fault = f"HTTP {reply.status}{self._quote(reply.body)}"
                if reply.status not in _AGAIN:
                    raise self._error(self._advise(reply, fault), num_requests)
                wait = _wanted_wait(reply.retry_after)
            if num_retries == self._max_retries:
                raise self._error(
                    f"no answer in {num_requests} tries; the last one: {fault}. Try again later.",
                    num_requests,
                )
            backoff = _FIRST_WAIT_SECONDS * 2**num_retries
            self._sleep(min(backoff if wait is None else max(wait, 0.0), MAX_WAIT_SECONDS))
            num_retries += 1

    def _body(self, prompt: str, seed: int, max_tokens: int) -> bytes:
        limit = _LIMITS[_LIMITS[0] in self._refused_options]
        fields = {**self._options, "seed": seed, limit: max_tokens}
        fields = {name: fields[name] for name in fields if name not in self._refused_options}
        turns = [{"role": "user", "content": prompt}]
        return json.dumps({"model": self._model, "messages": turns, **fields}).encode("ascii")

    def _key(self) -> str | None:
        if self._key_variable is None:
            return None
        key = os.environ.get(self._key_variable, "").strip()
        if not key:
            raise EndpointError(
                f"environment variable {self._key_variable}: holds no key for {self._url}; found "
                "nothing. Set it, or name another variable."
            )
        if not (key.isascii() and key.isprintable()) or " " in key:
            # http.client would quote the whole header in its own error.
            raise EndpointError(
                f"environment variable {self._key_variable}: holds no key; found white space or "
                "other characters that no key has. Set it to the key alone."
            )
        return key

    def _send(self, body: bytes) -> _Reply:
        import http.client
        import ssl
        import urllib.error
        import urllib.request

        class NoRedirect(urllib.request.HTTPRedirectHandler):
            """Redirects are refused: the key would be passed on with them."""

            def redirect_request(self, *_: Any) -> None:
                return None

        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        request = urllib.request.Request(
            self._url, body, {**headers, "User-Agent": "levertune"}, method="POST"
        )
        key = self._key()
        if key is not None:
            request.add_unredirected_header("Authorization", f"Bearer {key}")
        opener = urllib.request.build_opener(NoRedirect)
        ends = self._clock() + self._timeout
        try:
            try:
                response = opener.open(request, timeout=self._timeout)
            except urllib.error.HTTPError as error:
                response = error  # an answer like any other
            with response:
                content = self._read_body(response, ends)
                found = response.headers
                return _Reply(
                    response.status or 0, content, found.get("Retry-After"), found.get("Location")
                )
        except EndpointError:
            raise
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None)
            cause = reason if isinstance(reason, Exception) else error
            is_lasting = isinstance(cause, ssl.SSLCertVerificationError | ValueError)
            text = "time-out" if isinstance(cause, TimeoutError) else self._plain(str(cause))
            raise _Unreachable(text or type(cause).__name__, is_passing=not is_lasting) from None

    def _read_body(self, response: Any, ends: float) -> bytes:
        content = b""
        while chunk := response.read1(_CHUNK_BYTES):
            content += chunk
            if len(content) > MAX_BODY_BYTES:
                raise self._answer_error(f"more than {MAX_BODY_BYTES:,} bytes")
            if self._clock() > ends:  # drop by drop, no single wait is long
                raise TimeoutError
        return content

    def _read(self, body: bytes, num_requests: int, max_tokens: int) -> Answer:
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            raise self._answer_error(f"no JSON{self._quote(body)}", num_requests) from None
        choices = found.get("choices") if isinstance(found, dict) else None
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            raise self._answer_error(f"no `choices`{self._quote(body)}", num_requests)
        message = choices[0].get("message")
        text = _text_of(message.get("content") if isinstance(message, dict) else None)
        is_finished = choices[0].get("finish_reason") != "length"
        if text is None or not text.strip():
            if not is_finished:  # some servers keep thoughts to themselves
                raise EndpointAnswerError(
                    f"{self._url}: has written no text within {max_tokens:,} tokens; thoughts may "
                    "have taken them. Allow more with --max-tokens, or ask a model without.",
                    num_requests,
                )
            raise self._answer_error("no text in the first choice", num_requests)
        usage = found.get("usage")
        total = usage.get("total_tokens") if isinstance(usage, dict) else None
        num_tokens = total if type(total) is int and total >= 0 else None
        return Answer(self._hide(text), num_tokens, num_requests, is_finished)

    def _adapt(self, body: bytes) -> bool:
        """Leave out an option that a refusal names; False if it names none that was sent."""
        text = body.decode("utf-8", "replace")
        for name in (_LIMITS[0], *_OPTIONAL):
            is_named = name in text if name != "seed" else "'seed'" in text or '"seed"' in text
            if is_named and name not in self._refused_options:
                if name == _LIMITS[0] and _LIMITS[1] not in text:
                    continue
                self._refused_options.add(name)
                return True
        return False

    def _advise(self, reply: _Reply, fault: str) -> str:
        if 300 <= reply.status < 400:
            host = urlsplit(reply.location or "").netloc.rpartition("@")[2] or "another address"
            return f"redirects to {self._plain(host)}, which is not followed. Name that address."
        if reply.status in (401, 403):
            variable = self._key_variable
            named = f"the key in {variable}" if variable else "whether it wants a key"
            return f"refuses access; {fault}. Check {named}."
        if reply.status == 404:
            return f"knows no such address or model; {fault}. Check address and model name."
        return f"refuses the request; {fault}. Check address and model name."

    def _quote(self, body: bytes) -> str:
        """What a server says of its refusal, after a colon."""
        text = body[:MAX_BODY_BYTES].decode("utf-8", "replace")
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict):
            error = found.get("error", found)
            said = error.get("message") if isinstance(error, dict) else error
            text = said if isinstance(said, str) else ""
        plain = self._plain(text)
        return f": {plain!r}" if plain else ""

    def _plain(self, text: str) -> str:
        """A short text on one line, without the key, which is looked for before it is cut."""
        line = " ".join(self._hide(text).split())
        return line if len(line) <= _MAX_QUOTED else line[: _MAX_QUOTED - 3] + "..."

    def _hide(self, text: str) -> str:
        key = self._key()
        return text.replace(key, "***") if key and len(key) >= _MIN_HIDDEN else text

    def _error(self, message: str, num_requests: int) -> EndpointError:
        return EndpointError(f"{self._url}: {message}", num_requests)

    def _answer_error(self, found: str, num_requests: int = 1) -> EndpointAnswerError:
        return EndpointAnswerError(
            f"{self._url}: not a chat completion; found {found}. Check address and model name.",
            num_requests,
        )


class _Unreachable(Exception):
    """No answer came; `is_passing` if one may come when asked again."""

    def __init__(self, reason: str, *, is_passing: bool) -> None:
        super().__init__(reason)
        self.is_passing = is_passing


def _chat_url(base_url: str) -> str:
    try:
        parts = urlsplit(base_url.strip())
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        is_address = False
    if not is_address or any(char.isspace() for char in base_url.strip()):
        raise EndpointError("endpoint: is no address of one. Name one like https://host/v1.")
    if parts.username is not None or parts.query or parts.fragment:
        # Not quoted: this may be where the key is.
        raise EndpointError(
            "endpoint: holds a user name, a query or a fragment, where keys are shown to others. "
            "Name the bare address, and the variable that holds the key."
        )
    path = parts.path.rstrip("/").removesuffix("/chat/completions")
    return f"{parts.scheme}://{parts.netloc}{path}/chat/completions"


def _wanted_wait(retry_after: str | None) -> float | None:
    """Seconds that `Retry-After` asks for, given as a number or as a date; None if neither."""
    if retry_after is None:
        return None
    try:
        seconds = float(retry_after)
        return seconds if math.isfinite(seconds) else None
    except ValueError:
        pass
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(retry_after).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return None


def _text_of(content: Any) -> str | None:
    """The text of a message: a string, or parts of which some are text."""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else None
