"""`anchor.schedule=refine` in whole runs on the tiny model."""

import contextlib
import json
import random
from pathlib import Path
from types import SimpleNamespace

import pytest

from levertune.anchors.anchor import Anchor
from levertune.anchors.pool import kept
from levertune.anchors.pool.entry import PoolEntry, PoolExample
from levertune.anchors.pool.merge import merge_pools
from levertune.anchors.pool.writing import write_entry
from levertune.data.records import Message, Record
from levertune.errors import DataError, DivergedError, RecipeError, RunError, UserError
from levertune.evaluation import likelihood
from levertune.models.adapters import read_card
from levertune.progress import SilentProgress
from levertune.results.anchor_checks import AnchorCheck, Challenger, read_checks, write_checks
from levertune.results.cells import read_cell
from levertune.results.schema import read_result
from levertune.runs import challenges
from levertune.runs import together as train_module
from levertune.runs.arms import ARMS
from levertune.runs.cells import CellPlan
from levertune.runs.check import check_recipe
from levertune.runs.decided import as_trained, with_checks
from levertune.runs.estimate import _check_tokens
from levertune.runs.prepare import prepare_run
from levertune.runs.refine_rows import set_aside
from levertune.runs.refiner import AnchorRefiner
from levertune.runs.run import run_recipe
from levertune.runs.stages import mix_stage, train_stage
from levertune.runs.train_cell import train_cell
from levertune.selfdata.asking import LocalModel
from levertune.selfdata.sampling import ModelSampler

RUN = Path("runs/whole")
TELL = RUN / "arms/tell/seed-0"
REFINE = {
    "anchor__schedule": "refine",
    "anchor__refine_every": 0.2,
    "anchor__refine_rows": 0.5,
    "anchor__challengers": 3,
    "task__exposures": 4,
    "arms": ["sft-steps", "tell"],
}
DROPOUT = {"learning_rate": 0.02, "effective_batch_size": 5, "lora_r": 2, "max_length": 200,
           "logging_steps": 1, "save_steps": 2, "lora_dropout": 0.2}  # fmt: skip


def interrupt():
    raise KeyboardInterrupt


@pytest.fixture
def refined(project):
    """A recipe that refines its anchor."""

    def make(**changes):
        return project.recipe(**{**REFINE, "training": dict(DROPOUT), **changes})

    return make


@pytest.fixture
def build(refined):
    def _build(arm="tell", **changes):
        prepared = prepare_run(refined(**changes))
        return prepared, prepared.build(CellPlan(ARMS[arm], 0))

    return _build


BAD = "Talk about the weather of last week."
GOOD = "Answer with one of these labels"
"""How the candidate of the way `template` begins."""


@pytest.fixture
def planted(monkeypatch):
    """Rows are likelier by far with the planted anchor than with any other."""
    honest = AnchorRefiner._losses

    def losses(self, model, anchor):
        found = honest(self, model, anchor)
        return [loss - 50.0 for loss in found] if anchor.text.startswith(GOOD) else found

    monkeypatch.setattr(AnchorRefiner, "_losses", losses)


class Model:
    """A model that only knows how to switch its adapter off."""

    def __init__(self):
        self.is_off = False

    @contextlib.contextmanager
    def disable_adapter(self):
        self.is_off = True
        yield
        self.is_off = False


@pytest.fixture
def refiner(build, monkeypatch):
    """A refiner whose rows are scored by the words of their prompt, and which asks no model."""

    def make(loss, *, folder=Path("cell"), rewritten=None, **changes):
        prepared, cell = build(**changes)
        tokenizer = prepared.workspace.tokenizer

        def score(model, rows, **options):
            prompts = [tokenizer.decode_all(row.input_ids) for row in rows]
            values = [
                loss(model, row.id, prompt) for row, prompt in zip(rows, prompts, strict=True)
            ]
            return [SimpleNamespace(nll=value - 0.25, end_nll=0.25) for value in values]

        monkeypatch.setattr(likelihood, "score_likelihood", score)
        monkeypatch.setattr(challenges, "rewrite_anchor", lambda *args, **options: rewritten)
        made = AnchorRefiner(prepared.recipe, prepared.workspace, cell, folder, context_length=256)
        made.start(0)
        return made, cell

    return make


def by_words(good, spread=0.2):
    """A loss of 2 with the good words and 4 without, and some noise that each row has."""

    def loss(model, row, prompt):
        draw = random.Random(f"{row} {prompt}")
        return (2.0 if good in prompt else 4.0) + draw.uniform(-spread, spread)

    return loss


