"""A GGUF file made into a model folder by scripts/gguf_to_folder.py."""

import hashlib
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGUFWriter, TokenType
from transformers import AutoModelForCausalLM

from levertune.errors import ModelError
from levertune.models.load import load_base_model
from levertune.models.rendering import ChatTokenizer
from levertune.models.resolve import resolve_model

sys.path.insert(0, str(Path(__file__).parent))
from families import FAMILIES, FORMS, make_config

SCRIPT = Path(__file__).parents[2] / "scripts" / "gguf_to_folder.py"
SYMBOLS = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
CHARACTERS = "\u2581\n\tabcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,%{}():"
NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
    "model.norm": "output_norm",
    "model.embed_tokens": "token_embd",
}


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("gguf_to_folder", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tokens():
    return [*SYMBOLS, *(f"<0x{i:02X}>" for i in range(256)), *CHARACTERS, "\u2581a", "  "]


@pytest.fixture(scope="module")
def model(tokens):
    """A tiny Gemma 3 whose weights bfloat16 holds exactly."""
    config = make_config(FAMILIES["gemma3_text"], tied=True, vocab_size=len(tokens))
    config.sliding_window, config.query_pre_attn_scalar = 512, 256
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    for parameter in model.parameters():
        parameter.data = parameter.data.to(torch.bfloat16).float()
    return model.eval()


@pytest.fixture(scope="module")
def gguf(model, tokens, tmp_path_factory):
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    config, writer = model.config, GGUFWriter(str(path), "gemma3")
    writer.add_name("A name on display")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_sliding_window(config.sliding_window)
    writer.add_rope_freq_base(1_000_000.0)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([-float(i) for i in range(len(tokens))])
    kinds = [TokenType.CONTROL] * len(SYMBOLS) + [TokenType.BYTE] * 256
    writer.add_token_types([*kinds, *[TokenType.NORMAL] * (len(tokens) - len(kinds))])
    for add, name in (
        (writer.add_pad_token_id, "<pad>"),
        (writer.add_eos_token_id, "<eos>"),
        (writer.add_bos_token_id, "<bos>"),
        (writer.add_unk_token_id, "<unk>"),
    ):
        add(tokens.index(name))
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)
    for name, weight in model.state_dict().items():
        if name == "lm_head.weight":
            continue
        place = name.removesuffix(".weight")
        if place.startswith("model.layers."):
            _, _, number, place = place.split(".", 3)
            new = f"blk.{number}.{NAMES[place]}.weight"
        else:
            new = f"{NAMES[place]}.weight"
        values = weight.numpy() + (1 if "norm" in new else 0)  # as llama.cpp stores them
        writer.add_tensor(new, values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def converted(script, gguf, tmp_path_factory):
    """The folder made of the file in two parts, with a template."""
    folder = tmp_path_factory.mktemp("converted")
    content = gguf.read_bytes()
    parts = [folder / "a.part", folder / "b.part"]
    parts[0].write_bytes(content[:1000])
    parts[1].write_bytes(content[1000:])
    script.convert(
        parts,
        folder / "models" / "tiny-gemma",
        sha256=hashlib.sha256(content).hexdigest(),
        chat_template=FORMS["gemma3_text"].template,
    )
    return folder / "models" / "tiny-gemma"


def test_the_model_is_the_one_in_the_file(converted, model, cpu):
    loaded = load_base_model(resolve_model(str(converted)), cpu)
    ids = torch.tensor([[2, 270, 280, 290, 300]])
    with torch.no_grad():
        torch.testing.assert_close(loaded(ids).logits, model(ids).logits, rtol=1e-4, atol=1e-4)
    assert [path.name for path in converted.parent.iterdir()] == ["tiny-gemma"]
    written = "".join(path.read_text("utf-8") for path in converted.glob("*.json"))
    assert "A name on display" not in written
    assert str(converted.parent) not in written


def test_the_tokenizer_is_the_files_and_opens_with_its_token(converted, tokens):
    tokenizer = ChatTokenizer.from_folder(converted)
    assert tokenizer.start_text == "<bos>"
    assert tokenizer.has_chat_template
    assert tokenizer.end_text == "<end_of_turn>"
    text = "a b  c\n\u00e9"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert [tokens[i] for i in tokenizer.encode("b a")] == ["b", "\u2581a"]


def test_it_says_what_it_made(script, converted):
    said = script.describe(converted)
    assert "gemma3_text" in said
    assert "texts that do not survive the tokenizer: none" in said
    assert "what opens a text: '<bos>'; what ends an answer: '<end_of_turn>'" in said
    assert "tokens of plain English" in said


def test_what_cannot_be_converted_is_one_line_and_leaves_nothing(script, gguf, tmp_path, capsys):
    target = tmp_path / "made"
    with pytest.raises(ModelError, match="tiny.gguf: has the hash .*; expected abc. Give all"):
        script.convert([gguf], target, sha256="abc")
    (tmp_path / "odd.gguf").write_bytes(b"GGUF" + bytes(40))
    assert script.main([str(tmp_path / "odd.gguf"), str(target)]) == 2
    said = capsys.readouterr().err
    assert "odd.gguf: transformers cannot read it; " in said
    assert said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["odd.gguf"]
    target.mkdir()
    with pytest.raises(ModelError, match="made: is there already"):
        script.convert([gguf], target)


def test_a_tokenizer_that_numbers_tokens_otherwise_is_refused(script, gguf):
    class Other:
        def get_vocab(self):
            return {"<pad>": 1, "<eos>": 0}

    with pytest.raises(ModelError, match="numbers .* tokens otherwise, among them"):
        script._require_vocabulary(gguf, Other())
