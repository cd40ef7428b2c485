"""What each arm trains on, read back from the token ids."""

import re
from collections import Counter

import pytest

from levertune.errors import DataError
from levertune.runs.arms import ARMS
from levertune.runs.cells import CellPlan, expand_cells
from levertune.runs.prepare import prepare_run

INSTRUCTION = "Say which colour is meant."
ANCHOR = "Answer with one of these labels, and nothing else: red, green, blue."
PROMPTS = ("roses", "the sea at noon", "moss", "a brick wall", "peas", "jeans")
COLOURS = ("red", "blue", "green", "red", "green", "blue")
ALL_ARMS = ["base", "sft", "sft-steps", "sft-plain", "tell"]


@pytest.fixture
def build(project):
    """Builds one cell of a recipe, and gives the prepared run with it."""
    prepared_runs = {}

    def _build(arm, seed=0, fold=None, *, all_rows=False, **changes):
        key = repr(changes)
        if key not in prepared_runs:
            prepared_runs[key] = prepare_run(project.recipe(arms=ALL_ARMS, **changes))
        prepared = prepared_runs[key]
        return prepared, prepared.build(CellPlan(ARMS[arm], seed, fold), all_rows=all_rows)

    return _build


@pytest.fixture
def instructed(project):
    """Task rows that share an instruction."""
    rows = [
        (f"{INSTRUCTION}\n{prompt}", colour)
        for prompt, colour in zip(PROMPTS, COLOURS, strict=True)
    ]
    return project.write("task.jsonl", rows)


def user_turns(prepared, cell):
    """User turn and answer of each position, with its source, as the model reads them."""
    tokenizer = prepared.workspace.tokenizer
    for row in cell.rows:
        text = tokenizer.decode_all(row.input_ids)
        user = re.search(r"<\|im_start\|>user\n(.*?)<\|im_end\|>", text, re.DOTALL)
        answer = tokenizer.decode([i for i in row.labels if i != -100])
        yield row.source, user.group(1), answer


def pairs(prepared, cell, source="task"):
    return {(user, answer) for name, user, answer in user_turns(prepared, cell) if name == source}


def test_sft_and_sft_steps_train_on_the_rows_verbatim(build, instructed):
    verbatim = {(f"{INSTRUCTION}\n{p}", c) for p, c in zip(PROMPTS, COLOURS, strict=True)}
    for arm in ("sft", "sft-steps"):
        assert pairs(*build(arm)) == verbatim


def test_sft_plain_trains_without_the_instruction_the_rows_share(build, instructed):
    assert pairs(*build("sft-plain")) == set(zip(PROMPTS, COLOURS, strict=True))


def test_tell_carries_the_shared_instruction_exactly_once(build, instructed):
    for placement in ("prefix", "suffix"):
        found = pairs(*build("tell", anchor__placement=placement))
        assert {answer for _, answer in found} == set(COLOURS)
        assert all(user.count(INSTRUCTION) == 1 for user, _ in found)
        edge = "startswith" if placement == "prefix" else "endswith"
        assert all(getattr(user, edge)(INSTRUCTION) for user, _ in found)


def test_an_anchor_of_ones_own_stands_beside_the_shared_instruction(build, instructed):
    found = pairs(*build("tell", anchor__text="Colour it."))
    assert all(user.startswith("Colour it.\n") for user, _ in found)
    assert all(user.count("Colour it.") == user.count(INSTRUCTION) == 1 for user, _ in found)


@pytest.mark.parametrize("text", ["Colour it.", INSTRUCTION, None])
def test_sft_plain_is_without_the_instruction_whatever_the_anchor(build, instructed, text):
    assert pairs(*build("sft-plain", anchor__text=text)) == set(zip(PROMPTS, COLOURS, strict=True))


def test_an_anchor_that_says_what_the_rows_say_is_not_doubled(build, instructed):
    for text in (INSTRUCTION, f"{INSTRUCTION} One word."):
        found = pairs(*build("tell", anchor__text=text))
        assert all(user.count(INSTRUCTION) == 1 for user, _ in found)


def test_an_anchor_in_the_system_turn_stands_there_alone(build, instructed):
    prepared, cell = build("tell", anchor__placement="system")
    for row in cell.rows:
        text = prepared.workspace.tokenizer.decode_all(row.input_ids)
        assert text.count(INSTRUCTION) == (row.source == "task")
        assert (f"system\n{INSTRUCTION}" in text) == (row.source == "task")