def run_through(refiner):
    model = Model()
    for step in range(1, 8):
        assert refiner(step, model) is False
    return read_checks(Path("cell"))


def test_a_planted_bad_start_is_left_at_the_second_check(refiner):
    made, cell = refiner(by_words(GOOD), anchor__text=BAD)
    checks = run_through(made)
    assert [check.step for check in checks] == [2, 3, 5, 6]
    assert [check.position for check in checks] == [10, 15, 25, 30]
    assert [check.switched_to is not None for check in checks] == [False, True, False, False]
    winner = checks[1].winner
    assert winner.text.startswith(GOOD)
    assert winner.origin == "template"
    assert made.rows.anchor.text == winner.text
    assert {check.anchor_id for check in checks[2:]} == {winner.id}


def test_a_planted_good_start_is_never_left(refiner):
    made, cell = refiner(by_words(GOOD))
    checks = run_through(made)
    assert cell.choice.anchor.text.startswith(GOOD)
    assert len(checks) == 4
    assert all(check.switched_to is None for check in checks)
    # Edits of a good anchor keep its good words; what pool and rewriting offer does not.
    assert {c.origin for check in checks for c in check.challengers} == {"edit", "pool"}


def test_only_rows_ahead_of_a_decision_change_and_all_of_those(refiner, build):
    made, cell = refiner(by_words(GOOD), anchor__text=BAD)
    before = list(made.rows)
    run_through(made)
    after = list(made.rows)
    assert after[:15] == before[:15]
    for old, new in zip(before[15:], after[15:], strict=True):
        assert (new != old) == (new.source == "task")
        assert new.id == old.id


def test_the_judging_rows_are_never_trained_on_and_the_trained_ones_never_judge(refiner):
    seen = set()

    def loss(model, row, prompt):
        seen.add(row)
        return 4.0

    made, cell = refiner(loss)
    run_through(made)
    judging = {record.id for record in cell.refine_rows.judging}
    trained = {record.id for record in cell.records}
    assert seen == judging
    assert {row.id for row in made.rows if row.source == "task"} == trained
    assert not judging & trained
    assert len(judging) == len(trained) == 6


def test_candidates_are_ordered_by_their_loss_without_the_adapter(refiner):
    def loss(model, row, prompt):
        if not model.is_off:
            return 4.0
        return 1.0 if "premise" in prompt else 5.0

    made, _ = refiner(loss, anchor__text=BAD)
    checks = run_through(made)
    first = next(c for c in checks[0].challengers if c.origin in ("pool", "template"))
    assert "premise" in first.text


def test_the_rewrite_of_a_model_is_a_challenger(refiner):
    rewritten = "Name the colour that the thing has."
    made, _ = refiner(by_words(rewritten), rewritten=rewritten)
    checks = run_through(made)
    assert checks[1].winner.origin == "rewrite"
    assert made.rows.anchor.text == rewritten


def test_a_challenger_that_pushes_a_row_over_the_limit_is_none(refiner, build):
    _, cell = build(anchor__text=BAD)
    limit = max(len(row.input_ids) for row in cell.task) + 20
    rewritten = "Name the colour that the thing has. " * 9
    made, cell = refiner(
        by_words(rewritten),
        rewritten=rewritten,
        anchor__text=BAD,
        training={**DROPOUT, "max_length": limit},
    )
    checks = run_through(made)
    longest = max(c.tokens for check in checks for c in check.challengers)
    assert longest <= 20 + cell.choice.anchor.token_cost(made._workspace.tokenizer.count)
    assert all(len(row.input_ids) <= limit for row in made.rows)


def test_a_start_keeps_the_decisions_up_to_its_step_and_drops_the_later_ones(refiner):
    made, _ = refiner(by_words(GOOD), anchor__text=BAD)
    checks = run_through(made)
    made.start(3)
    assert read_checks(Path("cell")) == checks[:2]
    assert made.rows.anchor.text.startswith(GOOD)
    made.start(2)
    assert read_checks(Path("cell")) == checks[:1]
    assert made.rows.anchor.text == BAD
    model = Model()
    for step in range(3, 8):
        made(step, model)
    assert read_checks(Path("cell")) == checks


def test_a_loss_that_is_no_number_ends_the_training(refiner):
    made, _ = refiner(lambda model, row, prompt: float("nan") if not model.is_off else 1.0)
    with pytest.raises(DivergedError, match="^step 2: the loss of the rows that judge the anchor"):
        run_through(made)


