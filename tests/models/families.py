"""Tiny models of the families levertune is tested with: configuration, tokenizer, chat template.

Templates and tokenizers have the form of the published ones (which tokens open and end a turn, what
becomes of a system turn, what a tokenizer puts before a text); none is a copy.
"""

from dataclasses import dataclass
from pathlib import Path

SIZES = {
    "vocab_size": 400,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "initializer_range": 0.3,
}

# The ids some configurations come with are beyond a small vocabulary.
NO_IDS = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"))

ATTENTION = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
GATED_MLP = ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")


@dataclass(frozen=True)
class Form:
    """How a family writes a conversation.

    Args:
        template: Its chat template; None for a base model.
        bos: Token that opens a text, "" for none.
        eos: Token that ends a text.
        marks: Further control tokens.
        kind: Kind of tokenizer: `bytes`, `pieces` (SentencePiece with a space put in front) or
            `gemma` (SentencePiece without).
        opens: Whether the tokenizer puts `bos` before every text by itself.
        end: What ends an answer.
        system: What the template does with a system turn: `writes`, `refuses` or `omits` it, or
            `joins` it with the user's.
        strips: Whether its control tokens swallow the white space behind them.
    """

    template: str | None
    bos: str
    eos: str
    marks: tuple[str, ...] = ()
    kind: str = "bytes"
    opens: bool = False
    end: str = ""
    system: str = "writes"
    strips: bool = False


CHATML = Form(
    "{% for m in messages %}"
    "{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    bos="",
    eos="<|im_end|>",
    marks=("<|im_start|>", "<|endoftext|>"),
    end="<|im_end|>",
)
FORMS = {
    "llama": Form(
        "{{ bos_token }}{% for m in messages %}"
        "{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' }}"
        "{{ m.content | trim + '<|eot_id|>' }}{% endfor %}{% if add_generation_prompt %}"
        "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
        bos="<|begin_of_text|>",
        eos="<|eot_id|>",
        marks=("<|start_header_id|>", "<|end_header_id|>", "<|end_of_text|>"),
        opens=True,
        end="<|eot_id|>",
    ),
    "qwen2": Form(
        "{% if messages[0].role != 'system' %}<|im_start|>system\nBe of use.<|im_end|>\n{% endif %}"
        + CHATML.template,
        bos="",
        eos="<|im_end|>",
        marks=CHATML.marks,
        end="<|im_end|>",
    ),
    # An empty block of thoughts stands before the last answer, and before no other.
    "qwen3": Form(
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}"
        "{% if m.role == 'assistant' and loop.last %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
        "{{ m.content + '<|im_end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
        bos="",
        eos="<|im_end|>",
        marks=CHATML.marks,
        end="<|im_end|>",
    ),
    "gemma2": Form(
        "{{ bos_token }}{% if messages[0].role == 'system' %}"
        "{{ raise_exception('no system role') }}{% endif %}{% for m in messages %}"
        "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('roles must take turns') }}{% endif %}"
        "{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\n' }}"
        "{{ m.content | trim + '<end_of_turn>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}",
        bos="<bos>",
        eos="<eos>",
        marks=("<start_of_turn>", "<end_of_turn>"),
        kind="gemma",
        opens=True,
        end="<end_of_turn>",
        system="refuses",
    ),
    "gemma3_text": Form(
        "{{ bos_token }}{% if messages[0].role == 'system' %}"
        "{% set first = messages[0].content + '\n\n' %}{% set turns = messages[1:] %}"
        "{% else %}{% set first = '' %}{% set turns = messages %}{% endif %}"
        "{% for m in turns %}"
        "{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\n' }}"
        "{{ (first if loop.first else '') + m.content | trim + '<end_of_turn>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}",
        bos="<bos>",
        eos="<eos>",
        marks=("<start_of_turn>", "<end_of_turn>"),
        kind="gemma",
        opens=True,
        end="<end_of_turn>",
        system="joins",
    ),
    "mistral": Form(
        "{{ bos_token }}{% for m in messages %}"
        "{% if m.role == 'user' %}{{ '[INST] ' + m.content + ' [/INST]' }}"
        "{% elif m.role == 'assistant' %}{{ ' ' + m.content + eos_token }}"
        "{% else %}{{ raise_exception('only user and assistant') }}{% endif %}{% endfor %}",
        bos="<s>",
        eos="</s>",
        kind="pieces",
        opens=True,
        end="</s>",
        system="refuses",
    ),
    "phi3": Form(
        "{% for m in messages %}{% if m.role in ('user', 'assistant') %}"
        "{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}",
        bos="<s>",
        eos="<|endoftext|>",
        marks=("<|user|>", "<|assistant|>", "<|end|>"),
        kind="pieces",
        end="<|end|>",
        system="omits",
        strips=True,
    ),
    # Roles are named in plain text, which tokens like any other.
    "olmo": Form(
        "{{ eos_token }}{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content }}"
        "{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}{{ '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}",
        bos="",
        eos="<|endoftext|>",
        end="<|endoftext|>",
    ),
    "base": Form(None, bos="", eos="<|endoftext|>", end="<|endoftext|>"),
    "base that opens": Form(None, bos="<bos>", eos="<eos>", kind="gemma", opens=True, end="<eos>"),
}