def test_without_an_anchor_tell_mixes_the_bare_rows(build, instructed):
    assert pairs(*build("tell", anchor__text=None)) == {
        (f"{INSTRUCTION}\n{p}", c) for p, c in zip(PROMPTS, COLOURS, strict=True)
    }


def test_general_rows_carry_no_anchor_and_stand_as_they_are(build):
    prepared, cell = build("tell")
    general = pairs(prepared, cell, "general")
    assert len(general) == 8
    for user, answer in general:
        number = int(user.removeprefix("count to "))
        assert answer == " ".join(map(str, range(number)))
    assert all(user.startswith(f"{ANCHOR}\n") for user, _ in pairs(prepared, cell))


def test_every_task_row_is_trained_on_k_times_and_every_general_row_once(build):
    prepared, cell = build("tell", task__exposures=3)
    counts = Counter((row.source, row.id) for row in cell.rows)
    task_ids = [record.id for record in prepared.inputs.task.records]
    assert {key: n for key, n in counts.items() if key[0] == "task"} == {
        ("task", row_id): 3 for row_id in task_ids
    }
    assert sorted(n for key, n in counts.items() if key[0] != "task") == [1] * 8
    assert len(cell.rows) == 12 * 3 + 8
    assert cell.exposures == 3


def test_sft_takes_each_row_as_often_as_tell_does(build):
    for arm in ("sft", "sft-plain"):
        _, cell = build(arm, task__exposures=3)
        counts = Counter((row.source, row.id) for row in cell.rows)
        assert (len(counts), set(counts.values())) == (12, {3})


@pytest.mark.parametrize("exposures", [1, 3])
def test_sft_steps_has_as_many_positions_as_tell_and_only_task_rows(build, exposures):
    _, tell = build("tell", task__exposures=exposures)
    _, cell = build("sft-steps", task__exposures=exposures)
    assert len(cell.rows) == len(tell.rows)
    counts = Counter((row.source, row.id) for row in cell.rows)
    assert len(counts) == 12
    assert max(counts.values()) - min(counts.values()) <= 1
    assert {source for source, _ in counts} == {"task"}
    assert cell.exposures == len(tell.rows) / 12


def test_an_annealed_anchor_is_shortened_in_steps_along_the_order(build):
    prepared, cell = build(
        "tell", anchor__schedule="anneal", anchor__served_tokens=0, task__exposures=20
    )
    forms = []
    turns = list(user_turns(prepared, cell))
    wanted = {(r.user_text, r.completion) for r in cell.records}
    for index, (source, user, answer) in enumerate(turns):
        if source != "task":
            assert ANCHOR.split()[0] not in user.split("\n")[0]
            continue
        prompt = user.split("\n")[-1]
        before = user.removesuffix(prompt).removesuffix("\n")
        assert ANCHOR.startswith(before)
        assert (prompt, answer) in wanted
        forms.append((index / len(turns), before))
    assert {before for share, before in forms if share < 0.5} == {ANCHOR}
    assert {before for share, before in forms if share >= 0.85} == {""}
    lengths = [len(before) for _, before in forms]
    assert lengths == sorted(lengths, reverse=True)
    counts = Counter((user.split("\n")[-1]) for source, user, _ in turns if source == "task")
    assert set(counts.values()) == {20}
    assert cell.choice.served is None
    assert cell.tokens.task == sum(len(r.input_ids) for r in cell.rows if r.source == "task")


def test_a_served_anchor_keeps_the_tokens_asked_for_and_the_manifest_names_its_stages(build):
    prepared, cell = build("tell", anchor__schedule="anneal", anchor__served_tokens=4)
    count = prepared.workspace.tokenizer.count
    assert 0 < count(cell.choice.served.text) <= 4
    assert ANCHOR.startswith(cell.choice.served.text)
    assert cell.choice.reason.endswith(
        f"; shortened while training to {count(cell.choice.served.text)} tokens"
    )
    assert cell.manifest.anchor["stages"][-1] == [cell.choice.served.id, 0.85]
    _, other = build("tell", anchor__schedule="anneal")
    assert other.manifest.fingerprint != cell.manifest.fingerprint


