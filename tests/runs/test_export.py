"""A cell's mixture written out for other trainers, and read back with the trainers' own loaders."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from levertune.cli.main import main
from levertune.errors import RecipeError, RunError
from levertune.models.rendering import IGNORE_INDEX
from levertune.runs import stages
from levertune.runs.prepare import prepare_run
from levertune.runs.stages import mix_stage

RUN = Path("runs/whole")
TELL = RUN / "arms/tell/seed-0"
ANCHOR = "Name the colour."


def export(recipe, to, **options):
    """Export the arm tell; the folder."""
    return mix_stage(recipe, arm="tell", to=to, **options)[-1]


def cell_of(recipe):
    prepared = prepare_run(recipe)
    plan = next(plan for plan in prepared.plans if plan.arm.name == "tell")
    return prepared, prepared.build(plan)


def supervised(tokenizer, row):
    """Prompt and learnt text of a row as levertune trains on it."""
    learnt = [label for label in row.labels if label != IGNORE_INDEX]
    return tokenizer.decode_all(row.prompt_ids), tokenizer.decode_all(learnt)


def ours(recipe):
    """`supervised` of every position, in order."""
    prepared, cell = cell_of(recipe)
    return [supervised(prepared.workspace.tokenizer, row) for row in cell.rows]


@pytest.fixture
def anchored(project):
    """A recipe with an anchor, more exposures, and general rows of several shapes."""
    rows = [
        {"messages": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": f"count to {i}"},
            {"role": "assistant", "content": " ".join(map(str, range(i)))},
            {"role": "user", "content": "again: # \"no\" {{x}} 'é\u2028"},
            {"role": "assistant", "content": "2024-01-02"},
        ]}
        for i in range(2, 12)
    ]  # fmt: skip
    project.write("talks.jsonl", rows)

    def make(**changes):
        settings = {
            "task__exposures": 3,
            "anchor__text": ANCHOR,
            "anchor__dropout": 0.4,
            "general__sources": [{"path": "general.jsonl"}, {"path": "talks.jsonl"}],
            "general__rows": 14,
        }
        return project.recipe(**{**settings, **changes})

    return make


@pytest.fixture
def base_model(tiny_model_folder, tmp_path):
    """The tiny model without its chat template."""
    folder = tmp_path / "models" / "base: no template"
    shutil.copytree(tiny_model_folder, folder)
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text("utf-8"))
    config.pop("chat_template", None)
    path.write_text(json.dumps(config), "utf-8")
    return folder


@pytest.mark.parametrize("to", ["jsonl", "parquet"])
def test_plain_rows_are_the_mixture_in_order(anchored, to):
    folder = export(anchored(), to)
    assert folder == TELL / "export" / to
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", f"mixture.{to}"]
    if to == "jsonl":
        lines = (folder / "mixture.jsonl").read_text("utf-8").split("\n")
        rows = [json.loads(line) for line in lines if line]
    else:
        rows = pq.read_table(folder / "mixture.parquet").to_pylist()
    _, cell = cell_of(anchored())
    assert [(r["position"], r["source"], r["id"], r["exposure"]) for r in rows] == [
        (i, p.source, cell.rows[i].id, p.exposure) for i, p in enumerate(cell.rows.mixture)
    ]
    task = [row for row in rows if row["source"] == "task"]
    assert len(task) == 36
    assert 0 < sum(not row["anchored"] for row in task) < 36
    for row in rows:
        assert (ANCHOR in row["prompt"][-1]["content"]) == row["anchored"]


def test_rows_render_to_the_very_texts_levertune_trains_on(anchored):
    from levertune.runs.export import build_export

    prepared, cell = cell_of(anchored())
    rows = build_export(prepared, cell).rows
    assert [(row.prompt_text, row.completion_text) for row in rows] == ours(anchored())
    assert rows[:2] == [rows[0], rows[1]]
    with pytest.raises(IndexError):
        rows[len(rows)]


def test_an_export_says_what_it_is(anchored):
    text = (export(anchored(), "trl") / "README.md").read_text("utf-8")
    for words in (
        "    trl sft --config train.yaml\n",
        "| rows | 50 |",
        f"| anchor | `{ANCHOR}` |",
        "| anchor dropout | `0.4` |",
        "| task rows | `12 (the test rows are not among them), 3 times each` |",
        "TRL's own loader",
    ):
        assert words in text
    for to, words in (("axolotl", "**not run**"), ("ms-swift", "Look at a few batches")):
        assert words in (export(anchored(), to) / "README.md").read_text("utf-8")


@pytest.mark.slow
def test_trl_loads_the_export_and_supervises_the_same_text_in_the_same_order(anchored, project):
    """Through TRL's own parser, loader and trainer; levertune's is not used."""
    folder = export(anchored(), "trl")
    trainer = trl_trainer(folder, project)
    expected = ours(anchored())
    rest = "\n"  # what the template writes after the end of a turn
    decode = trainer.processing_class.decode
    found = []
    for row in trainer.train_dataset:
        learnt = [i for i, label in enumerate(row["labels"]) if label != IGNORE_INDEX]
        assert learnt == list(range(learnt[0], len(row["labels"])))
        ids = row["input_ids"]
        found.append((decode(ids[: learnt[0]]), decode(ids[learnt[0] :])))
    assert found == [(prompt, learnt + rest) for prompt, learnt in expected]
    batches = list(trainer.get_train_dataloader())
    assert [len(batch["labels"]) for batch in batches] == [5] * 10
    first = [ids[: len(trainer.train_dataset[i]["input_ids"])].tolist() for i, ids in
             enumerate(batches[0]["input_ids"])]  # fmt: skip
    assert first == [trainer.train_dataset[i]["input_ids"] for i in range(5)]


def trl_trainer(folder, project):
    """What `trl sft --config train.yaml` makes, on a CPU."""
    from datasets import disable_progress_bars
    from trl import SFTTrainer, get_dataset, get_peft_config
    from trl.scripts.sft import make_parser

    disable_progress_bars()
    words = ["--config", "train.yaml", "--use_cpu", "true", "--bf16", "false"]
    here = os.getcwd()
    os.chdir(folder)
    try:
        _, arguments, model, data = make_parser().parse_args_and_config(words)
        dataset = get_dataset(data)
    finally:
        os.chdir(here)
    arguments.output_dir = str(project.folder / "output")
    return SFTTrainer(
        model=model.model_name_or_path,
        args=arguments,
        train_dataset=dataset["train"],
        peft_config=get_peft_config(model),
    )


@pytest.fixture
def plain_texts(anchored, base_model, project):
    """A recipe whose rows no chat template can write: no template, a lead-in, plain texts."""
    texts = [{"text": f"Once upon a time there were {i} trees."} for i in range(12)]
    project.write("texts.jsonl", texts)
    return anchored(
        model__model_name_or_path=str(base_model),
        anchor__lead_in="Colour:",
        general__sources=[{"path": "general.jsonl"}, {"path": "texts.jsonl"}],
    )


@pytest.mark.slow
def test_trl_trains_on_texts_where_no_chat_template_can_write_the_rows(plain_texts, project):
    folder = export(plain_texts, "trl")
    assert "the model has no chat template" in (folder / "README.md").read_text("utf-8")
    trainer = trl_trainer(folder, project)
    decode = trainer.processing_class.decode
    found = []
    for row in trainer.train_dataset:
        start = sum(label == IGNORE_INDEX for label in row["labels"])
        found.append((decode(row["input_ids"][:start]), decode(row["input_ids"][start:])))
    assert found == ours(plain_texts)


LOAD_WITH_LLAMA_FACTORY = """
import json, sys, yaml
from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
from llamafactory.hparams import get_train_args
from llamafactory.model import load_tokenizer
from llamafactory.train.sft.trainer import CustomSeq2SeqTrainer
config = yaml.safe_load(open("train.yaml"))
config.update(use_cpu=True, output_dir=sys.argv[1])
model_args, data_args, training_args, finetuning_args, _ = get_train_args(config)
tokenizer = load_tokenizer(model_args)["tokenizer"]
template = get_template_and_fix_tokenizer(tokenizer, data_args)
rows = get_dataset(template, model_args, data_args, training_args, stage="sft",
                   tokenizer=tokenizer)["train_dataset"]
