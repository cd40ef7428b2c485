import contextlib
import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.errors import RecipeError
from levertune.recipes.dumping import annotate_recipe, dump_recipe
from levertune.recipes.general_section import GeneralSection, GeneralSource
from levertune.recipes.hints import _MEANT, _SECTION_MEANT, all_keys
from levertune.recipes.loading import (
    apply_overrides,
    load_recipe,
    recipe_for_task,
    recipe_from_mapping,
)
from levertune.recipes.recipe import Recipe
from levertune.recipes.reference import recipe_reference, recipe_schema
from levertune.recipes.yaml_text import MAX_BYTES, format_value, parse_yaml, resolve_scalar

DOCS = Path(__file__).parent.parent / "docs"


def design_yaml() -> str:
    text = (DOCS / "design.md").read_text(encoding="utf-8")
    section = text[text.index("## The recipe") :]
    return re.search(r"```yaml\n(.*?)```", section, re.S)[1]


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def reload(tmp_path: Path, text: str) -> Recipe:
    return load_recipe(write(tmp_path / "again.yaml", text))


# Reading


def test_the_recipe_of_the_design_is_read_as_written(tmp_path):
    recipe = load_recipe(write(tmp_path / "recipe.yaml", design_yaml()))
    assert recipe.task.path == "tickets.csv"
    assert recipe.task.prompt == "{message}"
    assert recipe.task.exposures == "auto"
    assert recipe.anchor.text == "auto"
    assert recipe.anchor.lead_in is None
    assert [source.source_name for source in recipe.general.sources] == [
        "embedded-skills",
        "embedded-self",
        "tulu-3-sft-mixture",
    ]
    assert recipe.general.sources[2].max_rows == 50000
    assert recipe.mixture.order == "shuffle"
    assert recipe.training.effective_batch_size == 8
    assert recipe.arms == ("base", "sft", "sft-steps", "tell")
    assert recipe.seeds == (0,)
    assert recipe.output_dir == "runs/tickets"


def test_the_design_states_the_defaults(tmp_path):
    recipe = load_recipe(write(tmp_path / "recipe.yaml", design_yaml()))
    default = recipe_for_task("tickets.csv")
    for section in ("anchor", "mixture", "model", "training", "evaluation", "arms", "seeds"):
        assert getattr(recipe, section) == getattr(default, section), section


def test_a_task_file_alone_makes_a_recipe():
    recipe = recipe_for_task("data/tickets.csv", ["seeds=3"])
    assert recipe.output_dir == "runs/tickets"
    assert recipe.seeds == (0, 1, 2)


def test_a_hub_task_names_the_run_folder_after_the_data_set():
    assert recipe_for_task("hub:owner/name:config@train").output_dir == "runs/name"