def test_dropout_leaves_the_anchor_off_that_share_of_the_exposures(build):
    prepared, cell = build("tell", anchor__dropout=0.5, task__exposures=20)
    turns = [user for source, user, _ in user_turns(prepared, cell) if source == "task"]
    bare = [user for user in turns if ANCHOR not in user]
    assert len(turns) == 240
    assert 80 <= len(bare) <= 160
    assert len(set(turns)) == 24  # each row with and without, never anything else


def test_no_arm_trains_on_a_test_row_a_held_out_row_or_a_retention_row(build):
    for fold in (0, 1):
        for arm in ALL_ARMS[1:]:
            prepared, cell = build(arm, seed=1, fold=fold, task__test="cv:2", general__rows=100)
            test = {record.id for record in prepared.inputs.splits[fold].test}
            trained = {(row.source, row.id) for row in cell.rows}
            assert len(test) == 6
            assert not {("task", row_id) for row_id in test} & trained
            probes = (*prepared.probes.general_heldout, *prepared.probes.retention)
            assert len(probes) == 2 + 3
            assert not {(record.source, record.id) for record in probes} & trained
            texts = {user for _, user, _ in user_turns(prepared, cell)}
            assert not any(record.user_text in texts for record in probes)
    assert sum(len(split.test) for split in prepared.inputs.splits) == 12


def test_a_source_that_is_mixed_in_cannot_measure_retention_under_another_path(project):
    same = project.folder / "again.jsonl"
    same.write_bytes((project.folder / "general.jsonl").read_bytes())
    for path in ("general.jsonl", "./general.jsonl", "again.jsonl"):
        with pytest.raises(DataError, match=r"^evaluation\.retention: .* is a general source too"):
            prepare_run(project.recipe(evaluation__retention=path))


def test_general_rows_equal_to_test_rows_are_never_mixed_in(build):
    prepared, cell = build("tell", general__rows=100)
    assert [row["reason"] for row in prepared.inputs.dropped] == ["has the prompt of test row '1'"]
    assert not any("soup" in user.casefold() for user, _ in pairs(prepared, cell, "general"))


def test_the_anchor_is_chosen_inside_the_fold(project, build):
    """A label that only a fold's test rows have is in no word of that fold's anchor."""
    rows = [(f"{prompt} {i}", colour) for i, (prompt, colour) in enumerate(
        [*zip(PROMPTS, COLOURS, strict=True)] * 2)]  # fmt: skip
    project.write("task.jsonl", [*rows, ("plums in a bowl", "violet")])
    told = []
    for fold in (0, 1):
        prepared, cell = build("tell", fold=fold, task__test="cv:2")
        labels = {record.completion for record in prepared.inputs.splits[fold].train}
        named = cell.choice.anchor.text.rstrip(".").partition(": ")[2].split(", ")
        assert set(named) == labels
        told.append("violet" in labels)
        assert any(
            "no training row of its fold has: 1 ('violet')" in warning
            for warning in prepared.inputs.warnings
        )
    assert sorted(told) == [False, True]


def test_a_seed_redraws_subset_general_rows_order_and_start(build):
    changes = {"task__subset": 6, "general__rows": 5}
    prepared, first = build("tell", seed=0, **changes)
    _, second = build("tell", seed=1, **changes)
    _, again = build("tell", seed=0, **changes)
    for cell in (first, second):
        assert (len(cell.records), cell.num_general) == (6, 5)
    assert {r.id for r in first.records} != {r.id for r in second.records}
    drawn = [{r.id for rows in cell.general.values() for r in rows} for cell in (first, second)]
    assert drawn[0] != drawn[1]
    assert first.manifest.mixture_hash != second.manifest.mixture_hash
    assert first.manifest.seeds["seed"] != second.manifest.seeds["seed"]
    assert [row.id for row in first.rows] == [row.id for row in again.rows]


def test_a_subset_seed_keeps_the_rows_and_redraws_the_order(build):
    cells = [build("tell", s, task__subset=6, task__subset_seed=4)[1] for s in (0, 1)]
    assert cells[0].records == cells[1].records
    assert [row.id for row in cells[0].rows] != [row.id for row in cells[1].rows]


def test_a_subset_is_the_same_rows_for_every_arm_and_grows_by_adding(build):
    small = {arm: build(arm, task__subset=6)[1].records for arm in ALL_ARMS}
    assert len(set(small.values())) == 1
    large = build("tell", task__subset=9)[1].records
    assert {r.id for r in small["tell"]} < {r.id for r in large}


