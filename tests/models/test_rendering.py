import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)
from transformers import PreTrainedTokenizerFast

from levertune.anchors.anchor import Anchor, Example, plain_example
from levertune.data.records import Message, Record
from levertune.errors import DataError, ModelError
from levertune.models.rendering import IGNORE_INDEX, ChatTokenizer

CHATML = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nBe of use.<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
HEADERS = (
    "{{ bos_token }}{% for m in messages %}"
    "{{ '<|head|>' + m['role'] + '<|/head|>\n\n' + m['content'] + '<|eot|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|head|>assistant<|/head|>\n\n' }}{% endif %}"
)
BRACKETS = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] + ' [/INST]' }}"
    "{% elif m['role'] == 'assistant' %}{{ ' ' + m['content'] + ' ' + eos_token }}"
    "{% else %}{{ raise_exception('only user and assistant turns') }}{% endif %}{% endfor %}"
)
NO_SPACE = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] }}"
    "{% if m['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
GENERATION = """{%- for m in messages %}
  {%- if m['role'] == 'assistant' %}
<|im_start|>assistant
    {%- generation %}
{{ '\n' + m['content'] }}<|im_end|>
    {%- endgeneration -%}
  {%- else %}
<|im_start|>{{ m['role'] }}
{{ m['content'] }}<|im_end|>
  {% endif %}
{%- endfor %}
{%- if add_generation_prompt %}
<|im_start|>assistant
{% endif %}"""
THINKING = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}"
    "{% if m['role'] == 'assistant' and loop.last %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
    "{{ m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
CONTROL = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|head|>", "<|/head|>", "<|eot|>"]
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}
USER_FIRST = (
    (Message("user", "How many?"),),
    (Message("user", "a"), Message("assistant", "b"), Message("user", "  c\n")),
)
WITH_SYSTEM = (Message("system", "Count."), Message("user", "How many?"))


def byte_tokenizer() -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: i for i, token in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(CONTROL)
    return tokenizer


def chat_tokenizer(template: str | None, **special: str) -> ChatTokenizer:
    return ChatTokenizer(byte_tokenizer(), template, {**SPECIAL, **special}, name="toy")


def transformers_text(template: str, messages, *, add_generation_prompt: bool) -> str:
    fast = PreTrainedTokenizerFast(tokenizer_object=byte_tokenizer(), **SPECIAL)
    return fast.apply_chat_template(
        [{"role": m.role, "content": m.content} for m in messages],
        chat_template=template,
        tokenize=False,
        add_generation_prompt=add_generation_prompt,
    )


def record(prompt="How many?", completion="Three.", *, row_id="1", source="task") -> Record:
    return Record(row_id, source, (Message("user", prompt),), completion)


def supervised_ids(tokenized) -> list[int]:
    return [label for label in tokenized.labels if label != IGNORE_INDEX]


@pytest.mark.parametrize(
    ("template", "conversations"),
    [
        pytest.param(CHATML, (*USER_FIRST, WITH_SYSTEM), id="chatml with a default system turn"),
        pytest.param(HEADERS, (*USER_FIRST, WITH_SYSTEM), id="headers"),
        pytest.param(BRACKETS, USER_FIRST, id="brackets and a space"),
        pytest.param(NO_SPACE, (*USER_FIRST, WITH_SYSTEM), id="no space before the answer"),
        pytest.param(GENERATION, (*USER_FIRST, WITH_SYSTEM), id="generation tag"),
    ],
)
def test_prompt_and_answer_are_what_transformers_writes(template, conversations):
    tokenizer = chat_tokenizer(template)
    for messages in conversations:
        rendered = tokenizer.render(Example("1", "task", messages, "Three."))
        prompt = transformers_text(template, messages, add_generation_prompt=True)
        whole = transformers_text(
            template, (*messages, Message("assistant", "Three.")), add_generation_prompt=False
        )
        assert tokenizer.render_prompt(messages) == rendered.prompt == prompt
        assert whole.startswith(rendered.prompt + rendered.completion + rendered.end)
        assert not (
            whole.removeprefix(rendered.prompt + rendered.completion + rendered.end)
        ).strip()


def test_a_block_the_template_puts_before_the_last_answer_goes_into_the_prompt():
    rendered = chat_tokenizer(THINKING).render(plain_example(record()))
    turns = (*record().prompt, Message("assistant", "Three."))
    whole = transformers_text(THINKING, turns, add_generation_prompt=False)
    assert rendered.prompt.endswith("<think>\n\n</think>\n\n")
    assert rendered.prompt + rendered.completion + rendered.end + "\n" == whole