def test_a_recipe_cannot_be_changed():
    recipe = recipe_for_task("a.csv")
    with pytest.raises(ValueError, match="frozen"):
        recipe.training.lora_r = 3
    assert hash(recipe) == hash(recipe_for_task("a.csv"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("5e-05", 5e-5),
        ("no", "no"),
        ("2026-01-01", "2026-01-01"),
        ("1:30", "1:30"),
        ("010", 10),
        ("0x1f", 31),
        ("1_000", "1_000"),
        ("true", True),
        ("~", None),
        ("-.inf", float("-inf")),
        ("'42'", "42"),
        ("[1, {a: b}]", [1, {"a": "b"}]),
        ("", None),
    ],
)
def test_scalars_follow_yaml_1_2(text, value):
    assert parse_yaml(text, "x").value == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", r"x, line 1: is not valid YAML"),
        ("a: 1\nb: c: d", r"x, line 2: is not valid YAML"),
        ("a: \x01", r"x: is not valid YAML"),
        ("a: 1\nb: 2\na: 3", r"x, line 3: has the key 'a' a second time"),
        ("a: &x [1]\nb: *x", r"x, line 2: has the alias \*x"),
        ("a: !!python/object:os.system ls", r"x, line 1: has the tag 'tag:yaml.org"),
        ("1: a", r"x, line 1: has a key that is not text; found 1"),
        ("? [a]\n: 1", r"x, line 1: has a key that is not text\."),
        ("%YAML 1.1\n---\na: no", r"asks for another YAML than 1.2"),
        ("a: 1\n---\nb: 2", r"begins a second document"),
        ("[" * 30, r"nested deeper than 20 levels"),
        ("{a: " * 3000, r"nested deeper than 20 levels"),
        ("a" * (MAX_BYTES + 1), r"is too long"),
        ('a: "\\U00110000"', r"x: is not valid YAML: a value cannot be read"),
        ('a: "\\UFFFFFFFF"', r"x: is not valid YAML: a value cannot be read"),
    ],
)
def test_yaml_that_is_broken_or_hostile_is_refused_with_its_line(text, message):
    with pytest.raises(RecipeError, match=message) as caught:
        parse_yaml(text, "x")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"there is no such file\. Write a recipe with: levertune init FILE"),
        (b"", r"must be a mapping of keys; found nothing"),
        (b"- a", r"must be a mapping of keys; found list"),
        (b"a: \xff", r"is not UTF-8 text; found byte 0xff at position 3"),
        (b"a: \x00", r"found a NUL byte"),
        (b"#" + b"\xc3\xa9" * MAX_BYTES, r"is too long"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path, content, message):
    path = tmp_path / "recipe.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecipeError, match=message):
        load_recipe(path)


def test_a_folder_is_not_a_recipe_file(tmp_path):
    with pytest.raises(RecipeError, match="is a folder"):
        load_recipe(tmp_path)


def test_a_path_that_cannot_be_opened_is_refused():
    with pytest.raises(RecipeError, match="cannot be read"):
        load_recipe("a\0b")


# What is wrong, in one line