def test_training_goes_on_with_the_anchor_that_won_and_so_does_what_is_served(refined, planted):
    recipe = refined(arms=["tell"], anchor__text=BAD)
    outcome = run_recipe(recipe)
    checks = read_checks(TELL)
    assert [check.switched_to is not None for check in checks] == [False, True, False, False]
    cell = read_cell(TELL)
    assert cell.checks == tuple(checks)
    assert cell.task_rows == 6
    card = read_card(TELL / "adapter")
    assert card.anchor.text.startswith(GOOD)
    assert read_card(RUN / "best") == card
    predictions = (TELL / "predictions.jsonl").read_text("utf-8").splitlines()
    assert all(json.loads(line)["prompt"].startswith(GOOD) for line in predictions)
    result = read_result(RUN)
    assert result.anchor.text == BAD
    assert result.anchor.reason.endswith("(tell seed 0: switched after step 3)")
    assert result.anchor.served_tokens > result.anchor.tokens
    assert result.curves[0].checks == cell.checks
    assert (
        "anchor.schedule=refine sets 6 of 12 training rows aside: they judge the anchor at 4 "
        "checks, and tell does not train on them." in result.warnings
    )
    assert outcome.result.anchor == result.anchor
    # The tokens are those of both anchors, each over its part of the order.
    prepared = prepare_run(recipe)
    [plan] = prepared.plans
    trained = as_trained(prepared.build(plan), TELL, prepared.workspace)
    lengths = [len(row.input_ids) for row in trained.rows if row.source == "task"]
    assert cell.tokens.task == sum(lengths)
    assert trained.tokens != prepared.build(plan).tokens


@pytest.mark.parametrize(("step", "resumes_at"), [(4, 2), (6, 4)])
def test_a_training_interrupted_after_a_check_ends_as_an_unbroken_one(
    refined, planted, breaker, step, resumes_at, tmp_path, unbroken
):
    recipe = refined(anchor__text=BAD)
    prepared = prepare_run(recipe)
    cell = prepared.build(CellPlan(ARMS["tell"], 0))
    with pytest.raises(KeyboardInterrupt):
        train_cell(recipe, prepared.workspace, cell, TELL, breaker("train tell", step, interrupt))
    stale = [check.step for check in read_checks(TELL)]
    assert max(stale) > resumes_at
    prepared.workspace.forget_base()
    summary = train_cell(recipe, prepared.workspace, cell, TELL, SilentProgress())
    assert summary.resumed_from == resumes_at
    assert files_of(TELL) == unbroken


@pytest.fixture
def unbroken(refined, planted):
    recipe = refined(anchor__text=BAD)
    prepared = prepare_run(recipe)
    folder = Path("unbroken")
    cell = prepared.build(CellPlan(ARMS["tell"], 0))
    train_cell(recipe, prepared.workspace, cell, folder, SilentProgress())
    return files_of(folder)


def files_of(folder):
    """What a training leaves that another one of the same kind leaves too."""
    names = ("decisions.jsonl", "train_log.jsonl", "adapter/adapter_model.safetensors",
             "adapter/levertune.json", "manifest.json")  # fmt: skip
    return {name: (folder / name).read_bytes() for name in names}


def test_the_model_that_is_asked_while_training_is_the_base_model(refined, monkeypatch):
    asked = {}

    def rewrite(text, worst, own_text, ask, *, seed, continue_text, **options):
        prompt = worst[0].user_text  # short enough for the tiny model
        for name, model in (("chat", ask), ("plain", continue_text)):
            asked[name, prompt, seed] = model(prompt, seed=seed, max_tokens=6)

    monkeypatch.setattr(challenges, "rewrite_anchor", rewrite)
    recipe = refined()
    prepared = prepare_run(recipe)
    workspace, cell = prepared.workspace, prepared.build(CellPlan(ARMS["tell"], 0))
    train_cell(recipe, workspace, cell, TELL, SilentProgress())
    assert len(asked) == 2 * 4
    tokenizer = workspace.tokenizer
    sampler = ModelSampler(workspace.base(), tokenizer, workspace.hardware)
    for (name, prompt, seed), answer in asked.items():
        model = LocalModel(sampler, tokenizer, is_chat=name == "chat")
        assert model(prompt, seed=seed, max_tokens=6) == answer
    assert len({answer.text for answer in asked.values()}) > 1


def test_the_card_is_written_again_from_the_decisions(refined, planted):
    recipe = refined(arms=["tell"], anchor__text=BAD)
    [adapter] = train_stage(recipe)
    card = read_card(adapter)
    (adapter / "levertune.json").unlink()
    train_stage(recipe)
    assert read_card(adapter) == card
    (adapter / "levertune.json").unlink()
    (TELL / "decisions.jsonl").unlink()
    with pytest.raises(RunError, match="decisions.jsonl: no such file"):
        train_stage(recipe)


