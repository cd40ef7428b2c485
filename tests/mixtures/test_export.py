"""A mixture written out for each trainer: rows, order, configuration, and what is refused."""

import json
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from levertune.anchors.anchor import Example
from levertune.data.records import Message
from levertune.errors import DataError, RecipeError, RunError
from levertune.mixtures.export.files import turn_type, write_parquet, write_yaml
from levertune.mixtures.export.rows import Export, ExportRow, TemplateFacts, TrainerSettings
from levertune.mixtures.export.write import FORMATS, check_format, write_export

TRAINERS = ("trl", "llama-factory", "axolotl", "ms-swift")

SETTINGS = TrainerSettings(
    model="some/model",
    revision=None,
    trust_remote_code=False,
    dtype="auto",
    learning_rate=1e-05,
    effective_batch_size=4,
    warmup_steps=3,
    lr_scheduler_type="cosine",
    weight_decay=0.01,
    max_grad_norm=1.0,
    lora_r=8,
    lora_alpha=16,
    lora_dropout=0.05,
    lora_target_modules="all-linear",
    max_length=128,
    seed=7,
    logging_steps=5,
    gradient_checkpointing=None,
)
CHAT = TemplateFacts(
    has_chat_template=True, start_text="", end_token="<|im_end|>", eos_token="<|im_end|>"
)
AWKWARD = (
    "2024-01-02", "no", "~", "1e-5", "- a: b #", '"quoted" \\ {{x}} ${HOME} `id` $(id)',
    "line\nbreak\r\n\ttab", "\u2028\u0085\ufeff", "é 漢字 \U0001f600", " spaces ", "null",
)  # fmt: skip


def row(position, completion, *turns, source="general", lead_in="", anchored=False, exposure=0):
    messages = tuple(Message(role, text) for role, text in turns)
    return ExportRow(
        position=position,
        exposure=exposure,
        example=Example(f"r{position}", source, messages, completion, lead_in, anchored),
        prompt_text="".join(f"<{role}>{text}" for role, text in turns) + lead_in,
        completion_text=f"{completion}<|im_end|>",
    )


def mixture(**changes):
    rows = [row(i, text, ("user", f"say {text}")) for i, text in enumerate(AWKWARD)]
    n = len(rows)
    rows += [
        row(n, "red", ("system", "S"), ("user", "Q\nmoss"), source="task", anchored=True),
        row(n + 1, "b", ("user", "x"), ("assistant", "a"), ("user", "y")),
        row(n + 2, "red", ("user", "moss"), source="task", exposure=1),
    ]
    return replace(Export(tuple(rows), SETTINGS, CHAT), **changes)


def config_of(folder):
    return yaml.safe_load((folder / "train.yaml").read_text("utf-8"))


def parquet_of(folder):
    return pq.read_table(folder / "train.parquet").to_pylist()


def conversation_of(r):
    turns = [{"role": m.role, "content": m.content} for m in r.example.messages]
    return [*turns, {"role": "assistant", "content": r.example.completion}]


def read_conversations(name, folder):
    """The conversations a trainer's rows say, in order."""
    if name == "ms-swift":
        lines = (folder / "train.jsonl").read_text("utf-8").split("\n")
        return [json.loads(line)["messages"] for line in lines if line]
    rows = parquet_of(folder)
    if name == "trl":
        return [r["prompt"] + r["completion"] for r in rows]
    return [[{k: t[k] for k in ("role", "content")} for t in r["messages"]] for r in rows]


@pytest.mark.parametrize("name", TRAINERS)
def test_every_trainer_gets_the_rows_in_order_byte_for_byte(tmp_path, name):
    export = mixture()
    folder = write_export(export, name, tmp_path / "out")
    assert read_conversations(name, folder) == [conversation_of(r) for r in export]


