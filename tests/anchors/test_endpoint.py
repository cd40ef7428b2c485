import contextlib
import json
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from levertune.anchors.asking import UnusableAnswerError
from levertune.anchors.endpoint import MAX_BODY_BYTES, ChatEndpoint, EndpointError

KEY = "sk-verysecret123"
LIMIT = object()


def chat(text, **more):
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop", **more}
    return {"choices": [choice], "usage": {"total_tokens": 42}}


class Server:
    """Answers in turn with a status, a body (bytes, or JSON) and headers, on a local port."""

    def __init__(self):
        self.replies = []
        self.requests = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                length = int(self.headers["Content-Length"])
                outer.requests.append(
                    (self.path, dict(self.headers), json.loads(self.rfile.read(length)))
                )
                status, body, headers = outer.replies.pop(0)
                if status is None:  # hangs up without an answer
                    return
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                with contextlib.suppress(OSError):  # the client may have had enough
                    self.wfile.write(content)

            def log_message(self, *_):
                pass

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def reply(self, status, body=b"", **headers):
        self.replies.append((status, body, {k.replace("_", "-"): v for k, v in headers.items()}))


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def server():
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture
def waits():
    return []


@pytest.fixture
def endpoint(server, waits, monkeypatch):
    monkeypatch.setenv("MY_KEY", KEY)
    return ChatEndpoint(
        server.url, "m", key_variable="MY_KEY", sleep=waits.append, timeout_seconds=5
    )


def ask(endpoint, seed=3):
    return endpoint("Say it.", seed=seed, max_tokens=7)


def failure(endpoint, kind=EndpointError):
    with pytest.raises(kind) as found:
        ask(endpoint)
    line = str(found.value)
    assert "\n" not in line
    assert KEY not in line
    assert KEY not in repr(found.value.__context__)
    return line


def test_endpoint_is_asked_with_the_key_and_gives_text_and_tokens(server, endpoint):
    server.reply(200, chat("Give the code."))
    answer = ask(endpoint)
    assert (answer.text, answer.num_tokens, answer.num_requests) == ("Give the code.", 42, 1)
    assert answer.is_finished
    path, headers, body = server.requests[0]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": "Say it."}],
        "temperature": 1.0,
        "seed": 3,
        "max_tokens": 7,
    }


def test_endpoint_without_a_key_sends_none(server):
    server.reply(200, {"choices": chat("Hi.")["choices"]})
    answer = ask(ChatEndpoint(f"{server.url}/chat/completions/", "m"))
    assert answer.num_tokens is None
    assert "Authorization" not in server.requests[0][1]


def test_text_in_parts_is_joined_and_an_answer_cut_off_is_known(server, endpoint):
    parts = [{"type": "text", "text": "Give "}, {"type": "image"}, {"text": "it."}]
    server.reply(200, chat(parts, finish_reason="length"))
    answer = ask(endpoint)
    assert (answer.text, answer.is_finished) == ("Give it.", False)


def test_busy_server_is_asked_again_with_growing_waits(server, endpoint, waits):
    for status in (429, 503, 500):
        server.reply(status, {"error": {"message": "busy"}})
    server.reply(200, chat("Give it."))
    assert ask(endpoint).num_requests == 4
    assert waits == [1.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("retry_after", "wait"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("-3", 0.0),
        ("9999", 60.0),
        ("nan", 1.0),
        ("inf", 1.0),
        ("soon", 1.0),
    ],
)
def test_retry_after_is_kept_to_up_to_a_minute(server, endpoint, waits, retry_after, wait):
    server.reply(429, b"", Retry_After=retry_after)
    server.reply(200, chat("Give it."))
    ask(endpoint)
    assert waits == [wait]


def test_retry_after_may_be_a_date(server, endpoint, waits):
    server.reply(503, b"", Retry_After=formatdate(time.time() + 30, usegmt=True))
    server.reply(200, chat("Give it."))
    ask(endpoint)
    assert 20 < waits[0] <= 30


def test_server_that_stays_busy_ends_in_one_line(server, endpoint, waits):
    for _ in range(5):
        server.reply(429, {"error": {"message": f"Limit of {KEY}\nreached " + "x" * 500}})
    line = failure(endpoint)
    assert line.startswith(
        f"{server.url}/chat/completions: no answer in 5 tries; the last one: HTTP 429: "
        "'Limit of *** reached xxx"
    )
    assert line.endswith("...'. Try again later.")
    assert waits == [1.0, 2.0, 4.0, 8.0]


def test_time_out_is_tried_again_then_said(server, waits):
    silent = ChatEndpoint(server.url, "m", timeout_seconds=0.05, max_retries=1, sleep=waits.append)
    release = threading.Event()
    server.http.RequestHandlerClass.do_POST = lambda self: release.wait(5)
    try:
        assert "no answer in 2 tries; the last one: time-out." in failure(silent)
    finally:
        release.set()
    assert waits == [1.0]


def test_answer_that_comes_drop_by_drop_is_a_time_out(server, waits):
    server.reply(200, chat("Give it."))
    ticks = iter(range(0, 10_000, 100))
    slow = ChatEndpoint(
        server.url,
        "m",
        max_retries=0,
        sleep=waits.append,
        clock=lambda: float(next(ticks)),
        timeout_seconds=50,
    )
    assert "the last one: time-out" in failure(slow)


def test_connection_that_breaks_is_tried_again(server, endpoint, waits):
    server.reply(None)
    server.reply(200, chat("Give it."))
    assert ask(endpoint).num_requests == 2