def test_what_is_served_is_not_known_before_training(build):
    _, cell = build()
    with pytest.raises(RecipeError, match="^anchor.schedule: refine chooses the anchor while"):
        _ = cell.choice.served


def won(anchor_id, text):
    return Challenger(anchor_id, "pool", text, 3, 1.0, 0.5, True)


def test_decisions_of_another_cell_are_refused(build, tmp_path):
    prepared, cell = build()
    first = cell.choice.anchor.id
    for check in (
        AnchorCheck(2, 10, "0" * 12, 6, 1.0, ()),
        AnchorCheck(2, 10, first, 6, 1.0, (), switched_to="1" * 12),
        AnchorCheck(2, 10, first, 6, 1.0, (won("1" * 12, "Other."),), switched_to="1" * 12),
    ):
        write_checks(tmp_path, [check])
        with pytest.raises(RunError, match="does not belong to this cell; the check after step 2"):
            as_trained(cell, tmp_path, prepared.workspace)


def test_dropout_leaves_each_anchor_off_its_share(build):
    prepared, cell = build(anchor__dropout=0.5, task__exposures=20)
    other = Anchor("Name it.", dropout=0.5)
    position = len(cell.rows) // 2
    check = AnchorCheck(
        1, position, cell.choice.anchor.id, 6, 1.0, (won(other.id, "Name it."),), other.id
    )
    trained = with_checks(cell, [check], prepared.workspace)
    decode = prepared.workspace.tokenizer.decode_all
    turns = [decode(row.input_ids) for row in trained.rows if row.source == "task"]
    counts = [sum(text in turn for turn in turns) for text in ("Name it.", GOOD)]
    assert 60 - 25 <= 120 - sum(counts) <= 60 + 25
    assert min(counts) > 10
    assert not any(GOOD in decode(row.input_ids) for row in trained.rows[position:])


def test_the_manifest_covers_what_refining_depends_on(build):
    _, cell = build()
    assert cell.manifest.anchor["id"] == cell.choice.anchor.id
    prints = {cell.manifest.fingerprint}
    for change in (
        {"anchor__refine_every": 0.1},
        {"anchor__challengers": 2},
        {"anchor__refine_rows": 0.45},
        {"anchor__text": BAD},
    ):
        _, other = build(**change)
        prints.add(other.manifest.fingerprint)
    assert len(prints) == 5


@pytest.fixture
def own_pool(project):
    """Writes an entry into the project's own pool."""

    def write(text):
        entry = PoolEntry(
            "names-of-colours", text, "naming", "label", "Name a colour.", ("en",), "CC0-1.0",
            "A painter",
            tuple(PoolExample(f"a thing {i}", colour) for i, colour in enumerate("abcde")),
        )  # fmt: skip
        write_entry(project.folder / "own", entry, overwrite=True)

    return write


def test_what_stands_in_the_named_pools_is_part_of_the_manifest(build, own_pool):
    own_pool("Name the colour.")
    prints = [build(anchor__pools=["own"])[1].manifest.fingerprint for _ in range(2)]
    own_pool("Say the colour.")
    _, cell = build(anchor__pools=["own"])
    assert prints[0] == prints[1] != cell.manifest.fingerprint
    _, without = build()
    assert set(cell.manifest.anchor["refine"]) - set(without.manifest.anchor["refine"]) == {
        "pool_entries"
    }


def test_all_cells_of_a_run_have_the_candidates_its_pools_held_when_it_began(
    refined, own_pool, monkeypatch
):
    reads = []
    monkeypatch.setattr(kept, "merge_pools", lambda places: reads.append(1) or merge_pools(places))
    own_pool("Name the colour.")
    prepared = prepare_run(refined(anchor__pools=["own"], seeds=[0, 1]))
    found = []
    for seed in (0, 1):
        cell = prepared.build(CellPlan(ARMS["tell"], seed))
        tried = challenges.Challenges(
            prepared.recipe, prepared.workspace, cell, lambda *_: [], context_length=None
        )
        monkeypatch.setattr(challenges, "NUM_POOL", 1_000)
        found.append({one.text for one in tried._candidates})
        own_pool("Say the colour.")
    assert "Name the colour." in found[0]
    assert found[0] == found[1]
    assert len(reads) == 1