def test_a_model_without_a_template_gets_the_plain_one():
    tokenizer = chat_tokenizer(None)
    rendered = tokenizer.render(Example("1", "task", WITH_SYSTEM, "Three."))
    assert rendered.prompt == "Count.\n\nInput: How many?\nOutput:"
    assert (rendered.completion, rendered.end) == (" Three.", "</s>")


def test_the_plain_template_opens_as_the_tokenizer_itself_opens_a_text():
    inner = byte_tokenizer()
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", inner.token_to_id("<s>"))]
    )
    tokenizer = ChatTokenizer(inner, None, SPECIAL)
    ids = tokenizer.tokenize(plain_example(record())).input_ids
    assert list(ids[: ids.index(tokenizer.encode("I")[0])]) == [inner.token_to_id("<s>")]
    text = tokenizer.tokenize(Example("1", "prose", (), "Once."))
    assert tokenizer.decode_all(text.input_ids) == "<s>Once.</s>"


@pytest.mark.parametrize("template", [CHATML, HEADERS, BRACKETS, NO_SPACE, GENERATION, None])
def test_the_loss_is_on_the_completion_and_its_end_only(template):
    tokenizer = chat_tokenizer(template)
    tokenized = tokenizer.tokenize(plain_example(record(completion="Halló, 3.")))
    supervised = supervised_ids(tokenized)
    end = len(supervised) - tokenized.num_end
    assert tokenizer.decode(supervised[:end]).strip() == "Halló, 3."
    assert tokenizer.decode_all(supervised[end:]) == tokenizer.end_text
    assert supervised[-1] == tokenizer.stop_ids[0]
    assert tokenized.num_supervised == len(supervised)


@settings(max_examples=40)
@given(
    prompt=st.text(min_size=1, max_size=40).filter(lambda t: not set("<|") & set(t)),
    completion=st.text(min_size=1, max_size=40).filter(lambda t: not set("<|") & set(t)),
    lead_in=st.sampled_from(["", "Answer:", "Answer: ", "{"]),
)
def test_training_prompts_are_the_ids_a_generation_starts_from(prompt, completion, lead_in):
    tokenizer = chat_tokenizer(CHATML)
    example = Example("1", "task", (Message("user", prompt),), completion, lead_in=lead_in)
    tokenized = tokenizer.tokenize(example)
    assert list(tokenized.prompt_ids) == tokenizer.encode_prompt(example)
    assert len(tokenized.labels) == len(tokenized.input_ids)
    text = tokenizer.decode_all(tokenized.input_ids)
    rendered = tokenizer.render(example)
    assert text == rendered.prompt + rendered.completion + rendered.end
    assert completion in text


def test_the_lead_in_opens_the_answer_and_is_never_in_the_loss():
    tokenizer = chat_tokenizer(CHATML)
    anchor = Anchor("Count what is named.", "system", lead_in="The count is ")
    tokenized = tokenizer.tokenize(anchor.apply(record()))
    assert tokenizer.decode_all(tokenized.prompt_ids).endswith("assistant\nThe count is")
    assert tokenizer.decode_all(supervised_ids(tokenized)) == " Three.<|im_end|>"


def test_the_loss_of_a_text_row_is_on_all_of_it():
    tokenized = chat_tokenizer(CHATML).tokenize(Example("1", "prose", (), "Once."))
    assert tokenized.prompt_ids == ()
    assert tokenized.input_ids == tokenized.labels


@pytest.mark.parametrize("place", ["prompt", "completion", "lead-in"])
def test_a_control_token_inside_the_data_is_refused(place):
    bad = "end <|im_end|> now"
    example = Example(
        "7",
        "task",
        (Message("user", bad if place == "prompt" else "a"),),
        bad if place == "completion" else "b",
        lead_in=bad if place == "lead-in" else "",
    )
    tokenizer = chat_tokenizer(CHATML)
    message = re.escape("task row '7': contains the control token '<|im_end|>' of toy")
    with pytest.raises(DataError, match=message):
        tokenizer.tokenize(example)
    if place != "completion":
        with pytest.raises(DataError, match=message):
            tokenizer.encode_prompt(example)


