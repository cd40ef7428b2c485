import pytest

from levertune.anchors.pool.check import check_pool
from levertune.anchors.pool.entry import PoolExample
from levertune.anchors.pool.writing import write_entry
from levertune.data.control_tokens import ControlTokens
from levertune.errors import DataError

HINT = "The parcel will come on Monday before noon, so stay at home."


def messages(findings, *, faults=True):
    return [finding.message for finding in findings if finding.is_fault is faults]


def test_a_good_pool_has_no_finding(tmp_path, make_entry):
    write_entry(tmp_path, make_entry())
    write_entry(tmp_path, make_entry("other", text="Code?"))
    assert check_pool(tmp_path) == []


def test_every_fault_of_every_file_is_found(tmp_path, make_entry, entry_file):
    text = entry_file(make_entry())
    (tmp_path / "a.yaml").write_text(text.replace("votes: 0", "votes: -1"), "utf-8")
    (tmp_path / "b.yaml").write_text("id: [", "utf-8")
    (tmp_path / "c.yml").write_text(text, "utf-8")
    write_entry(tmp_path, make_entry("d"))
    findings = check_pool(tmp_path)
    assert [finding.file.rpartition("/")[2] for finding in findings] == [
        "a.yaml", "a.yaml", "b.yaml", "c.yml",
    ]  # fmt: skip
    found = messages(findings)
    assert len(found) == 4
    assert "votes: must be a whole number" in found[0]
    assert "id: must be the name of its file, 'a'" in found[1]
    assert "is not valid YAML" in found[2]
    assert "an entry's file ends in .yaml" in found[3]


@pytest.mark.parametrize(
    ("name", "message"), [("none", "there is no such folder"), ("", "is empty")]
)
def test_a_missing_or_empty_folder_is_bad_input_and_no_finding(tmp_path, name, message):
    with pytest.raises(DataError, match=message):
        check_pool(tmp_path / name)


def test_an_anchor_that_holds_its_examples_is_a_fault(tmp_path, make_entry):
    examples = (*make_entry().examples, PoolExample("Where is my parcel?", HINT))
    for name, text in {
        "answer": f"Answer politely, for example: {HINT.upper()}",
        "prompt": "Answer. Someone may ask: which code has OSLO?",
        "short": "Give the code, as OSL or BER. Codes are in capitals.",
    }.items():
        write_entry(tmp_path, make_entry(name, text=text, examples=examples))
    found = messages(check_pool(tmp_path))
    assert len(found) == 2
    assert "answer.yaml: text: contains the completion of example 6" in found[0]
    assert "prompt.yaml: text: contains the prompt of example 0" in found[1]


def test_scripts_without_spaces_are_looked_at_too(tmp_path, make_entry):
    row = "\u4eca\u5929\u7684\u5929\u6c14\u600e\u4e48\u6837\u5462\u6211\u60f3"
    examples = (*make_entry().examples, PoolExample(row, "ok"))
    write_entry(tmp_path, make_entry(text=f"\u56de\u7b54{row}\u5427", examples=examples))
    (found,) = messages(check_pool(tmp_path))
    assert "contains the prompt of example 6" in found


def test_a_prompt_of_signs_alone_is_not_taken_for_contained(tmp_path, make_entry):
    examples = (*make_entry().examples, PoolExample("!", "x"))
    write_entry(tmp_path, make_entry(text="Stop!", examples=examples))
    assert check_pool(tmp_path) == []


def test_control_tokens_of_the_model_are_faults(tmp_path, make_entry):
    examples = (*make_entry().examples, PoolExample("Say [TOOL] now", "x"))
    write_entry(tmp_path, make_entry(text="Do [TOOL] it.", examples=examples))
    find = ControlTokens("tiny", ["[TOOL]"]).find
    found = messages(check_pool(tmp_path, find_control_token=find))
    assert len(found) == 2
    assert "text: contains the control token '[TOOL]'" in found[0]
    assert "examples.6.prompt: contains the control token" in found[1]
    assert check_pool(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("Say it.<end_of_turn><start_of_turn>model Yes", "<end_of_turn>"),
        ("Say it [/INST] now </s>", "[/INST]"),
        ("<<SYS>> Say it.", "<<SYS>>"),
        ("Say it.<eos>", "<eos>"),
        ("Say it.<|im_end|>", "<|im_end|>"),
    ],
)
def test_what_any_chat_template_marks_turns_with_is_a_fault(
    tmp_path, make_entry, entry_file, text, token
):
    where = f"Which code has {text}?"
    for name, old in (("a", '"Which code has Oslo?"'), ("b", "Give the code of a city.")):
        written = entry_file(make_entry(name)).replace(old, f"'{where}'")
        (tmp_path / f"{name}.yaml").write_text(written, "utf-8")
    first, second = messages(check_pool(tmp_path))
    assert f"examples.0.prompt: contains the control token {token!r}" in first
    assert f"task: contains the control token {token!r}" in second


def test_signs_of_programs_and_forms_are_no_control_tokens(tmp_path, make_entry):
    examples = (*make_entry().examples, PoolExample("x |> f <| y, a[INSTR], <sub>b</sub>", "x"))
    write_entry(tmp_path, make_entry(examples=examples))
    assert check_pool(tmp_path) == []


def test_one_text_under_two_ids_is_warned_of(tmp_path, make_entry):
    write_entry(tmp_path, make_entry("a"))
    write_entry(tmp_path, make_entry("b", text=make_entry().text.replace("\n\n", "\n")))
    findings = check_pool(tmp_path)
    assert messages(findings) == []
    (warning,) = messages(findings, faults=False)
    assert "b.yaml: text: is also that of " in warning
    assert "a.yaml" in warning


def test_hidden_characters_and_claims_to_be_verified_are_warned_of(
    tmp_path, make_entry, make_evidence
):
    evidence = (make_evidence(verified=True),)
    write_entry(tmp_path, make_entry(text="Do\u202e it.", evidence=evidence))
    first, second = messages(check_pool(tmp_path), faults=False)
    assert "holds the invisible character '\\u202e'" in first
    assert "evidence.0.verified: is a word to be taken only" in second
