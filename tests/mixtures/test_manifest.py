import dataclasses
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.data.records import Message, Record
from levertune.errors import RunError
from levertune.mixtures.manifest import (
    Manifest,
    check_same_run,
    explain_difference,
    hash_records,
    read_manifest,
    write_manifest,
)
from levertune.mixtures.plan import MixturePlan

MANIFEST = Manifest(
    task_hash="aa" * 32,
    task_ids_hash="ff" * 32,
    general_hashes={"skills": "bb" * 32},
    anchor={"id": "0123456789ab", "dropout": 0.0},
    model_hash="cc" * 32,
    tokenizer_hash="dd" * 32,
    plan=MixturePlan(48, 24, (("skills", 300),)),
    mixture_hash="ee" * 32,
    seeds={"mixture_seed": 0, "train_seed": 0},
    training={"learning_rate": 2e-4, "lora_target_modules": "all-linear", "betas": (0.9, 0.95)},
)
LEAVES = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 1.0, "", "1"])


def changed(**settings):
    return dataclasses.replace(MANIFEST, **settings)


def record(text="hi", **settings):
    return Record("1", "task", (Message("user", text),), "there", **settings)


def test_manifest_comes_back_from_its_file(tmp_path):
    write_manifest(tmp_path / "manifest.json", MANIFEST)
    found = read_manifest(tmp_path / "manifest.json")
    assert found.plan == MANIFEST.plan
    assert found.fingerprint == MANIFEST.fingerprint
    assert explain_difference(MANIFEST, found) == []


@pytest.mark.parametrize(
    ("new", "lines"),
    [
        (
            changed(training={**MANIFEST.training, "learning_rate": 5e-4}),
            ["training.learning_rate: 0.0002 -> 0.0005"],
        ),
        (
            changed(plan=MixturePlan(48, 10, (("skills", 200),))),
            ["plan.exposures: 24 -> 10", "plan.general[0].rows: 300 -> 200"],
        ),
        (changed(task_hash="ab" * 32), ["task_hash: aaaaaaaaaaaa... -> abababababab..."]),
        (changed(anchor=None), None),
        (changed(seeds={"mixture_seed": 0}), ["seeds.train_seed: 0 -> absent"]),
        (
            changed(training={**MANIFEST.training, "bf16": True}),
            ["training.bf16: absent -> true"],
        ),
        (
            changed(training={**MANIFEST.training, "betas": [0.9, 0.99]}),
            ["training.betas[1]: 0.95 -> 0.99"],
        ),
    ],
)
def test_difference_names_setting_and_both_values(new, lines):
    found = explain_difference(MANIFEST, new)
    if lines is None:
        assert "anchor: absent -> null" in found
        assert 'anchor.id: "0123456789ab" -> absent' in found
    else:
        assert found == lines
    assert new.fingerprint != MANIFEST.fingerprint


@settings(max_examples=100)
@given(*[st.dictionaries(st.sampled_from("abc"), LEAVES | st.lists(LEAVES, max_size=2))] * 2)
def test_fingerprints_are_equal_exactly_when_nothing_differs(one, other):
    old, new = changed(training=one), changed(training=other)
    assert (old.fingerprint == new.fingerprint) == (explain_difference(old, new) == [])


def test_fingerprint_does_not_depend_on_the_order_of_keys_or_the_spelling_of_a_number():
    spelt = changed(training={"a": 1, "b": (2,)})
    assert changed(training={"b": [2.0], "a": 1.0}).fingerprint == spelt.fingerprint


def test_same_run_passes_and_another_is_refused_with_what_changed(tmp_path):
    path = tmp_path / "manifest.json"
    write_manifest(path, MANIFEST)
    check_same_run(path, MANIFEST)
    with pytest.raises(
        RunError,
        match=re.escape(
            f"{path}: the run in this folder was made from something else; "
            "training.learning_rate: 0.0002 -> 0.0005. What changed: the settings. Change it back"
        ),
    ):
        check_same_run(path, changed(training={**MANIFEST.training, "learning_rate": 5e-4}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 9}, "written in format 9; this levertune reads 2"),
        ({"seeds": ...}, "not a manifest; missing ['seeds'], unknown []"),
        ({"extra": 1}, "not a manifest; missing [], unknown ['extra']"),
        ({"plan": {}}, "holds no usable plan; 'task_rows'"),
        ({"plan": None}, "holds no usable plan"),
        ({"plan": {**MANIFEST.plan.to_json(), "exposures": 0}}, "holds no usable plan"),
    ],
)
def test_damaged_manifest_names_file_and_fault(tmp_path, change, message):
    content = {**MANIFEST.to_json(), **change}
    content = {key: value for key, value in content.items() if value is not ...}
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(RunError, match=re.escape(f"{path}: {message}")):
        read_manifest(path)


def test_hash_of_records_sees_content_and_order_but_not_lines():
    one, two = record("hi", line=1), record("ho", line=2)
    assert hash_records([one, two]) == hash_records([record("hi", line=7), record("ho")])
    hashes = {
        hash_records(records)
        for records in ([one, two], [two, one], [one], [], [record("hi", references=("x",)), two])
    }
    assert len(hashes) == 5


def test_hash_of_records_does_not_confuse_where_a_turn_ends():
    turns = (Message("user", "a"), Message("assistant", "b"), Message("user", "c"))
    joined = Record("1", "task", (Message("user", "abc"),), "there")
    assert hash_records([Record("1", "task", turns, "there")]) != hash_records([joined])
    assert hash_records([record("\ud800")])