WRONG = [
    ("task.promt=x", "task.promt: is not a recipe key. Did you mean task.prompt?"),
    ("trainin.lora_r=8", "trainin: is not a recipe key. Did you mean training?"),
    ("learning_rate=1", "learning_rate: is not a recipe key. Did you mean training.learning_rate?"),
    ("cutoff_len=1", "cutoff_len: is not a recipe key. Did you mean training.max_length?"),
    ("base_model=x", "Did you mean model.model_name_or_path?"),
    ("lora_rank=8", "Did you mean training.lora_r?"),
    ("batch_size=8", "training.effective_batch_size or evaluation.batch_size?"),
    ("training.xyzzy=8", "training.xyzzy: is not a recipe key. Known here: learning_rate, "),
    ("general.sources.0.wieght=1", "Did you mean general.sources.0.weight?"),
    ("num_train_epochs=3", "counts how often each task row is trained on, not epochs or steps"),
    ("training.max_steps=3", "Set task.exposures."),
    ("epochs=3", "Set task.exposures."),
    ("version=2", "version: must be `1`; found 2."),
    ("task=a.csv", "task: must be a section of keys and values; found 'a.csv'. Did you mean "),
    ("model=a/b", "Did you mean model.model_name_or_path=a/b?"),
    ("training=3", "training: must be a section of keys and values; found 3."),
    ("task.path=null", "task.path: must be text that is not blank; found None."),
    ("task.path=' '", "task.path: must be text that is not blank; found ' '."),
    ("task.test=cv:1", "or `cv:K` with K from 2 to 20; found 'cv:1'."),
    (
        "task.test=1",
        "a share of the rows above 0 and below 1, or `cv:K` with K from 2 to 20; found 1",
    ),
    (
        "task.exposures=0",
        "must be a whole number of at least 1 and at most 10000, or `auto`; found",
    ),
    ("task.exposures=true", "found True."),
    ("task.exposures=1.5", "found 1.5."),
    ("task.subset=1", "task.subset: must be a whole number of at least 2, or null; found 1."),
    ("task.encoding=klingon", "the name of a text encoding, as `utf-8` or `latin-1`, or null"),
    ("anchor.placement=top", "must be one of `prefix`, `system`, `suffix`; found 'top'."),
    ("task.prompt_language=German", "must be a language tag that begins with a code of ISO 639-1"),
    (
        "anchor={text: null, dropout: 0.1}",
        "anchor.dropout: leaves an anchor out; found 0.1 with anchor.text=null. Give an anchor, or "
        "remove it.",
    ),
    (
        "anchor={text: null, lead_in: 'Code:'}",
        "anchor.lead_in: goes with an anchor; found 'Code:' with anchor.text=null. Give an anchor, "
        "or remove it.",
    ),
    (
        "task={path: 'embedded:ticket_codes', encoding: utf-8}",
        "task.encoding: is not used: the rows that come along are UTF-8; found 'utf-8' with "
        "task.path=embedded:ticket_codes. Leave it out.",
    ),
    (
        "general.sources=[{path: embedded-skills, encoding: utf-8}]",
        "rows that come along are UTF-8",
    ),
    ("anchor.dropout=1", "must be a number of at least 0 and below 1; found 1."),
    ("general.sources=a.csv", "general.sources: must be a list of sections; found 'a.csv'."),
    ("general.sources=[a.csv]", "general.sources.0: must be a section of keys and values"),
    ("general.sources=[{weight: 1}]", "general.sources.0.path: is missing."),
    ("general.sources=[{path: a/x.csv}, {path: b/x.csv}]", "two sources are called 'x'. Give"),
    ("general.sources=[{path: task.csv}]", "'task' is the name of the task rows. Give"),
    ("general.sources=[{path: x, weight: -1}]", "must be a number of at least 0"),
    (
        "general.sources=[{path: x, weight: 0}, {path: y, weight: 0}]",
        "general.sources: the weights sum to 0, so that nothing can be drawn; found [0.0, 0.0].",
    ),
    (
        "general.sources=[{path: x, weight: 0, rows: 0}]",
        "a whole number of at least 1, or null; fo",
    ),
    (
        "general={rows: null, tokens: 500, sources: [{path: x, weight: 0, rows: 4}]}",
        "500 tokens of general.tokens remain to be shared out by weight, and every source has an "
        "amount of its own or weight 0; found weights [0.0]. Raise one without an amount of its "
        "own, or set general.tokens=null.",
    ),
    (
        "general={rows: null, tokens: 500, sources: [{path: x, rows: 4}]}",
        "500 tokens of general.tokens remain",
    ),
    (
        "general={rows: 20, sources: [{path: x, rows: 4}, {path: y, weight: 0}]}",
        "16 of 20 rows of general.rows remain to be shared out by weight, and every source",
    ),
    ("general={rows: null, sources: [{path: x}]}", "nothing says how much to take of them; found"),
    ("general.sources=[{path: 'self:0'}]", "'self:0' must be self:N with N from 1 to 1,000,000"),
    ("general.sources=[{path: 'self:many'}]", "'self:many' must be self:N"),
    ("general.sources=[{path: 'self-answers:'}]", "must name a file of prompts"),
    ("general.sources=[{path: 'self-answers:self:3'}]", "must name a file of prompts"),
    (
        "general.sources=[{path: 'self:500', max_rows: 50}]",
        "general.sources: max_rows is for rows that are read, and the base model writes "
        "'self:500'; found max_rows 50. Write self:50, or rows: 50 to take so many of them.",
    ),
    (
        "general.sources=[{path: 'self:500', prompt: '{a}'}]",
        "general.sources: prompt of 'self:500' is not used: the base model writes these rows; "
        "found '{a}'. Leave it out, or write self-answers:FILE to name prompts.",
    ),
    ("general.sources=[{path: 'self:500', completion: '{a}'}]", "completion of 'self:500' is not"),
    (
        "general.sources=[{path: 'self:500', encoding: cp1252}]",
        "encoding of 'self:500' is not used",
    ),
    (
        "general.sources=[{path: 'self-answers:p.jsonl', completion: '{a}'}]",
        "completion of 'self-answers:p.jsonl' is not used: the base model writes the completions;",
    ),
    (
        "general.sources=[{path: 'hub:a/b', encoding: cp1252}]",
        "encoding of 'hub:a/b' is not used: a Hub data set is no text file; found 'cp1252'. Leave "
        "it out.",
    ),
    (
        "general.sources=[{path: 's3://b/rows/*.parquet', encoding: cp1252}]",
        "encoding of 's3://b/rows/*.parquet' is not used: a Parquet file says itself how its text "
        "is written; found 'cp1252'. Leave it out.",
    ),
    (
        "general.sources=[{path: rows.XLSX, encoding: cp1252}]",
        "encoding of 'rows.XLSX' is not used: an XLSX file says itself",
    ),
    (
        "general.sources=[{path: 'self-answers:p.arrow', encoding: cp1252}]",
        "encoding of 'self-answers:p.arrow' is not used: an Arrow file says itself",
    ),
    (
        "task={path: 'hub:a/b', encoding: cp1252}",
        "task.encoding: is not used: a Hub data set is no text file; found 'cp1252' with "
        "task.path=hub:a/b. Leave it out.",
    ),
    (
        "task={path: rows.xlsx, test: more.parquet, encoding: cp1252}",
        "task.encoding: is not used: an XLSX file says itself how its text is written; found "
        "'cp1252' with task.path=rows.xlsx and task.test=more.parquet. Leave it out.",
    ),
    (
        "general.sources=[{path: 'self-answers:hub:a/b', encoding: cp1252}]",
        "encoding of 'self-answers:hub:a/b' is not used",
    ),
    (
        "general.sources=[{path: x, min_characters: 9, max_characters: 3}]",
        "min_characters of 'x' is above max_characters; found 9 and 3. Swap them.",
    ),
    ("general.sources=[{path: x, streaming: true}]", "streaming is for a Hub data set with max_r"),
    ("general.sources=[{path: 'hub:a/b', streaming: true}]", "with max_rows None. Set max_rows"),
    (
        "general.sources=[{path: x, rows: 1, tokens: 2}]",
        "'x' has both `rows` and `tokens`; found 1",
    ),
    (
        "general={rows: 3, tokens: 4}",
        "general.rows: stands beside general.tokens; found 3 rows and",
    ),
    ("training.learning_rate=2", "must be a number above 0 and at most 1, or `auto`; found 2."),
    ("training.learning_rate=.nan", "found nan."),
    ("training.max_grad_norm=.inf", "found inf."),
    ("training.report_to=mlflow", "`none`, or a list out of `trackio`, `wandb`, `tensorboard`;"),
    ("training.lora_target_modules=q", "`all-linear`, or a list, each item text that is not"),
    ("training.lora_target_modules=[q, q]", "found ['q', 'q']."),
    ("training.gradient_checkpointing=yes", "must be true or false, or `auto`; found 'yes'."),
    ("arms=[tel]", "`base`, `sft`, `sft-steps`, `sft-plain`, `tell`; found 'tel'."),
    ("arms=[]", "arms: must be a list of distinct arms"),
    ("seeds=0", "a count N of 1 to 1000 for the seeds 0 to N-1; found 0."),
    ("seeds=10000000000", "found 10000000000."),
    ("seeds=[1, 1]", "found [1, 1]."),
    ("seeds=[-1]", "found -1."),
]