@pytest.mark.parametrize(
    ("template", "end", "stops"),
    [
        (CHATML, "<|im_end|>", ["<|im_end|>", "</s>"]),
        (HEADERS, "<|eot|>", ["<|eot|>", "</s>"]),
        (BRACKETS, " </s>", ["</s>"]),
        (None, "</s>", ["</s>"]),
    ],
)
def test_a_generation_stops_at_the_end_of_turn_and_of_sequence(template, end, stops):
    tokenizer = chat_tokenizer(template)
    assert tokenizer.end_text == end
    assert [tokenizer.decode_all([i]) for i in tokenizer.stop_ids] == stops


def test_a_template_that_ends_no_turn_needs_an_eos_token():
    template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    assert chat_tokenizer(template).end_text == "</s>"
    without = ChatTokenizer(byte_tokenizer(), template, {}, name="toy")
    with pytest.raises(ModelError, match="^toy: neither the chat template nor an eos_token"):
        _ = without.end_text


def test_tokenizers_that_open_with_a_space_add_none_inside_a_text():
    vocab = {"<unk>": 0, "<s>": 1, "</s>": 2}
    for text in ["\u2581", "\n", *"INSTabc?[]/.", "\u2581a", "\u2581b"]:
        vocab[text] = len(vocab)
    inner = Tokenizer(
        models.BPE(vocab, [("\u2581", "a"), ("\u2581", "b")], unk_token="<unk>", fuse_unk=True)
    )
    inner.normalizer = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    )
    inner.add_special_tokens(["<s>", "</s>"])
    tokenizer = ChatTokenizer(inner, BRACKETS, SPECIAL)
    tokenized = tokenizer.tokenize(plain_example(record("a", "b")))
    supervised = [inner.id_to_token(i) for i in supervised_ids(tokenized)]
    assert supervised == ["\u2581b", "\u2581", "</s>"]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{% for m in messages %}{{ m['content']", "its chat template is broken"),
        ("{{ raise_exception('no\n such turns') }}", r"refuses these turns \(.*\); no such turns"),
        ("{{ messages[0]['content'] + 1 }}", "refuses these turns"),
        ("{{ messages.append(1) }}", "refuses these turns"),
        ("{{ messages[0].missing.field }}", "refuses these turns"),
    ],
)
def test_a_broken_template_gives_one_line(template, message):
    with pytest.raises(ModelError, match=f"^toy: .*{message}") as caught:
        chat_tokenizer(template).render_prompt(USER_FIRST[0])
    assert "\n" not in str(caught.value)


def test_a_tokenizer_is_read_from_its_folder(tmp_path):
    inner = byte_tokenizer()
    inner.enable_truncation(4)
    inner.enable_padding(length=9)
    inner.save(str(tmp_path / "tokenizer.json"))
    config = {
        "eos_token": {"content": "<|im_end|>", "special": True},
        "chat_template": [
            {"name": "tools", "template": "x"},
            {"name": "default", "template": CHATML},
        ],
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "special_tokens_map.json").write_text('{"bos_token": "<s>"}', encoding="utf-8")
    tokenizer = ChatTokenizer.from_folder(tmp_path)
    assert tokenizer.chat_template == CHATML
    assert tokenizer.special_tokens == {"bos_token": "<s>", "eos_token": "<|im_end|>"}
    assert tokenizer.pad_id == inner.token_to_id("<|im_end|>")
    assert tokenizer.count("nothing is cut or padded") == len("nothing is cut or padded")
    (tmp_path / "chat_template.jinja").write_text(HEADERS, encoding="utf-8")
    assert ChatTokenizer.from_folder(tmp_path).chat_template == HEADERS


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("vocab.txt", "a", r"has no tokenizer.json; found no tokenizer file"),
        ("tokenizer.json", "{}", "tokenizer.json: cannot be read"),
        ("tokenizer_config.json", "{", "tokenizer_config.json: is not valid JSON"),
        (
            "tokenizer_config.json",
            '{"chat_template": [{}]}',
            "`chat_template` needs a `name` and a `template`",
        ),
        ("config.json", "[]", "/config.json: must hold a JSON object; found list"),
        ("chat_template.jinja", b"\xff", "/chat_template.jinja: cannot be read; 'utf-8' codec"),
    ],
)
def test_a_tokenizer_that_cannot_be_read_gives_one_line(tmp_path, name, content, message):
    if name != "vocab.txt":
        byte_tokenizer().save(str(tmp_path / "tokenizer.json"))
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ModelError, match=message) as caught:
        ChatTokenizer.from_folder(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("inside", [{}, {"text_config": True}])
def test_a_token_that_the_model_does_not_have_pads_nothing_and_stands_in_no_row(tmp_path, inside):
    """As where a pad token was added to a tokenizer and not to the embeddings."""
    inner = byte_tokenizer()
    size = inner.get_vocab_size()
    inner.add_special_tokens(["[PAD]"])
    inner.add_tokens(["levertune"])
    inner.save(str(tmp_path / "tokenizer.json"))
    special = {**SPECIAL, "pad_token": "[PAD]", "chat_template": CHATML}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(special), encoding="utf-8")
    assert ChatTokenizer.from_folder(tmp_path).pad_id == size
    config = {"text_config": {"vocab_size": size}} if inside else {"vocab_size": size}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tokenizer = ChatTokenizer.from_folder(tmp_path, "toy")
    assert tokenizer.pad_id == inner.token_to_id(SPECIAL["eos_token"]) < size
    known = Example("1", "task", (Message("user", "a lever"),), "tune")
    assert max(tokenizer.tokenize(known).input_ids) < size
    row = Example("7", "task", (Message("user", "what is levertune"),), "a tool")
    message = (
        f"^task row '7': comes to a token that toy does not have; found 'levertune', id {size + 1} "
        f"of {size}. Use the tokenizer the model was trained with, or take the text out of the "
        "row.$"
    )
    for read in (tokenizer.tokenize, tokenizer.encode_prompt):
        with pytest.raises(DataError, match=message):
            read(row)


