"""General sources in a whole run: what is left out is listed, and no secret is written."""

import json

import pytest

from levertune.cli.main import main
from levertune.recipes.loading import load_recipe
from levertune.runs.check import check_recipe
from levertune.runs.prepare import prepare_run, write_recipe
from levertune.runs.run import run_recipe


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LEVERTUNE_CACHE", str(tmp_path / "cache"))


def test_rows_left_out_by_length_are_said_counted_and_listed(project):
    sources = [{"path": "general.jsonl", "min_characters": 15, "rows": 30}]
    prepared = prepare_run(project.recipe(general={"sources": sources, "rows": 4}))
    dropped = [row for row in prepared.inputs.dropped if "min_characters" in row["reason"]]
    assert {row["source"] for row in dropped} == {"general"}
    (said,) = [line for line in prepared.warnings if "by length" in line]
    assert said.startswith(f"general: {len(dropped)} of 19 rows left out by length")
    kept = sum(map(len, prepared.chooser.pool.values())) + len(prepared.probes.general_heldout)
    assert kept + len(prepared.inputs.dropped) == 19
    assert any("30 rows of 'general' were asked for" in line for line in prepared.warnings)


def test_rows_left_out_for_their_lengths_are_counted_together(project):
    rows = [(f"count to {i}", "1 " * i) for i in (4, 5, 6, 300, 310, 320)]
    sources = [{"path": project.write("lengths.jsonl", [("a", "b"), ("a", "cd"), *rows])}]
    sources[0] |= {"min_characters": 5}
    general = {"sources": sources, "rows": 6}
    recipe = project.recipe(general=general, arms=["tell"], evaluation__general_heldout=0)
    dropped = run_recipe(recipe).result.dropped
    assert dropped.by_reason == {
        "with fewer characters than min_characters 5": 2,
        "with more tokens than max_length 200": 3,
    }
    assert dropped.count == 5


def test_a_source_without_weight_is_not_even_opened(project):
    sources = [{"path": "no-such.jsonl", "weight": 0}, {"path": "general.jsonl"}]
    prepared = prepare_run(project.recipe(general={"sources": sources, "rows": 4}))
    assert set(prepared.chooser.pool) == {"general"}


@pytest.fixture
def web_url(project, tmp_path, monkeypatch):
    """A URL with a password and a signature, of a remote copy of `general.jsonl`."""
    import fsspec
    from fsspec.implementations.memory import MemoryFileSystem

    class Vault(MemoryFileSystem):
        protocol = "vault"
        store: dict = {}
        pseudo_dirs = [""]

        @classmethod
        def _strip_protocol(cls, path):
            return "/" + path.split("?")[0].rsplit("/", 1)[-1]

    fsspec.register_implementation("vault", Vault, clobber=True)
    with Vault().open("/general.jsonl", "wb") as file:
        file.write((project.folder / "general.jsonl").read_bytes())
    return "vault://me:hunter2secret@host/general.jsonl?sig=a1f0deadbeef"


def test_no_secret_of_a_url_is_written_by_a_run_and_it_goes_on_from_its_folder(
    project, web_url, monkeypatch, capsys
):
    arms = {"arms": ["base"], "evaluation__test_rows": 2}
    sources = {"sources": [{"path": web_url}], "rows": 4}
    path = project.recipe_file(general=sources, **arms)
    monkeypatch.setattr("sys.argv", ["levertune", "run", f"general.sources=[{{path: {web_url}}}]"])
    run_dir = project.folder / "runs" / "whole"
    said = []
    run_recipe(load_recipe(path), say=said.append)
    (project.folder / path).unlink()
    texts = [file.read_text("utf-8", "replace") for file in project.folder.rglob("*.*")
             if file.is_file()]  # fmt: skip
    for secret in ("hunter2secret", "a1f0deadbeef"):
        assert not [text for text in [*texts, *said] if secret in text]
    assert "vault://host/general.jsonl" in (run_dir / "recipe.yaml").read_text("utf-8")
    command = json.loads((run_dir / "result.json").read_text("utf-8"))["command"]
    assert "vault://host/general.jsonl" in command
    # Neither the recipe with the secrets nor the saved one without them is another recipe.
    prepare_run(project.recipe(general=sources, **arms))
    write_recipe(prepare_run(load_recipe(run_dir / "recipe.yaml")))


POOLS = ["git+https://me:hunter2secret@host.invalid/a", "git+https://hunter2secret@host.invalid/b"]


def test_no_password_of_a_pool_is_written_by_a_run_and_it_goes_on_from_its_folder(project):
    recipe = project.recipe(anchor__pools=POOLS)
    prepared = prepare_run(recipe)
    write_recipe(prepared)
    path = prepared.run_dir / "recipe.yaml"
    assert "hunter2secret" not in path.read_text("utf-8")
    prepare_run(recipe)
    prepare_run(load_recipe(path))
    # One that was written before pools lost their passwords.
    text = path.read_text("utf-8").replace("https://host.invalid/a", "https://me:pw@host.invalid/a")
    path.write_text(text, "utf-8")
    assert prepare_run(recipe).recipe == prepared.recipe