@pytest.mark.parametrize(("override", "message"), WRONG)
def test_a_wrong_key_or_value_is_told_in_one_line(override, message):
    with pytest.raises(RecipeError, match=re.escape(message)) as caught:
        recipe_for_task("a.csv", ["general.sources=[{path: a}]", override])
    assert "\n" not in str(caught.value)
    assert "pydantic" not in str(caught.value)


@pytest.mark.parametrize(
    "task",
    [
        {"path": "rows.csv"},
        {"path": "rows.csv", "test": "more.parquet"},
        {"path": "rows.parquet", "test": "more.csv"},
    ],
)
def test_an_encoding_that_some_file_may_need_is_taken(task):
    recipe = recipe_from_mapping({"task": {**task, "encoding": "cp1252"}})
    assert recipe.task.encoding == "cp1252"


def test_a_mistake_in_a_file_is_told_with_its_line(tmp_path):
    path = write(tmp_path / "r.yaml", "task:\n  path: a.csv\ntraining:\n  lora_r: 0\n")
    with pytest.raises(RecipeError, match=r"r\.yaml, line 4: training\.lora_r: must be a whole"):
        load_recipe(path)
    with pytest.raises(RecipeError, match=r"^training\.lora_r: must be"):
        load_recipe(path, ["training.lora_r=-1"])
    assert load_recipe(path, ["training.lora_r=4"]).training.lora_r == 4