@pytest.mark.parametrize("name", ["trl", "llama-factory"])
def test_rows_say_where_they_come_from(tmp_path, name):
    rows = parquet_of(write_export(mixture(), name, tmp_path / "out"))
    keys = ("position", "source", "id", "exposure", "anchored")
    assert [[r[k] for k in keys] for r in rows[-3:]] == [
        [11, "task", "r11", 0, True],
        [12, "general", "r12", 0, False],
        [13, "task", "r13", 1, False],
    ]


@pytest.mark.parametrize(
    ("name", "order"),
    [
        (
            "trl",
            {
                "train_sampling_strategy": "sequential",
                "shuffle_dataset": False,
                "packing": False,
                "completion_only_loss": True,
            },
        ),
        (
            "llama-factory",
            {
                "disable_shuffling": True,
                "packing": False,
                "train_on_prompt": False,
                "mask_history": True,
            },
        ),
        (
            "axolotl",
            {
                "shuffle_merged_datasets": False,
                "curriculum_sampling": True,
                "sample_packing": False,
                "dataset_exact_deduplication": False,
                "train_on_inputs": False,
            },
        ),
        (
            "ms-swift",
            {
                "dataset_shuffle": False,
                "train_dataloader_shuffle": False,
                "packing": False,
                "loss_scale": "last_round",
            },
        ),
    ],
)
def test_configurations_keep_order_loss_and_last_batch(tmp_path, name, order):
    config = config_of(write_export(mixture(), name, tmp_path / "out"))
    assert {key: config[key] for key in order} == order
    assert config["dataloader_drop_last"] is False
    assert config["gradient_accumulation_steps"] == 1
    assert 4 in (config.get("micro_batch_size"), config.get("per_device_train_batch_size"))
    assert (config.get("num_epochs") or config.get("num_train_epochs")) == 1
    assert 8 in (config.get("lora_r"), config.get("lora_rank"))
    assert 128 in [config.get(k) for k in ("max_length", "cutoff_len", "sequence_len")]
    found = {k: config[k] for k in ("learning_rate", "warmup_steps", "seed", "lora_alpha")}
    assert found == {"learning_rate": 1e-05, "warmup_steps": 3, "seed": 7, "lora_alpha": 16}
    assert config["bf16"] is True


@pytest.mark.parametrize("name", TRAINERS)
def test_settings_are_given_back_by_yaml_as_they_were(tmp_path, name):
    strange = "/models/no: #1 'a' \"b\" é"
    export = mixture(
        settings=replace(
            SETTINGS,
            model=strange,
            revision="1e3",
            trust_remote_code=True,
            dtype="float32",
            lora_target_modules=("q_proj", "on"),
            gradient_checkpointing=True,
        )
    )
    config = config_of(write_export(export, name, tmp_path / "out"))
    assert strange in config.values()
    assert "1e3" in config.values()
    assert any(config.get(k) in (["q_proj", "on"], "q_proj,on") for k in config if "target" in k)
    assert config["bf16"] is False
    assert True not in (config.get("lora_target_linear"), config.get("shuffle_dataset"))


@pytest.mark.parametrize("name", TRAINERS)
def test_code_that_comes_with_a_model_is_never_run_unasked(tmp_path, name):
    config = config_of(write_export(mixture(), name, tmp_path / "out"))
    assert not config.get("trust_remote_code")


def test_axolotl_learns_the_answer_alone(tmp_path):
    folder = write_export(mixture(), "axolotl", tmp_path / "out")
    for r in parquet_of(folder):
        *before, answer = [turn["train"] for turn in r["messages"]]
        assert answer
        assert not any(before)
    dataset = config_of(folder)["datasets"][0]
    assert (dataset["type"], dataset["message_field_training"]) == ("chat_template", "train")


def test_axolotl_is_told_of_an_end_of_turn_that_is_no_eos(tmp_path):
    export = mixture(template=replace(CHAT, eos_token="</s>"))
    assert config_of(write_export(export, "axolotl", tmp_path / "a"))["eot_tokens"] == [
        "<|im_end|>"
    ]
    assert "eot_tokens" not in config_of(write_export(mixture(), "axolotl", tmp_path / "b"))


