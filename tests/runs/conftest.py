import contextlib
import hashlib
import json
import os
import shutil
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

_TIMES = {"seconds", "tokens_per_second", "peak_memory_bytes", "provenance"}
_NAMES = {"created", "command", "name", "output_dir"}


@pytest.fixture(scope="module", autouse=True)
def _on_cpu(on_cpu):
    """Every test here."""


@pytest.fixture
def answering(monkeypatch):
    """Makes an OpenAI-compatible endpoint on a local port, and gives its address.

    It is made from a function of a request's body to the text of the answer; None refuses access.
    """
    monkeypatch.setenv("no_proxy", "*")
    with contextlib.ExitStack() as servers:
        yield lambda respond: servers.enter_context(_serve(respond))


@contextlib.contextmanager
def _serve(respond):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            text = respond(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            reply = {
                "choices": [{"message": {"content": text}, "finish_reason": "stop"}],
                "usage": {"total_tokens": 42},
            }
            content = b"" if text is None else json.dumps(reply).encode()
            self.send_response(200 if content else 401)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="session")
def finished(tmp_path_factory, new_project, like_anywhere):
    """An unbroken run of base, sft-steps and tell: its outcome and what it said at the start.

    Its folder lies in `outcome.run_dir` below `project.folder`; leave it as it is.
    """
    from levertune.runs.run import run_recipe

    project = new_project(tmp_path_factory.mktemp("finished"))
    said = []
    with like_anywhere(), contextlib.chdir(project.folder):
        outcome = run_recipe(project.recipe(), say=said.append)
    return project, outcome, said


@pytest.fixture
def finished_copy(project, finished):
    """The finished run, copied into this test's project."""
    origin, outcome, _ = finished
    shutil.copytree(origin.folder / outcome.run_dir, project.folder / outcome.run_dir)
    return project


@pytest.fixture
def breaker():
    """Makes a listener to progress that raises, or calls something, after a step of a stage."""

    def make(stage, step, action):
        class Breaker:
            steps = 0

            @contextlib.contextmanager
            def stage(self, name, total, unit="step"):
                self.name = name
                self.steps = 0
                yield self

            def advance(self, n=1, **info):
                self.steps += n
                if self.name.startswith(stage) and self.steps == step:
                    action()

        return Breaker()

    return make


@pytest.fixture
def snapshot():
    """Everything a run leaves but times and the names of folders, to compare two runs."""

    def take(run_dir: Path):
        found = {}
        for path in sorted(run_dir.rglob("*")):
            if path.is_dir() or path.name in ("report.html", "training.json", "mixture.arrow"):
                continue
            name = str(path.relative_to(run_dir))
            if path.suffix == ".json":
                found[name] = _without_times(json.loads(path.read_text("utf-8")))
            elif path.name == "recipe.yaml":
                lines = path.read_text("utf-8").splitlines()
                found[name] = [line for line in lines if not line.startswith("output_dir")]
            else:
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        return found

    return take


def _without_times(value):
    if isinstance(value, dict):
        return {
            key: _without_times(inner) for key, inner in value.items() if key not in _TIMES | _NAMES
        }
    return [_without_times(inner) for inner in value] if isinstance(value, list) else value


@pytest.fixture
def modified():
    """When each adapter below a run folder was written."""

    def times(run_dir: Path):
        return {
            str(path.relative_to(run_dir)): os.stat(path).st_mtime_ns
            for path in run_dir.rglob("adapter_model.safetensors")
        }

    return times


@pytest.fixture
def without_system_role(project, tmp_path):
    """The tiny model with a template that knows user and assistant alone."""
    folder = tmp_path / "no-system"
    shutil.copytree(project.model, folder)
    template = (
        "{% for m in messages %}{% if m['role'] == 'system' %}"
        "{{ raise_exception('no system turn here') }}{% endif %}"
        "<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    config = folder / "tokenizer_config.json"
    content = json.loads(config.read_text("utf-8"))
    content.pop("chat_template", None)
    config.write_text(json.dumps(content), "utf-8")
    return folder