@pytest.mark.parametrize(
    "word", ["None", "none", "off", "no", '"false"', "Auto", "AUTO", '"null"', '" NONE "']
)
def test_a_setting_in_other_letters_does_not_stand_on_every_prompt(tmp_path, word):
    path = write(tmp_path / "r.yaml", f"task: {{path: a.csv}}\nanchor:\n  text: {word}\n")
    shown = word.strip('"')  # as it was written, blanks and all
    message = (
        f"r.yaml, line 3: anchor.text: would put the word on every task prompt; found {shown!r}. "
        "Write null for no anchor, auto in small letters, or a sentence."
    )
    with pytest.raises(RecipeError, match=re.escape(message) + "$"):
        load_recipe(path)
    with pytest.raises(RecipeError, match=r"^evaluation\.anchor: would put .* auto, trained in"):
        recipe_for_task("a.csv", [f"evaluation.anchor={word}"])


def test_settings_of_the_anchor_and_sentences_that_begin_like_one_are_taken():
    assert recipe_for_task("a.csv", ["anchor.text=null"]).anchor.text is None
    for text in ("auto", "No.", "None of these labels may be left out.", "Trained"):
        assert recipe_for_task("a.csv", [f"anchor.text={text}"]).anchor.text == text
    assert recipe_for_task("a.csv", ["evaluation.anchor=trained"]).evaluation.anchor == "trained"
    with pytest.raises(RecipeError, match=r"^evaluation\.anchor: .*found 'Trained'"):
        recipe_for_task("a.csv", ["evaluation.anchor=Trained"])


@pytest.mark.parametrize("order", ["general-then-task", "task-then-general"])
@pytest.mark.parametrize("schedule", ["anneal", "refine"])
def test_an_anchor_that_changes_needs_task_rows_all_along_the_order(tmp_path, schedule, order):
    text = f"task: {{path: a.csv}}\nmixture: {{order: {order}}}\nanchor:\n  schedule: {schedule}\n"
    path = write(tmp_path / "r.yaml", text)
    message = (
        f"r.yaml, line 4: anchor.schedule: {schedule} goes by shares of the whole training, and "
        f"the task rows stand at one end of it; found mixture.order={order}. Set mixture.order="
        "shuffle or anchor.schedule=constant."
    )
    with pytest.raises(RecipeError, match=re.escape(message) + "$"):
        load_recipe(path)
    with pytest.raises(RecipeError, match=r"^anchor\.schedule: "):
        recipe_for_task("a.csv", [f"mixture.order={order}", f"anchor.schedule={schedule}"])
    assert load_recipe(path, ["anchor.schedule=constant"]).mixture.order == order
    assert load_recipe(path, ["mixture.order=even"]).anchor.schedule == schedule


def test_a_mistake_in_a_list_item_replaced_from_the_command_line_has_no_line(tmp_path):
    path = write(tmp_path / "r.yaml", "task: {path: a.csv}\narms: [base]\n")
    with pytest.raises(RecipeError, match=r"^arms\.0: must be"):
        load_recipe(path, ["arms=[tel]"])


def test_a_recipe_without_a_task_is_refused(tmp_path):
    with pytest.raises(RecipeError, match=r"task\.path: is missing\. Name the file"):
        load_recipe(write(tmp_path / "r.yaml", "seeds: 1\n"))
    with pytest.raises(RecipeError, match=r"task\.path: is missing"):
        load_recipe(write(tmp_path / "r.yaml", "task: {metric: chrf}\n"))