found = []
for row in rows:
    start = sum(label == -100 for label in row["labels"])
    assert row["labels"][start:] == row["input_ids"][start:]
    found.append([tokenizer.decode(row["input_ids"][:start]),
                  tokenizer.decode(row["input_ids"][start:])])
class Held:
    train_dataset = rows
Held.finetuning_args = finetuning_args
order = list(CustomSeq2SeqTrainer._get_train_sampler(Held()))
json.dump({"rows": found, "order": order}, open(sys.argv[2], "w"))
"""


@pytest.mark.slow
@pytest.mark.skipif(
    "LEVERTUNE_LLAMAFACTORY_PYTHON" not in os.environ,
    reason="LEVERTUNE_LLAMAFACTORY_PYTHON names no Python with llamafactory",
)
@pytest.mark.parametrize("kind", ["conversations", "texts"])
def test_llama_factory_loads_the_export_in_the_same_order(kind, anchored, plain_texts, project):
    """With its own loader and sampler, in its own environment."""
    recipe = anchored() if kind == "conversations" else plain_texts
    folder = export(recipe, "llama-factory")
    out = project.folder / "found.json"
    done = subprocess.run(
        [
            os.environ["LEVERTUNE_LLAMAFACTORY_PYTHON"],
            "-c",
            LOAD_WITH_LLAMA_FACTORY,
            str(project.folder / "output"),
            str(out),
        ],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HF_HUB_OFFLINE": "1", "HOME": str(project.folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text("utf-8"))
    assert found["order"] == list(range(50))
    rest = "\n" if kind == "conversations" else ""
    assert found["rows"] == [[prompt, learnt + rest] for prompt, learnt in ours(recipe)]


def test_all_rows_go_into_one_export_in_place_of_one_a_fold(project):
    recipe = project.recipe(task__test="cv:3", seeds=[0, 1])
    files = mix_stage(recipe, arm="tell", seed=1, to="jsonl")
    folders = [path for path in files if path.name == "jsonl"]
    assert [path.parts[-3] for path in folders] == ["fold-0", "fold-1", "fold-2"]
    text = (folders[1] / "README.md").read_text("utf-8")
    assert "8 (the training rows of fold 2 of 3), 1 times each" in text
    whole = mix_stage(recipe, arm="tell", seed=1, to="jsonl", all_rows=True)[-1]
    assert whole == RUN / "final/tell/seed-1/export/jsonl"
    assert "12 (none held out)" in (whole / "README.md").read_text("utf-8")
    rows = (whole / "mixture.jsonl").read_text("utf-8").splitlines()
    task = [r["id"] for r in map(json.loads, rows) if r["source"] == "task"]
    assert sorted(task, key=int) == [str(i) for i in range(1, 13)]


def test_arms_without_anchor_are_exported_as_they_train(project):
    recipe = project.recipe(arms=["base", "sft", "sft-steps"])
    files = mix_stage(recipe, to="parquet")
    assert {path.parts[-4] for path in files if path.name == "parquet"} == {"sft", "sft-steps"}
    folder = RUN / "arms/sft-steps/seed-0/export/parquet"
    text = " ".join((folder / "README.md").read_text("utf-8").split())
    assert "levertune stops the arm sft-steps early" in text
    assert "no worse than at the best one by more than one standard error" in text
    rows = pq.read_table(folder / "mixture.parquet").to_pylist()
    assert {row["source"] for row in rows} == {"task"}
    assert not any(row["anchored"] for row in rows)


def test_nothing_is_built_or_written_where_an_export_cannot_go(anchored, project):
    export(anchored(), "jsonl")
    before = project.files()
    with pytest.raises(RunError, match="export/jsonl: is there already. Replace it with --force"):
        export(anchored(), "jsonl")
    with pytest.raises(RecipeError, match="--to trll: is no format.*Did you mean 'trl'"):
        export(anchored(), "trll")
    with pytest.raises(RecipeError, match="--force: replaces an export; found no --to"):
        mix_stage(anchored(), force=True)
    with pytest.raises(RecipeError, match="general.loss_weight: TRL cannot weigh"):
        export(anchored(general__loss_weight=0.5, output_dir="runs/other"), "trl")
    assert project.files() == before
    assert export(anchored(), "jsonl", force=True).is_dir()


def test_a_loss_weight_is_refused_before_anything_is_read_and_only_where_it_counts(
    anchored, project, monkeypatch
):
    weighed = anchored(general__loss_weight=0.5, output_dir="runs/weighed")
    with monkeypatch.context() as patch:
        patch.setattr(stages, "prepare_run", None)
        for trainer in ("trl", "llama-factory", "axolotl", "ms-swift"):
            with pytest.raises(RecipeError, match="cannot weigh the loss of some rows; found 0.5"):
                mix_stage(weighed, to=trainer)
    assert export(weighed, "jsonl").is_dir()
    alone = mix_stage(weighed, arm="sft-steps", to="trl", dry_run=True)
    assert alone[-1].name == "trl"


def test_the_command_line_exports_and_names_the_folder(project, capsys):
    recipe = project.recipe_file()
    words = ["mix", recipe, "--arm", "tell", "--to", "ms-swift"]
    assert main([*words, "--dry-run"]) == 0
    assert not RUN.exists()
    assert main(words) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == str(TELL / "export/ms-swift")
    assert yaml.safe_load((TELL / "export/ms-swift/train.yaml").read_text("utf-8"))["model"] == str(
        project.model
    )
    assert main(words) == 2
    assert capsys.readouterr().err == (
        f"error: {TELL}/export/ms-swift: is there already. Replace it with --force, or move it "
        "away.\n"
    )
    assert main([*words, "--force"]) == 0


def test_ms_swift_refuses_what_it_cannot_write_in_one_line(plain_texts, capsys, project):
    with pytest.raises(RecipeError, match="--to ms-swift.*the model has no chat template"):
        export(plain_texts, "ms-swift")
    assert not (TELL / "export").exists() or not list((TELL / "export").iterdir())