def test_the_date_a_template_asks_for_is_fixed():
    tokenizer = chat_tokenizer("{{ strftime_now('%d %b %Y') }}{{ messages | tojson }}")
    prompt = tokenizer.render_prompt(USER_FIRST[0])
    assert prompt == '26 Jul 2024[{"role": "user", "content": "How many?"}]'


def test_the_token_that_ends_an_answer_and_the_one_put_before_texts_are_known(tiny_tokenizer):
    assert tiny_tokenizer.end_token == "<|im_end|>"
    assert tiny_tokenizer.start_text == ""


OMITS = "{% for m in messages if m['role'] != 'system' %}{{ m['content'] }}</s>{% endfor %}"


@pytest.mark.parametrize("template", [BRACKETS, OMITS], ids=["refused", "passed over"])
def test_a_system_turn_without_a_place_opens_the_first_users_turn(template):
    tokenizer = chat_tokenizer(template)
    assert not tokenizer.has_system_role
    turns = (*WITH_SYSTEM, Message("assistant", "Two."), Message("user", "And now?"))
    joined = (Message("user", "Count.\n\nHow many?"), *turns[2:])
    assert tokenizer.place_system_turn(turns) == joined
    assert tokenizer.place_system_turn(joined) == joined
    assert tokenizer.render_prompt(turns) == tokenizer.render_prompt(joined)
    whole = tokenizer.render(Example("1", "task", turns, "Three."))
    assert whole == tokenizer.render(Example("1", "task", joined, "Three."))


def test_a_system_turn_with_a_place_stays_there():
    tokenizer = chat_tokenizer(HEADERS)
    assert tokenizer.place_system_turn(WITH_SYSTEM) == WITH_SYSTEM
    assert "<|head|>system<|/head|>" in tokenizer.render_prompt(WITH_SYSTEM)


def test_an_answer_behind_a_token_that_swallows_white_space_begins_as_transformers_begins_it():
    vocab = {"<unk>": 0}
    for text in ["\u2581", "\n", *"abc?", "\u2581a", "\u2581b"]:
        vocab[text] = len(vocab)
    inner = Tokenizer(
        models.BPE(vocab, [("\u2581", "a"), ("\u2581", "b")], unk_token="<unk>", fuse_unk=True)
    )
    inner.normalizer = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    )
    control = ("<|user|>", "<|assistant|>", "<|end|>")
    inner.add_special_tokens([AddedToken(t, special=True, rstrip=True) for t in control])
    template = (
        "{% for m in messages %}{{ '<|' + m['role'] + '|>\n' + m['content'] + '<|end|>\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
    )
    tokenizer = ChatTokenizer(inner, template, {"eos_token": "<|end|>"})
    tokenized = tokenizer.tokenize(plain_example(record("a", "b")))
    fast = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|end|>")
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    theirs = fast.apply_chat_template(turns, chat_template=template, return_dict=True)["input_ids"]
    assert list(tokenized.input_ids) == theirs
    assert [inner.id_to_token(i) for i in supervised_ids(tokenized)] == ["\u2581b", "<|end|>"]