def test_nobody_at_the_address_is_said_after_the_tries(server, waits):
    server.http.server_close()
    gone = ChatEndpoint(server.url, "m", max_retries=2, sleep=waits.append)
    assert "no answer in 3 tries; the last one: " in failure(gone)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "refuses access; HTTP 401: 'Bad key ***'. Check the key in MY_KEY."),
        (403, "refuses access; HTTP 403"),
        (
            404,
            "knows no such address or model; HTTP 404: 'Bad key ***'. Check address and model",
        ),
        (400, "refuses the request; HTTP 400: 'Bad key ***'"),
        (413, "refuses the request; HTTP 413"),
    ],
)
def test_refusal_is_not_tried_again_and_never_shows_the_key(server, endpoint, waits, status, words):
    server.reply(status, {"error": {"message": f"Bad key {KEY}"}})
    assert words in failure(endpoint)
    assert waits == []


def test_redirect_is_not_followed_so_the_key_stays_here(server, endpoint):
    other = Server()
    try:
        for status in (301, 302, 307, 308):
            server.reply(
                status, b"", Location=f"http://me:pw@127.0.0.1:{other.http.server_port}/v1"
            )
            line = failure(endpoint)
            assert f"redirects to 127.0.0.1:{other.http.server_port}, which is not followed" in line
            assert "pw" not in line
        assert other.requests == []
    finally:
        other.http.shutdown()
        other.http.server_close()


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"<html>Hello sk-verysecret123</html>", "found no JSON: '<html>Hello ***</html>'"),
        (b"\xff\xfe", "found no JSON"),
        (b"[" * 100_000, "found no JSON: '[[["),
        (b"", "found no JSON."),
        ([1], "found no `choices`"),
        ({"error": {"message": "no such model"}}, "found no `choices`: 'no such model'"),
        ({"error": "out of memory"}, "found no `choices`: 'out of memory'"),
        ({"choices": []}, "found no `choices`"),
        ({"choices": ["text"]}, "found no `choices`"),
        ({"choices": [{}]}, "found no text in the first choice."),
        (chat(None), "found no text in the first choice."),
        (chat(" \n"), "found no text in the first choice."),
        (b" " * (MAX_BODY_BYTES + 1), "found more than 2,000,000 bytes"),
    ],
)
def test_nonsense_is_one_clear_line(server, endpoint, waits, body, found):
    server.reply(200, body)
    line = failure(endpoint, UnusableAnswerError)
    assert "/v1/chat/completions: not a chat completion; " in line
    assert found in line
    assert waits == []


def test_hidden_thoughts_that_take_all_tokens_are_no_fault_of_the_address(server, endpoint):
    server.reply(200, chat("", finish_reason="length"))
    line = failure(endpoint, UnusableAnswerError)
    assert "has written no text within 7 tokens; thoughts may have taken them." in line
    assert "Allow more with --max-tokens" in line
    assert "Check address" not in line


def test_key_that_an_answer_echoes_is_blotted_out_but_a_stand_in_is_no_secret(
    server, endpoint, monkeypatch
):
    server.reply(200, chat(f"Use {KEY}."))
    assert ask(endpoint).text == "Use ***."
    monkeypatch.setenv("MY_KEY", "none")
    server.reply(200, chat("Answer none."))
    assert ask(endpoint).text == "Answer none."


def test_options_that_a_server_refuses_are_left_out_from_then_on(server, endpoint):
    server.reply(400, {"error": {"message": "Use 'max_completion_tokens', not 'max_tokens'."}})
    server.reply(422, {"error": {"message": "Extra inputs are not permitted: 'seed'"}})
    server.reply(400, {"error": {"message": "'temperature' must be the default"}})
    server.reply(200, chat("Give it."))
    server.reply(200, chat("Give it."))
    assert ask(endpoint).num_requests == 4
    assert ask(endpoint).num_requests == 1
    for _, _, body in server.requests[-2:]:
        assert sorted(body) == ["max_completion_tokens", "messages", "model"]


@pytest.mark.parametrize("key", ["", "  "])
def test_variable_without_a_key_is_named(monkeypatch, key):
    monkeypatch.setenv("MY_KEY", key)
    with pytest.raises(EndpointError, match="environment variable MY_KEY: holds no key for http"):
        ChatEndpoint("https://host/v1", "m", key_variable="MY_KEY")
    monkeypatch.delenv("MY_KEY")
    with pytest.raises(EndpointError, match="found nothing. Set it"):
        ChatEndpoint("https://host/v1", "m", key_variable="MY_KEY")


@pytest.mark.parametrize("key", ["sk-a b", "sk-a\nX: y", "sk-\u00e9"])
def test_key_that_cannot_be_one_is_refused_without_being_shown(monkeypatch, key):
    monkeypatch.setenv("MY_KEY", key)
    with pytest.raises(EndpointError, match="found white space or other") as found:
        ChatEndpoint("https://host/v1", "m", key_variable="MY_KEY")
    assert "sk-" not in str(found.value)


@pytest.mark.parametrize(
    "url", ["", "host/v1", "ftp://host", "http://", "http://h:x/", "http://a b/"]
)
def test_address_must_be_one(url):
    with pytest.raises(EndpointError, match="endpoint: is no address of one"):
        ChatEndpoint(url, "m")


@pytest.mark.parametrize(
    "url", ["https://sk-1@host/v1", "https://host/v1?key=sk-1", "https://h#sk-1"]
)
def test_address_must_not_hold_a_key_and_is_not_shown(url):
    with pytest.raises(EndpointError, match="holds a user name, a query or a fragment") as found:
        ChatEndpoint(url, "m")
    assert "sk-1" not in str(found.value)


def test_endpoint_shows_no_key_of_itself(endpoint):
    assert KEY not in repr(endpoint)
    assert KEY not in repr(vars(endpoint))