def test_a_misspelt_key_is_told_before_the_one_missing_for_it():
    with pytest.raises(RecipeError, match=r"task\.pth: is not a recipe key\. Did you mean task\.p"):
        recipe_from_mapping({"task": {"pth": "a.csv"}})


def test_mappings_that_are_no_recipe_are_refused_in_one_line():
    for mapping in ({1: 2}, {"task": {1: 2}}, {"task": []}):
        with pytest.raises(RecipeError) as caught:
            recipe_from_mapping(mapping)
        assert "\n" not in str(caught.value)


@settings(max_examples=60)
@given(
    st.sampled_from(sorted(all_keys(Recipe))),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner),
        max_leaves=4,
    ),
)
def test_any_value_for_any_key_is_taken_or_refused_as_a_fault_of_the_recipe(key, value):
    section, _, name = key.partition(".")
    mapping = {"task": {"path": "a.csv"}}
    if name:
        mapping.setdefault(section, {})[name] = value
    else:
        mapping[section] = value
    with contextlib.suppress(RecipeError):
        assert recipe_from_mapping(mapping)


def test_every_hint_names_a_key_there_is():
    known = set(all_keys(Recipe))
    assert set(_MEANT.values()) <= known
    assert set(_SECTION_MEANT.values()) <= known


# Overrides


def test_overrides_take_yaml_values_and_leave_the_mapping_alone():
    mapping = {"task": {"path": "a.csv"}, "general": {"sources": [{"path": "g.csv"}]}}
    changed = apply_overrides(
        mapping,
        ["training.learning_rate=1e-4", "general.sources.0.weight=2", "arms=[base, tell]"],
    )
    assert changed["training"] == {"learning_rate": 1e-4}
    assert changed["general"]["sources"][0] == {"path": "g.csv", "weight": 2}
    assert changed["arms"] == ["base", "tell"]
    assert mapping == {"task": {"path": "a.csv"}, "general": {"sources": [{"path": "g.csv"}]}}


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("task.prompt={message}", "{message}"),
        ("task.prompt=Premise: {p}\nClaim: {c}", "Premise: {p}\nClaim: {c}"),
        ("task.prompt=[x", "[x"),
        ("task.prompt=42", "42"),
        ("task.prompt=a=b", "a=b"),
        ("task.prompt='42'", "42"),
        ("task.prompt=null", None),
    ],
)
def test_a_value_for_a_text_key_is_taken_as_it_stands(override, value):
    assert recipe_for_task("a.csv", [override]).task.prompt == value


def test_a_number_for_a_key_of_text_or_number_stays_a_number():
    assert recipe_for_task("a.csv", ["task.test=0.25"]).task.test == 0.25


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seeds", r"'seeds': is no override\. Write key=value"),
        ("=3", r"is no override"),
        ("task..path=3", r"is no override"),
        ("training.lora_r=[", r"override 'training\.lora_r=\[', line 1: is not valid YAML"),
        ("general.sources.4.weight=1", r"general\.sources is a list of 1 items.*found 4"),
        ("general.sources.x=1", r"is a list of 1 items.*found 'x'"),
        ("task.path.x=1", r"task\.path is no section; found 'a\.csv'\. Set task\.path itself"),
    ],
)
def test_an_override_that_leads_nowhere_is_refused(override, message):
    mapping = {"task": {"path": "a.csv"}, "general": {"sources": [{"path": "g.csv"}]}}
    with pytest.raises(RecipeError, match=message):
        apply_overrides(mapping, [override])


# Writing


def test_a_dumped_recipe_reads_back_equal_and_carries_its_reasons(tmp_path):
    recipe = load_recipe(
        write(tmp_path / "r.yaml", design_yaml()),
        ["anchor.text=Say 'yes': \"no\" #1", "training.learning_rate=1e-05", "seeds=2"],
    )
    text = dump_recipe(recipe, {"training.learning_rate": "for a\nsmall model", "seeds": "asked"})
    assert "  learning_rate: 1e-05  # for a small model\n" in text
    assert "seeds: [0, 1]  # asked\n" in text
    assert reload(tmp_path, text) == recipe