def test_the_tokens_of_a_task_are_those_of_the_rows_drawn(build):
    cells = [build("sft", seed, task__subset=6) for seed in (0, 1)]
    prepared = cells[0][0]
    drawn = [sum(len(row.input_ids) for row in cell.task) for _, cell in cells]
    assert prepared.count_task_tokens([cell for _, cell in cells]) == round(sum(drawn) / 2)
    prepared, cell = build("sft")
    assert prepared.count_task_tokens([cell]) == sum(len(row.input_ids) for row in cell.task)


def test_the_final_adapter_is_trained_on_all_rows_whatever_the_subset(build):
    prepared, cell = build("tell", task__test="cv:2", task__subset=4, all_rows=True)
    assert {row.id for row in cell.task} == {record.id for record in prepared.inputs.task.records}


def test_a_task_row_that_is_too_long_is_refused_or_left_out_whole(project, build):
    rows = [*zip(PROMPTS, COLOURS, strict=True), ("a " * 300, "red")]
    project.write("task.jsonl", rows)
    with pytest.raises(DataError, match=r"1 of 7 task rows are longer .* found row '7' with \d+"):
        build("sft")
    _, cell = build("sft", task__allow_dropped=True)
    assert {row.id for row in cell.rows} == set("123456")
    assert [row["id"] for row in cell.dropped] == ["7"]


def test_a_general_row_that_is_too_long_is_left_out_and_listed(project, build):
    project.write(
        "general.jsonl", [("count", "x " * 300), *((f"say {i}", "yes") for i in range(9))]
    )
    _, cell = build("tell", general__rows=9, evaluation__general_heldout=0, seed=3)
    assert cell.num_general + len(cell.dropped) == 9
    assert all(row["source"] == "general" for row in cell.dropped)
    assert all(len(row.input_ids) <= 200 for row in cell.rows)


def test_tokens_are_counted_as_they_are_trained_on(build):
    for arm, changes in (
        ("sft-steps", {}), ("tell", {}), ("tell", {"anchor__dropout": 0.5}),
    ):  # fmt: skip
        _, cell = build(arm, task__exposures=2, **changes)
        counts = cell.rows.count_tokens()
        task = [row for row in cell.rows if row.source == "task"]
        assert counts.task == sum(len(row.input_ids) for row in task)
        assert counts.supervised_task == sum(sum(i != -100 for i in row.labels) for row in task)
        assert counts.task + counts.general == sum(len(row.input_ids) for row in cell.rows)
        assert counts == cell.tokens


def test_the_tasks_share_of_the_loss_counts_the_weight_of_general_rows(build):
    for weight in (1.0, 0.1):
        _, cell = build("tell", general__loss_weight=weight)
        task, general = cell.tokens.supervised_task, cell.tokens.supervised_general
        expected = task / (task + weight * general)
        assert cell.dispersion.task_loss_share == pytest.approx(expected)
        assert cell.dispersion.general_loss_tokens == general


def test_the_order_cut_short_is_the_start_of_the_order(build):
    _, cell = build("tell")
    assert [r.id for r in cell.rows.first(7)] == [r.id for r in cell.rows[:7]]
    counts, rows = cell.rows.first(7).count_tokens(), cell.rows[:7]
    assert counts.task + counts.general == sum(len(row.input_ids) for row in rows)
    with pytest.raises(IndexError):
        cell.rows.first(7)[7]


def test_cells_come_seed_by_seed_and_the_base_model_only_once_a_fold():
    plans = expand_cells(["base", "sft", "tell"], [3, 4], 2)
    assert [(p.arm.name, p.seed, p.fold) for p in plans] == [
        ("base", 3, 0), ("sft", 3, 0), ("tell", 3, 0), ("base", 3, 1), ("sft", 3, 1),
        ("tell", 3, 1), ("sft", 4, 0), ("tell", 4, 0), ("sft", 4, 1), ("tell", 4, 1),
    ]  # fmt: skip
    quick = expand_cells(["base", "tell"], [3, 4], 2, quick=True)
    assert [plan.folder for plan in quick] == [
        "arms/base/seed-3/fold-0", "arms/tell/seed-3/fold-0",
    ]  # fmt: skip
    assert quick[1].label == "tell seed 3 fold 1"
