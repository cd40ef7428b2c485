"""Bad input to `check` and `run`: one clear line, exit status 2, nothing half-written."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import constants

from levertune.cli import main as main_module
from levertune.cli.main import main

pytestmark = pytest.mark.usefixtures("on_cpu")

VERBS = ("check", "run")


def put(name, content):
    """Write a file of any bytes; gives the settings that make it the task."""
    data = content if isinstance(content, bytes) else content.encode("utf-8")
    Path(name).write_bytes(data)
    return {"task__path": name}


def lines(*rows):
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)


def pair(prompt, completion, **more):
    return {"prompt": prompt, "completion": completion, **more}


GOOD = [pair("roses", "red"), pair("the sea", "blue"), pair("peas", "green")]

# What to put down, and what the line must say: the file, the place, what was found.
FILES = {
    "missing file": (None, ["none.jsonl: there is no such file"]),
    "empty file": ("", ["bad.jsonl", "empty"]),
    "blank file": ("\n \n", ["bad.jsonl", "holds no rows"]),
    "NUL bytes": (b'{"prompt": "a\0b", "completion": "c"}\n' * 2, ["bad.jsonl", "NUL"]),
    "binary": (bytes(range(256)) * 4, ["bad.jsonl"]),
    "broken JSON line": (lines(*GOOD, '{"prompt": "x", '), ["bad.jsonl, line 4", "JSON"]),
    "absurdly nested JSON": (lines(*GOOD, "[" * 100_000), ["bad.jsonl, line 4"]),
    "nested in a field": (
        lines('{"prompt": ' + "[" * 5000 + "]" * 5000 + ', "completion": "c"}'),
        ["bad.jsonl, line 1"],
    ),
    "row that is no object": (lines(*GOOD, '["a", "b"]'), ["bad.jsonl, line 4", "object"]),
    "prompt of the wrong type": (
        lines(*GOOD, pair(3, "red")),
        ["bad.jsonl, line 4", "'prompt' must be text; found a number"],
    ),
    "completion of the wrong type": (
        lines(*GOOD, pair("x", {"a": 1})),
        ["bad.jsonl, line 4", "'completion'", "found"],
    ),
    "wrong encoding": (
        lines(pair("x", "y"))[:-1].replace("x", "\xe9").encode("latin-1") + b"\n",
        ["bad.jsonl", "UTF-8", "0xe9", "encoding"],
    ),
    "row without completion": (
        lines(*GOOD, {"prompt": "x"}),
        ["bad.jsonl, line 4", "no completion", "'completion'"],
    ),
    "null completion": (lines(*GOOD, pair("x", None)), ["bad.jsonl, line 4", "null"]),
    "empty completion": (lines(*GOOD, pair("x", " ")), ["bad.jsonl, line 4", "'completion'"]),
    "mixed schemas": (
        lines(*GOOD, {"question": "x", "answer": "y"}),
        ["bad.jsonl, line 4", "mixed schemas", "question"],
    ),
    "duplicate ids": (
        lines(pair("a", "b", id="k1"), pair("c", "d", id="k1")),
        ["bad.jsonl, line 2", "'k1'", "line 1"],
    ),
    "one task row": (lines(GOOD[0]), ["bad.jsonl", "at least two", "found 1"]),
    "rows that are all too long": (
        lines(*(pair(f"{i} " + "long " * 200, "x") for i in range(3))),
        ["bad.jsonl", "all 3 task rows are longer than training.max_length", "200"],
    ),
}  # fmt: skip


@pytest.fixture
def refuse(project, capsys):
    """Runs a verb and gives its one line; nothing may have been written."""

    def _refuse(verb, *words, **changes):
        recipe = project.recipe_file(**changes)
        before = project.files()
        assert main([verb, recipe, *words]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert project.files() == before
        return err

    return _refuse


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("case", FILES)
def test_a_bad_task_file_is_one_line(refuse, verb, case):
    content, words = FILES[case]
    settings = {"task__path": "none.jsonl"} if content is None else put("bad.jsonl", content)
    line = refuse(verb, **settings)
    for word in words:
        assert word in line, line


@pytest.mark.parametrize("verb", VERBS)
def test_a_bad_test_or_general_file_is_named(refuse, verb):
    put("bad.jsonl", lines(*GOOD, "{"))
    assert "bad.jsonl, line 4" in refuse(verb, task__test="bad.jsonl")
    assert "bad.jsonl, line 4" in refuse(verb, general__sources=[{"path": "bad.jsonl"}])


@pytest.mark.parametrize("verb", VERBS)
def test_test_rows_that_are_training_rows_are_refused_unless_allowed_by_name(
    project, refuse, capsys, verb
):
    put("overlap.jsonl", lines(pair("roses", "red"), pair("ink", "blue")))
    line = refuse(verb, task__test="overlap.jsonl")
    assert "1 of 2 test rows are training rows too; found test row '1' as training row '4'" in line
    assert "task.allow_overlap=true" in line
    words = [] if verb == "check" else ["--dry-run"]
    assert main([verb, "recipe.yaml", "task.allow_overlap=true", *words]) == 0
    assert "training row" in capsys.readouterr().out


@pytest.mark.parametrize("verb", VERBS)
def test_a_source_whose_every_row_leaks_is_named_with_its_rows(refuse, verb):
    put("leak.jsonl", lines(pair("Tomato soup", "red"), pair("INK", "black")))
    line = refuse(verb, general__sources=[{"path": "leak.jsonl"}])
    assert "leak.jsonl: all 2 rows of general source 'leak' are like test rows" in line
    assert "general.test_leaks=keep" in line


@pytest.mark.parametrize("verb", VERBS)
def test_general_rows_like_test_rows_are_refused_where_the_recipe_says_so(refuse, verb):
    line = refuse(verb, general__test_leaks="refuse")
    assert "general.test_leaks: 1 of 19 general rows are like test rows" in line
    assert "row '19', which has the prompt of test row '1'" in line
    assert "found 'dorp'" in refuse(verb, general__test_leaks="dorp")


@pytest.mark.parametrize("verb", VERBS)
def test_an_unknown_key_is_refused_with_the_nearest_one(refuse, verb):
    line = refuse(verb, training__learningrate=1e-4)
    assert "training.learningrate" in line
    assert "learning_rate" in line


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("training.lora_r=0", ["training.lora_r", "found 0"]),
        ("training.learning_rate=-1", ["training.learning_rate", "found -1"]),
        ("anchor.placement=above", ["anchor.placement", "above"]),
        ("arms=[tell,told]", ["arms", "told"]),
        ("task.test=cv:99", ["task.test", "found 'cv:99'"]),
        ("num_train_epochs=3", ["num_train_epochs", "task.exposures"]),
    ],
)
def test_a_value_out_of_range_is_refused(refuse, verb, setting, words):
    line = refuse(verb, setting)
    for word in words:
        assert word in line, line


@pytest.mark.parametrize("verb", VERBS)
def test_more_folds_than_unlike_rows_are_refused(refuse, verb):
    line = refuse(verb, "task.test=cv:15")
    assert "task.test: cv:15 needs at least 15 rows with unlike prompts; found 12" in line
    assert "use fewer folds, as task.test=cv:12." in line


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("task.metric=nope", ["task.metric", "is no known metric; found 'nope'"]),
        ("task.metric=no_such_module:score", ["no_such_module"]),
        ("task.subset=13", ["task.subset: must be from 1 to the 12 training rows", "found 13"]),
        ("evaluation.retention=none.jsonl", ["none.jsonl: there is no such file"]),
        ("evaluation.retention=general.jsonl", ["'general.jsonl' is a general source too"]),
        ("anchor.lead_in=a<|im_end|>", ["anchor.lead_in: contains", "'<|im_end|>' of tiny-llama"]),
        ("anchor.text=<|im_start|> b", ["anchor.text: contains", "'<|im_start|>' of tiny-llama"]),
    ],
)
def test_what_would_stop_a_run_later_stops_it_here(refuse, verb, setting, words):
    line = refuse(verb, setting)
    for word in words:
        assert word in line, line


@pytest.mark.parametrize("verb", VERBS)
def test_rows_that_the_base_model_cannot_write_are_refused(project, refuse, verb):
    line = refuse(verb, general__sources=[{"path": "self-answers:none.jsonl"}])
    assert "none.jsonl: there is no such file" in line
    put("bad.jsonl", lines({"prompt": "Why?"}, {"prompt": 3}))
    assert "bad.jsonl, line 2" in refuse(
        verb, general__sources=[{"path": "self-answers:bad.jsonl"}]
    )
    shutil.copytree(project.model, "plain")
    Path("plain/chat_template.jinja").unlink()
    for path in ("self:4", "self-answers:general.jsonl"):
        line = refuse(verb, general__sources=[{"path": path}], model__model_name_or_path="plain")
        assert "plain: has no chat template, so it can write no requests or answers" in line


@pytest.mark.parametrize("verb", VERBS)
def test_a_subset_must_fit_into_every_fold(refuse, verb):
    line = refuse(verb, "task.subset=10", task__test="cv:4")
    assert "task.subset: must be from 1 to the 9 training rows there are; found 10" in line


@pytest.mark.parametrize("verb", VERBS)
def test_a_row_too_long_is_refused_unless_leaving_it_out_is_allowed(project, refuse, capsys, verb):
    put("long.jsonl", lines(*GOOD, pair("long " * 200, "x"), pair("a lawn", "green")))
    line = refuse(verb, task__path="long.jsonl")
    assert "long.jsonl: 1 of 5 task rows are longer than training.max_length=200" in line
    assert "found row '4' with " in line
    words = [] if verb == "check" else ["--dry-run"]
    assert main([verb, "recipe.yaml", "task.allow_dropped=true", *words]) == 0
    out = capsys.readouterr().out
    if verb == "check":
        assert "1 row of long.jsonl longer than 200 tokens, left out of training: 4." in out


@pytest.mark.parametrize("verb", VERBS)
def test_rows_too_long_that_no_cell_trains_on_stop_nothing(project, capsys, verb):
    put("long.jsonl", lines(*GOOD, pair("a lawn", "green"), pair("long " * 200, "x")))
    project.recipe_file(task__path="long.jsonl", arms=["base", "tell"])
    words = [] if verb == "check" else ["--dry-run"]
    found = [
        main([verb, "recipe.yaml", "task.subset=2", f"task.subset_seed={seed}", *words])
        for seed in (1, 2)
    ]
    assert found == [0, 2]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("key", ["path", "test"])
def test_a_control_token_is_named_with_its_line_and_field(refuse, verb, key):
    put("bad.jsonl", lines(pair("jam", "red"), pair("jeans!", "blue"), pair("x", "a<|im_end|>")))
    line = refuse(verb, **{f"task__{key}": "bad.jsonl"})
    assert "bad.jsonl, line 3, field 'completion': contains the control token '<|im_end|>'" in line
    assert "of tiny-llama; it would end or open a turn. Remove it." in line
    put("bad.csv", "Question,Answer\na<|im_start|>,b\nc,d\ne,f\n")
    line = refuse(verb, **{f"task__{key}": "bad.csv"})
    assert "bad.csv, line 2, field 'question': contains the control token '<|im_start|>'" in line


@pytest.mark.parametrize("verb", VERBS)
def test_control_tokens_in_other_rows_are_dropped_and_counted_or_refused(
    project, refuse, capsys, verb
):
    put("kept2.jsonl", lines(pair("spell it", "i<pad>t")))
    assert "kept2.jsonl, row '1': contains the control" in refuse(
        verb, evaluation__retention="kept2.jsonl"
    )
    put("rendered.jsonl", lines({"text": "<|im_start|>user"}, {"text": "hello<|im_end|>"}))
    assert "all 2 rows contain a control token of tiny-llama; found '<|im_start|>'" in refuse(
        verb, general__sources=[{"path": "rendered.jsonl"}]
    )
    text = Path("general.jsonl").read_text("utf-8")
    put("mixed.jsonl", text + lines(pair("one more", "<|im_end|>"), pair("and more", "<pad>")))
    project.recipe_file(general__sources=[{"path": "mixed.jsonl"}])
    found = warnings_of(verb, capsys, *(["--dry-run"] if verb == "run" else []))
    expected = "tiny-llama, dropped: 2 ('20' of mixed, '21' of mixed)."
    assert any(expected in line for line in found), found


@pytest.mark.parametrize("verb", VERBS)
def test_general_rows_are_counted_as_a_run_can_take_them(project, capsys, verb):
    """19 rows, one of which leaks and two of which are held out."""
    words = ["--dry-run"] if verb == "run" else []
    project.recipe_file()
    short = "general rows were asked for"
    assert not any(short in line for line in warnings_of(verb, capsys, "general.rows=16", *words))
    found = warnings_of(verb, capsys, "general.rows=17", *words)
    assert "warning: 17 general rows were asked for; there are 16." in found


@pytest.mark.parametrize("verb", VERBS)
def test_an_unknown_model_without_network_says_what_can_be_done(
    refuse, verb, tmp_path, monkeypatch
):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    line = refuse(verb, model__model_name_or_path="nobody/no-such-model")
    assert "model 'nobody/no-such-model': not a local folder, not in the Hub cache" in line
    assert "hf download nobody/no-such-model" in line
    assert "there is no such folder" in refuse(verb, model__model_name_or_path="./nowhere/x")


@pytest.mark.parametrize("verb", VERBS)
def test_a_hub_dataset_without_the_split_names_those_there_are(refuse, verb, monkeypatch):
    fake = SimpleNamespace(load_dataset=lambda name, config: {"train": [], "test": []})
    monkeypatch.setitem(sys.modules, "datasets", fake)
    line = refuse(verb, task__path="hub:owner/colours@validation", task__test=0.5)
    assert "hub:owner/colours@validation: has no split 'validation'" in line
    assert "found ['test', 'train']" in line


@pytest.mark.parametrize("verb", VERBS)
def test_the_run_folder_of_another_recipe_is_refused(project, refuse, verb):
    from levertune.recipes.dumping import dump_recipe

    folder = project.folder / "runs/whole"
    folder.mkdir(parents=True)
    old = project.recipe(training__lora_r=4, evaluation__batch_size=1)
    (folder / "recipe.yaml").write_text(dump_recipe(old, {}), "utf-8")
    line = refuse(verb)
    assert "runs/whole: holds the run of another recipe" in line
    assert "training.lora_r: 4 -> 2" in line
    assert "another output_dir" in line
    (project.folder / "runs/taken").write_text("", "utf-8")
    assert "runs/taken: is a file. Name a folder" in refuse(verb, output_dir="runs/taken")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no full device here")
def test_a_check_printed_to_a_full_disk_is_one_line(project):
    recipe = project.recipe_file()
    before = project.files()
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "levertune.cli.main", "check", recipe],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert done.stderr.startswith("error: the disk is full. Free some space, then type the same")
    assert project.files() == before


def test_a_full_disk_is_one_line_and_leaves_no_file(project, refuse, monkeypatch):
    def full(source, target):
        raise OSError(errno.ENOSPC, "No space left on device", str(source))

    monkeypatch.setattr(os, "replace", full)
    line = refuse("run", "--quiet")
    assert "runs/whole/recipe.yaml: the disk is full" in line


def test_a_run_folder_that_cannot_be_written_to_is_one_line(project, refuse, monkeypatch):
    def readonly(self, *args, **kwargs):
        raise OSError(errno.EROFS, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "mkdir", readonly)
    assert "Read-only file system" in refuse("run", "--quiet")


@pytest.mark.parametrize(
    ("verb", "source"),
    [
        *((verb, {"path": "http://127.0.0.1:1/rows.jsonl"}) for verb in VERBS),
        *((verb, {"path": "hub:a/b", "streaming": True, "max_rows": 3}) for verb in VERBS),
        ("run", {"path": "self:4"}),  # a check writes none
    ],
)
def test_a_cache_that_is_a_file_is_one_line(refuse, monkeypatch, verb, source):
    Path("taken").write_text("", "utf-8")
    monkeypatch.setenv("LEVERTUNE_CACHE", "taken")
    monkeypatch.setattr("levertune.data.hub_stream._find_revision", lambda name: None)
    line = refuse(verb, general__sources=[source])
    assert "taken: the cache cannot be used; found '" in line
    assert "Set LEVERTUNE_CACHE to a folder of your own." in line


def test_an_adapter_of_another_base_model_is_refused(project, capsys, make_foreign_adapter):
    folder = make_foreign_adapter(project.folder / "adapter")
    before = project.files()
    assert main(["generate", str(folder), "test.jsonl", "-o", "answers.jsonl"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: adapter: was trained on ")
    assert err.count("\n") == 1
    assert project.files() == before


@pytest.fixture
def make_foreign_adapter(project, monkeypatch):
    """Writes the files of an adapter whose base was another one of the same name."""
    from levertune.anchors.lift import Lifting
    from levertune.models.adapters import AdapterCard, write_card

    def make(folder):
        folder.mkdir()
        (folder / "adapter_config.json").write_text("{}", "utf-8")
        card = AdapterCard(project.model.name, "0" * 64, "tell", None, Lifting(), 4, "f")
        write_card(folder, card)
        # A local base model is found by its folder's name from where we stand.
        (project.folder / project.model.name).symlink_to(project.model)
        return folder

    return make


# Warned of, listed and counted: the work goes on.


def warnings_of(verb, capsys, *words):
    assert main([verb, "recipe.yaml", *words]) == 0
    out, err = capsys.readouterr()
    return [line for line in (out + err).splitlines() if line.startswith("warning: ")]


@pytest.mark.parametrize("verb", VERBS)
def test_what_deserves_a_look_is_warned_of_listed_and_counted(project, capsys, verb):
    lines_ = Path("task.jsonl").read_text("utf-8") + lines(pair("roses", "pink"))
    Path("task.jsonl").write_text(lines_, "utf-8")
    project.recipe_file(general__rows=100)
    found = warnings_of(verb, capsys, *(["--dry-run"] if verb == "run" else []))
    wanted = {
        "check": {
            "conflicts": ["1 prompt with conflicting completions: rows 4, 13"],
            "general rows": ["General rows like test rows, dropped: 1", "'19' like '1'"],
            "too few": ["100 general rows were asked for; there are 16."],
            "labels": ["1 label of test rows never seen in training: black"],
        },
        "run": {
            "conflicts": ["Prompts with more than one completion: 1", "'4', '13'"],
            "general rows": ["General rows like test rows, dropped: 1", "'19' like '1'"],
            "too few": ["100 general rows were asked for; there are 16."],
            "labels": ["Labels of test rows that no training row has: 1 ('black')."],
        },
    }[verb]
    for name, words in wanted.items():
        assert any(all(word in line for word in words) for line in found), (name, found)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("rows", "own", "said"),
    [
        (12, 3, "12 general rows were asked for; with the sources' own `rows` and `tokens` there "),
        (
            3,
            9,
            "3 general rows were asked for; by their own `rows` and `tokens` the sources give 9",
        ),
    ],
)
def test_rows_of_a_source_that_are_not_those_asked_for_are_said(
    project, capsys, verb, rows, own, said
):
    project.recipe_file(
        general__rows=rows, general__sources=[{"path": "general.jsonl", "rows": own}]
    )
    found = warnings_of(verb, capsys, *(["--dry-run"] if verb == "run" else []))
    assert any(said in line for line in found), found


@pytest.mark.parametrize("verb", VERBS)
def test_an_empty_general_source_is_named(refuse, verb):
    for content, words in (("", "the file is empty."), ("\n \n", "the file holds no rows.")):
        put("none.jsonl", content)
        line = refuse(verb, general__sources=[{"path": "none.jsonl"}, {"path": "general.jsonl"}])
        assert f"none.jsonl: {words} Put " in line
    Path("bare").mkdir()
    assert "bare: " in refuse(verb, general__sources=[{"path": "bare"}])


@pytest.mark.parametrize("verb", VERBS)
def test_parquet_files_of_one_source_with_other_columns_are_named(refuse, verb):
    import pyarrow
    from pyarrow import parquet

    Path("drift").mkdir()
    for name, column in (("a", "completion"), ("b", "answer")):
        table = pyarrow.table({"prompt": ["count up", "count down"], column: ["1 2", "2 1"]})
        parquet.write_table(table, f"drift/{name}.parquet")
    line = refuse(verb, general__sources=[{"path": "drift"}])
    assert (
        "drift/a.parquet and drift/b.parquet: Parquet files of one source must have the sa" in line
    )
    assert "'answer'" in line


@pytest.mark.parametrize("verb", VERBS)
def test_amounts_that_leave_nothing_to_draw_from_are_refused(refuse, verb):
    sources = [{"path": "general.jsonl", "weight": 0, "rows": 2}]
    line = refuse(verb, general__sources=sources)
    assert "6 of 8 rows of general.rows remain to be shared out by weight" in line


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("select", ["stratified", "bm25"])
def test_a_limit_in_tokens_that_no_general_row_fits_is_refused(refuse, verb, select):
    amounts = {"general__rows": None, "general__select": select}
    line = refuse(verb, general__tokens=2, **amounts)
    assert "general.tokens: 2 tokens of 'general' were asked for, and no row has so few" in line
    sources = [{"path": "general.jsonl", "tokens": 2}]
    assert "general.sources: 2 tokens of 'gen" in refuse(verb, general__sources=sources, **amounts)


@pytest.mark.parametrize("verb", [["check", "--task"], ["report"], ["chat"], ["init"]])
def test_a_name_too_long_for_any_file_is_one_line(verb, capsys):
    assert main([*verb, "word " * 70]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: word word")
    assert "is too long for the name of a file" in line


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_place_that_may_not_be_read_or_written_is_one_line(code, monkeypatch, capsys):
    def refused(words):
        raise PermissionError(code, os.strerror(code), "mine/recipe.yaml")

    monkeypatch.setattr(main_module, "_status_of", refused)
    assert main(["run", "mine"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line == (
        f"error: mine/recipe.yaml: {os.strerror(code)}. Check its permissions, or name another."
    )