def test_an_annotated_recipe_describes_every_key_and_reads_back_equal(tmp_path):
    recipe = recipe_for_task("a.csv")
    text = annotate_recipe(recipe, {"model.model_name_or_path": "offline"})
    assert reload(tmp_path, text) == recipe
    flat = " ".join(line.strip(" #") for line in text.splitlines())
    for key in all_keys(Recipe):
        field = Recipe
        for part in key.split("."):
            found = field.model_fields[part]
            field = found.annotation
        assert found.description in flat, key
    assert max(map(len, text.splitlines())) <= 100


@settings(max_examples=80)
@given(st.text(min_size=1).filter(lambda text: text.strip() and "\0" not in text))
def test_any_text_survives_writing_and_reading(text):
    recipe = recipe_from_mapping({"task": {"path": text, "prompt": text}, "output_dir": "x"})
    value = parse_yaml(dump_recipe(recipe, {"task.path": text}), "x").value
    assert recipe_from_mapping(value) == recipe


@settings(max_examples=80)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(10**18), 10**18)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_any_value_survives_formatting(value):
    assert parse_yaml(format_value(value), "x").value == value


def test_words_that_yaml_1_1_takes_for_booleans_are_quoted():
    assert [format_value(word) for word in ("no", "On", "y", "null", "1e-4", "auto")] == [
        '"no"',
        '"On"',
        '"y"',
        '"null"',
        '"1e-4"',
        "auto",
    ]
    assert resolve_scalar("no") == "no"


# The reference


def test_the_reference_page_is_the_one_the_models_describe():
    page = (DOCS / "reference" / "recipe.md").read_text(encoding="utf-8")
    assert page == recipe_reference(), (
        "run: levertune schema --markdown -o docs/reference/recipe.md"
    )


def test_the_schema_covers_every_key_and_is_json():
    schema = json.loads(json.dumps(recipe_schema()))
    assert set(schema["properties"]) == set(Recipe.model_fields)
    assert schema["additionalProperties"] is False
    for definition in (schema, *schema["$defs"].values()):
        for name, entry in definition["properties"].items():
            assert entry.get("description") or "$ref" in entry, name


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("x/y.tar.csv", "y.tar"),
        ("hub:a/b:c@d", "b"),
        ("hub:b", "b"),
        ("embedded-self", "embedded-self"),
        ("s3://bucket/deep/rows.v2.parquet", "rows.v2"),
        ("s3://bucket/deep/*.parquet", "deep"),
        ("https://me:pw@host/rows.csv?token=abc", "rows"),
        ("gs://bucket", "bucket"),
        ("data/web/*.jsonl", "web"),
        ("self:200", "self"),
        ("self-answers:asked/prompts.jsonl", "prompts-answers"),
        ("self-answers:https://host/prompts.jsonl", "prompts-answers"),
        ("https://[malformed/rows.csv", "rows"),
    ],
)
def test_a_source_is_named_after_its_path(path, name):
    assert GeneralSource(path=path).source_name == name
    assert GeneralSource(path=path, name="mine").source_name == "mine"


@pytest.mark.parametrize(
    "settings",
    [
        {"path": "self:500", "rows": 50, "min_characters": 3, "name": "own"},
        {"path": "self-answers:p.csv", "prompt": "{q}", "encoding": "cp1252", "max_rows": 5},
        {"path": "hub:a/b", "prompt": "{q}", "completion": "{a}", "max_rows": 5, "streaming": True},
    ],
)
def test_settings_that_a_source_looks_at_are_accepted(settings):
    assert GeneralSource(**settings).path == settings["path"]
    assert GeneralSection(sources=[settings]).sources[0].path == settings["path"]


def test_a_fault_of_a_section_that_names_no_key_of_it_is_one_line_all_the_same(monkeypatch):
    def fail(*args):
        raise ValueError("no good")

    monkeypatch.setattr("levertune.recipes.general_section.fault_of_sources", fail)
    with pytest.raises(RecipeError, match="^general: no good.$"):
        recipe_from_mapping({"task": {"path": "a.csv"}, "general": {}})