# Rows no chat template can write.


PLAIN = {
    "has no chat template": {"template": replace(CHAT, has_chat_template=False)},
    "row 'r0' is a plain text": {"rows": (row(0, "a text"), row(1, "b", ("user", "q")))},
    "row 'r0' begins its answer with a lead-in": {
        "rows": (row(0, "b", ("user", "q"), lead_in="Answer:"),)
    },
}


@pytest.mark.parametrize("reason", PLAIN)
@pytest.mark.parametrize("name", ["trl", "llama-factory", "axolotl"])
def test_rows_that_are_no_conversation_are_written_as_rendered_texts(tmp_path, name, reason):
    export = mixture(**PLAIN[reason])
    folder = write_export(export, name, tmp_path / "out")
    rows = parquet_of(folder)
    if name == "axolotl":
        found = [tuple(s["text"] for s in r["segments"]) for r in rows]
        assert all([s["label"] for s in r["segments"]] == [False, True] for r in rows)
        assert config_of(folder)["datasets"][0]["type"] == "input_output"
    else:
        found = [(r["prompt"], r["completion"]) for r in rows]
    assert found == [(r.prompt_text, r.completion_text) for r in export]
    assert reason in (folder / "README.md").read_text("utf-8")
    if name == "llama-factory":
        assert config_of(folder)["template"] == "empty"
        info = json.loads((folder / "dataset_info.json").read_text("utf-8"))["levertune"]
        assert info["columns"] == {"prompt": "prompt", "response": "completion"}