def test_pools_with_a_password_are_fetched_before_it_is_lost(project, monkeypatch):
    fetched = []
    monkeypatch.setattr("levertune.anchors.pool.places.locate", fetched.append)
    prepare_run(project.recipe(anchor__pools=[*POOLS, "git+https://host.invalid/c"]))
    assert not fetched
    prepare_run(
        project.recipe(
            anchor__pools=[*POOLS, "git+https://host.invalid/c"], anchor__schedule="refine"
        )
    )
    assert fetched == POOLS


def test_what_sources_wait_for_is_shown_by_check_and_by_the_run_after_it(
    project, web_url, parrot, watched
):
    project.write("asked.jsonl", [{"prompt": "Where do swallows go?"}, {"prompt": "And storks?"}])
    sources = [{"path": web_url}, {"path": "self:6"}, {"path": "self-answers:asked.jsonl"}]
    recipe = project.recipe(general={"sources": sources, "rows": 6})
    check_recipe(recipe, progress=watched)
    assert watched.stages == [["fetch general.jsonl", 1, "MiB", 1]]
    watched.stages.clear()
    prepare_run(recipe, progress=watched)
    assert watched.stages == [
        ["write self:6", 6, "row", 6],
        ["write self-answers:asked.jsonl", 2, "row", 2],
    ]


def test_an_error_about_a_url_shows_none_of_its_secrets(project, web_url, capsys):
    bad = web_url.replace("general.jsonl", "none.jsonl")
    path = project.recipe_file(general={"sources": [{"path": bad}], "rows": 4})
    assert main(["run", path]) == 2
    words = capsys.readouterr().err
    assert "vault://host/none.jsonl: cannot be read; there is no such file." in words
    assert main(["check", path, f"general.sources.0.wieght={web_url}"]) == 2
    words += capsys.readouterr().err
    assert "hunter2secret" not in words
    assert not (project.folder / "runs").exists()


class _Parrot:
    """Answers every request, and writes requests of its own, without a model."""

    max_length = None
    calls = 0

    def write(self, heads, *, stop_ids, max_new_tokens, temperature, seed):
        from levertune.selfdata.sampling import Continuation

        self.calls += 1
        return [
            Continuation(f" {chr(97 + (seed + i) % 26) * 9}{seed} {i} swims to shore.", True)
            for i in range(len(heads))
        ]


@pytest.fixture
def parrot(monkeypatch):
    made = _Parrot()
    monkeypatch.setattr("levertune.runs.self_sources.make_sampler", lambda workspace: made)
    return made


def test_rows_the_base_model_writes_are_a_source_like_any_other(project, parrot):
    project.write("asked.jsonl", [{"prompt": "Where do swallows go?"}, {"prompt": "And storks?"}])
    sources = [{"path": "self:6", "max_characters": 900}, {"path": "self-answers:asked.jsonl"}]
    recipe = project.recipe(general={"sources": sources, "rows": 6}, evaluation__general_heldout=0)
    prepared = prepare_run(recipe)
    assert {name: len(rows) for name, rows in prepared.chooser.pool.items()} == {
        "self": 6,
        "asked-answers": 2,
    }
    answer = prepared.chooser.pool["asked-answers"][0]
    assert answer.user_text == "Where do swallows go?"
    assert "swims to shore" in answer.completion
    assert [file.path for file in prepared.inputs.general] == [s["path"] for s in sources]
    calls = parrot.calls
    assert prepare_run(recipe).chooser.pool == prepared.chooser.pool
    assert parrot.calls == calls


def test_check_says_that_the_rows_are_not_sampled_yet_and_samples_nothing(project, parrot, capsys):
    sources = [{"path": "self:6", "rows": 6}, {"path": "self-answers:general.jsonl", "rows": 2}]
    path = project.recipe_file(general={"sources": sources, "rows": 8})
    assert main(["check", path]) == 0
    out = capsys.readouterr().out
    for source in sources:
        assert f"{source['path']}: the base model writes these rows when a run starts" in out
    assert parrot.calls == 0


def test_a_base_model_without_chat_template_is_refused_for_self_rows(project, tmp_path, capsys):
    import shutil

    shutil.copytree(project.model, tmp_path / "plain")
    (tmp_path / "plain" / "chat_template.jinja").unlink()
    path = project.recipe_file(
        general={"sources": [{"path": "self:6"}], "rows": 6}, model__model_name_or_path="plain"
    )
    assert main(["run", path]) == 2
    words = capsys.readouterr().err
    assert "plain: has no chat template" in words
    assert words.count("\n") == 1
    assert not (project.folder / "runs").exists()