@dataclass(frozen=True)
class Family:
    """A family of models.

    Args:
        model_type: As `config.json` names it.
        targets: The linear layers of one block, which an adapter sits on.
        blocks: Where the blocks are.
        forms: Forms of conversation it is tested in, its own first.
        tied: Whether its published small models use the input embeddings as head.
        settings: Further settings of its configuration.
        fan_in_fan_out: Whether its weights are stored the other way round.
    """

    model_type: str
    targets: tuple[str, ...] = (*ATTENTION, *GATED_MLP)
    blocks: str = "model.layers"
    forms: tuple[str, str] = ("llama", "base")
    tied: bool = False
    settings: tuple[tuple[str, object], ...] = ()
    fan_in_fan_out: bool = False

    def target_names(self, num_layers: int) -> set[str]:
        """Every layer an adapter sits on."""
        return {f"{self.blocks}.{i}.{name}" for i in range(num_layers) for name in self.targets}


FAMILIES = {
    family.model_type: family
    for family in (
        Family("llama", forms=("llama", "base"), tied=True),
        Family("qwen2", forms=("qwen2", "base"), tied=True),
        Family("qwen3", forms=("qwen3", "base")),
        Family(
            "gemma2",
            forms=("gemma2", "base that opens"),
            tied=True,
            settings=(("sliding_window", 8),),
        ),
        Family(
            "gemma3_text",
            forms=("gemma3_text", "base that opens"),
            tied=True,
            settings=(("sliding_window", 8),),
        ),
        Family("mistral", forms=("mistral", "base"), settings=(("sliding_window", 8),)),
        Family(
            "phi",
            targets=(*ATTENTION[:3], "self_attn.dense", "mlp.fc1", "mlp.fc2"),
            forms=("base", "chatml"),
        ),
        Family(
            "phi3",
            targets=(
                "self_attn.qkv_proj", "self_attn.o_proj", "mlp.gate_up_proj", "mlp.down_proj",
            ),
            forms=("phi3", "base"),
        ),
        Family("olmo", forms=("olmo", "base"), settings=(("clip_qkv", 8.0),)),
        Family("olmo2", forms=("olmo", "base")),
        Family(
            "gpt_neox",
            targets=(
                "attention.query_key_value", "attention.dense",
                "mlp.dense_h_to_4h", "mlp.dense_4h_to_h",
            ),
            blocks="gpt_neox.layers",
            forms=("base", "chatml"),
        ),
        Family(
            "gpt2",
            targets=("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"),
            blocks="transformer.h",
            forms=("base", "chatml"),
            tied=True,
            fan_in_fan_out=True,
        ),
    )
}  # fmt: skip
FORMS["chatml"] = CHATML


def make_config(family: Family, *, tied: bool, **changes):
    """The family's configuration, tiny."""
    from transformers import AutoConfig

    return AutoConfig.for_model(
        family.model_type,
        **{**SIZES, **NO_IDS, "tie_word_embeddings": tied, **dict(family.settings), **changes},
    )


def save_model(config, folder: Path) -> None:
    """Random weights of a configuration."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)


def save_seeing_gemma(folder: Path) -> None:
    """A Gemma 3 that reads pictures too, as the larger published ones do."""
    from transformers import Gemma3Config

    family = FAMILIES["gemma3_text"]
    text = make_config(family, tied=True).to_dict()
    vision = {
        "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2,
        "num_attention_heads": 2, "image_size": 28, "patch_size": 14,
    }  # fmt: skip
    save_model(
        Gemma3Config(
            text_config=text,
            vision_config=vision,
            mm_tokens_per_image=4,
            image_token_index=397,
            boi_token_index=398,
            eoi_token_index=399,
        ),
        folder,
    )


def save_tokenizer(form: Form, folder: Path) -> None:
    """A tokenizer of a form, as transformers writes one."""
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    control = list(dict.fromkeys(t for t in (form.bos, form.eos, *form.marks, "<pad>") if t))
    if form.kind == "bytes":
        tokenizer = _byte_tokenizer(control)
    else:
        tokenizer = _piece_tokenizer(control, form.kind == "pieces", form.strips)
    if form.opens:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{form.bos} $A", special_tokens=[(form.bos, tokenizer.token_to_id(form.bos))]
        )
    special = {"eos_token": form.eos, "pad_token": "<pad>"}
    if form.bos:
        special["bos_token"] = form.bos
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)
    fast.chat_template = form.template
    fast.save_pretrained(folder)


_TEXT = [
    "user assistant system Name the colour. Answer in a word. red green blue roses the sea"
] * 3


def _byte_tokenizer(control):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=310,
        special_tokens=control,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_TEXT, trainer)
    return tokenizer


def _piece_tokenizer(control, adds_space, strips):
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, trainers

    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    spaces = normalizers.Replace(" ", "\u2581")
    tokenizer.normalizer = (
        normalizers.Sequence([normalizers.Prepend("\u2581"), spaces]) if adds_space else spaces
    )
    steps = [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    if adds_space:
        steps.append(decoders.Strip(" ", 1, 0))
    tokenizer.decoder = decoders.Sequence(steps)
    bytes_ = [f"<0x{i:02X}>" for i in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=390, special_tokens=["<unk>", *bytes_, *control], show_progress=False
    )
    tokenizer.train_from_iterator(_TEXT, trainer)
    # Trained as special, so that they have an id; they are pieces like any other.
    model = tokenizer.model
    fresh = Tokenizer(model)
    fresh.normalizer, fresh.decoder = tokenizer.normalizer, tokenizer.decoder
    fresh.add_special_tokens(
        [AddedToken(t, special=True, normalized=False, rstrip=strips) for t in ["<unk>", *control]]
    )
    return fresh