@pytest.mark.parametrize("reason", PLAIN)
def test_ms_swift_refuses_them_and_says_why(tmp_path, reason):
    with pytest.raises(RecipeError, match=f"--to ms-swift: it writes every row.*{reason}"):
        write_export(mixture(**PLAIN[reason]), "ms-swift", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_trl_gets_no_start_token_twice_and_the_right_end(tmp_path):
    rows = tuple(replace(r, prompt_text=f"<s>{r.prompt_text}") for r in mixture())
    facts = TemplateFacts(False, start_text="<s>", end_token="<|im_end|>", eos_token="</s>")
    folder = write_export(mixture(rows=rows, template=facts), "trl", tmp_path / "out")
    assert [r["prompt"] for r in parquet_of(folder)] == [r.prompt_text for r in mixture()]
    assert config_of(folder)["eos_token"] == "<|im_end|>"


def test_trl_refuses_rows_with_two_different_ends(tmp_path):
    odd = replace(row(0, "a text"), completion_text="a text</s>")
    with pytest.raises(DataError, match="general row 'r0': TRL ends every row with one token"):
        write_export(mixture(rows=(odd,)), "trl", tmp_path / "out")


def test_llama_factory_refuses_a_prompt_it_would_change(tmp_path):
    odd = (row(0, "b", ("user", "{{idx}}")),)
    with pytest.raises(DataError, match="row 'r0': LLaMA-Factory replaces '{{idx}}'"):
        write_export(mixture(rows=odd), "llama-factory", tmp_path / "out")
    with pytest.raises(DataError, match="row 'r0': LLaMA-Factory replaces '{{idx}}'"):
        write_export(
            mixture(rows=odd, template=replace(CHAT, has_chat_template=False)),
            "llama-factory",
            tmp_path / "out",
        )


@pytest.mark.parametrize("name", TRAINERS)
def test_a_loss_weight_no_trainer_knows_is_refused(tmp_path, name):
    weighed = replace(SETTINGS, general_loss_weight=0.2)
    with pytest.raises(RecipeError, match="general.loss_weight: .* found 0.2. Set it to 1"):
        write_export(mixture(settings=weighed), name, tmp_path / "out")
    task = tuple(r for r in mixture() if r.example.source == "task")
    write_export(mixture(settings=weighed, rows=task), name, tmp_path / "out")


# The folder.


def test_an_export_that_is_there_is_replaced_only_by_force(tmp_path):
    place = tmp_path / "a" / "trl"
    write_export(mixture(), "trl", place)
    (place / "mine").write_text("x")
    with pytest.raises(RunError, match="trl: is there already. Replace it with --force"):
        write_export(mixture(), "trl", place)
    assert (place / "mine").exists()
    write_export(mixture(), "trl", place, force=True)
    assert sorted(p.name for p in place.iterdir()) == ["README.md", "train.parquet", "train.yaml"]
    assert [p.name for p in place.parent.iterdir()] == ["trl"]


def test_a_failed_export_leaves_the_one_before(tmp_path):
    place = write_export(mixture(), "parquet", tmp_path / "out")
    before = (place / "mixture.parquet").read_bytes()
    half = (row(0, "half \ud800", ("user", "q")),)
    with pytest.raises(DataError, match=r"rows 0 to 0: a text holds half a surrogate pair"):
        write_export(mixture(rows=half), "parquet", place, force=True)
    assert (place / "mixture.parquet").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    write_export(mixture(rows=half), "jsonl", tmp_path / "lines")


def test_an_unknown_format_names_the_nearest():
    with pytest.raises(RecipeError, match="--to llama_factory: is no format.*'llama-factory'"):
        check_format("llama_factory")
    with pytest.raises(RecipeError, match="--to x: is no format; there are trl, .* one of them"):
        check_format("x")


@pytest.mark.parametrize("name", FORMATS)
def test_every_folder_says_how_to_train_and_what_differs(tmp_path, name):
    facts = (("anchor", "a | b `c`\nd"),)
    folder = write_export(mixture(facts=facts, notes=("A note.",)), name, tmp_path / "out")
    text = (folder / "README.md").read_text("utf-8")
    assert "| rows | 14 |" in text
    assert "| anchor | `` a \\| b `c` d `` |" in text
    assert "\nA note.\n" in text
    assert "## What is different from `levertune train`" in text
    assert ("**not run**" in text) == (name == "axolotl")


# Values.


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.one_of(
    texts, st.sampled_from(AWKWARD), st.integers(), st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False), st.lists(texts, max_size=3),
)  # fmt: skip


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from(["a", "b_c", "on"]), values))
@example({"a": "0\x85"})
@example({"on": ["x\u2028y", "\u2029"]})
def test_yaml_gives_back_any_value(tmp_path_factory, given_values):
    path = tmp_path_factory.getbasetemp() / "v.yaml"
    write_yaml(path, {**given_values, "gone": None}, "two\nlines")
    assert (yaml.safe_load(path.read_text("utf-8")) or {}) == given_values


@settings(max_examples=30)
@given(st.lists(texts, min_size=1, max_size=5))
def test_parquet_gives_back_any_text(tmp_path_factory, contents):
    path = tmp_path_factory.getbasetemp() / "p.parquet"
    rows = [{"messages": [{"role": "user", "content": text}]} for text in contents]
    write_parquet(path, rows, {"messages": turn_type()})
    assert pq.read_table(path).to_pylist() == rows


def test_dates_stay_texts_through_the_reader_that_trainers_use(tmp_path):
    """`datasets` reads dates in JSON lines as timestamps, which is why rows are Parquet."""
    from datasets import disable_progress_bars, load_dataset

    disable_progress_bars()
    rows = tuple(row(i, f"2024-01-0{i + 1}", ("user", f"2023-01-0{i + 1}")) for i in range(5))
    folder = write_export(mixture(rows=rows), "trl", tmp_path / "out")
    found = load_dataset(
        "parquet",
        data_files=str(folder / "train.parquet"),
        split="train",
        cache_dir=str(tmp_path / "cache"),
    )
    assert [r["completion"][0]["content"] for r in found] == [r.example.completion for r in rows]