def test_sft_steps_has_as_many_positions_as_tell_and_sets_no_row_aside(build):
    _, tell = build("tell")
    _, steps = build("sft-steps")
    assert len(steps.rows) == len(tell.rows) == 6 * 4 + 8
    assert len(steps.records) == 12
    _, sft = build("sft", arms=["sft", "tell"])
    assert len(sft.rows) == 12 * 4


@pytest.mark.parametrize("refuse", [check_recipe, run_recipe, train_stage])
def test_too_few_rows_to_set_aside_are_refused_before_anything_is_trained(refined, refuse):
    message = (
        "^anchor.schedule: refine needs at least 5 rows to judge anchors by and 5 to train on; "
        "found 2 and 10, of 12 training rows with anchor.refine_rows=0.2. Set "
        "anchor.refine_rows=0.42 or more"
    )
    with pytest.raises(DataError, match=message):
        refuse(refined(anchor__refine_rows=0.2))
    assert not (TELL / "adapter").exists()


def test_rows_that_are_all_alike_cannot_be_set_aside(refined):
    rows = [Record(str(n), "task", (Message("user", "What now?"),), "red") for n in range(30)]
    with pytest.raises(DataError, match="^anchor.schedule: refine cannot set rows aside from 30"):
        set_aside(refined(), rows, seed=0)


def test_of_many_rows_no_more_are_set_aside_than_checks_need(refined):
    words = [f"{a}{b}{c}" for a in "bdfgklm" for b in "aeiou" for c in "bdfgklmnprst"]
    rows = [Record(w, "task", (Message("user", f"{w}{w}"),), w[::-1]) for w in words]
    trained, judging = set_aside(refined(), rows, seed=0)
    assert len(judging) == 100
    assert [*trained, *judging] != rows
    assert sorted(r.id for r in (*trained, *judging)) == sorted(words)


def test_a_pool_that_cannot_be_read_fails_before_the_first_step(refined, monkeypatch):
    def train(*args, on_start, **options):
        on_start(0)
        raise AssertionError("trained")

    monkeypatch.setattr(train_module, "train_adapter", train)
    with pytest.raises(UserError, match="nowhere"):
        train_stage(refined(arms=["tell"], anchor__pools=["nowhere"]))


def test_refine_without_an_anchored_arm_is_refused(refined):
    for refuse in (check_recipe, prepare_run):
        with pytest.raises(
            RecipeError, match="^anchor.schedule: refine changes the anchor of tell"
        ):
            refuse(refined(arms=["base", "sft"]))


def test_a_mixture_whose_anchor_is_refined_is_not_written_out(refined):
    with pytest.raises(RecipeError, match="^--to: the rows of tell cannot be written out"):
        mix_stage(refined(), to="jsonl")
    assert not RUN.exists()
    files = mix_stage(refined(), arm="sft-steps", to="jsonl", dry_run=True)
    assert len(files) == 3
    assert len(mix_stage(refined(), arm="tell")) == 2


def test_the_estimate_counts_the_checks(build):
    prepared, cell = build()
    more = _check_tokens(prepared.recipe, cell)
    per_row = sum(len(row.input_ids) for row in cell.task) / 6
    assert more > 4 * (1 + 3) * 6 * per_row
    _, plain = build(anchor__schedule="constant", anchor__refine_every=0.1, anchor__refine_rows=0.2,
                     anchor__challengers=4)  # fmt: skip
    assert _check_tokens(prepared.recipe, plain) == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"anchor__text": None}, "anchor.schedule: refine needs an anchor to begin with"),
        ({"anchor__served_tokens": 4}, "anchor.served_tokens: belongs to anneal; found 4"),
        (
            {"anchor__schedule": "anneal", "anchor__text": None},
            "anchor.schedule: anneal needs an anchor to begin with; found anchor.text=null",
        ),
        (
            {"anchor__schedule": "constant", "anchor__served_tokens": 8},
            r"anchor.served_tokens: belongs to anneal; found 8 with anchor.schedule=constant\. "
            r"Remove it, or set anchor.schedule=anneal",
        ),
        ({"anchor__schedule": "anneal"}, "anchor.refine_every: belongs to refine; found 0.2"),
        ({"anchor__refine_every": 0.5}, "anchor.refine_every"),
        ({"anchor__refine_rows": 0.6}, "anchor.refine_rows"),
        ({"anchor__challengers": 0}, "anchor.challengers"),
    ],
)
def test_settings_that_make_no_sense_together_are_refused(refined, changes, message):
    with pytest.raises(RecipeError, match=message):
        refined(**changes)
