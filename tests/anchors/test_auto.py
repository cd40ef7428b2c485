import re

import pytest

from levertune.anchors.auto import MAX_CHARACTERS, choose_anchor
from levertune.anchors.lift import Lifting
from levertune.data.records import Message, Record
from levertune.errors import DataError, RecipeError

SHARED = "Give the code."


def records(*texts):
    return [Record("1", "task", (Message("user", text),), "A1") for text in texts]


ROWS = records(f"{SHARED} one", f"{SHARED} two")
BARE = records("one", "two")


def prompts(choice, rows):
    lifted = choice.lifting.take_from_all(rows).records
    return [choice.anchor.apply(row).messages[-1].content for row in lifted]


def test_auto_makes_the_shared_instruction_the_anchor_and_gives_back_the_same_prompts():
    choice = choose_anchor("auto", ROWS)
    assert choice.anchor.text == SHARED
    assert choice.lifting.instructions == (SHARED,)
    assert prompts(choice, ROWS) == [f"{SHARED} one", f"{SHARED} two"]
    assert choice.reason == (
        "the instruction of the task rows; lifted out of the 2 rows, which all carry it"
    )


def test_auto_moves_the_instruction_where_the_recipe_wants_it_and_says_so():
    choice = choose_anchor("auto", ROWS, placement="suffix", lead_in="Code: ", dropout=0.1)
    assert prompts(choice, ROWS) == [f"one\n{SHARED}", f"two\n{SHARED}"]
    assert (choice.anchor.lead_in, choice.anchor.dropout) == ("Code: ", 0.1)
    assert choice.reason.endswith("moved from prefix to suffix")


def test_auto_writes_a_sentence_where_no_instruction_is_shared():
    choice = choose_anchor("auto", BARE, kind="label", labels=["A1", "B2"])
    assert choice.anchor.text == "Answer with one of these labels, and nothing else: A1, B2."
    assert choice.lifting == Lifting()
    assert choice.reason == "written from the task's kind (label); the rows share no instruction"


def test_auto_says_when_most_rows_share_an_instruction_but_not_all():
    choice = choose_anchor("auto", [*ROWS, *ROWS, *BARE[:1]])
    assert choice.reason.endswith(
        "not all rows share an instruction, only 80% open with 'Give the code.'"
    )


def test_null_leaves_the_rows_as_they_are():
    choice = choose_anchor(None, ROWS)
    assert (choice.anchor, choice.lifting) == (None, Lifting())
    assert choice.reason == "the recipe asks for no anchor"
    assert choice.lifting.take_from_all(ROWS).records == tuple(ROWS)


def test_sentence_is_the_anchor_of_rows_that_lack_it():
    choice = choose_anchor("Sort it now.", BARE)
    assert prompts(choice, BARE) == ["Sort it now.\none", "Sort it now.\ntwo"]
    assert choice.reason == "as the recipe has it"


def test_other_shared_instruction_stays_in_the_rows_and_is_named():
    choice = choose_anchor("Sort it now.", ROWS)
    assert choice.lifting.take_from_all(ROWS).records == tuple(ROWS)
    assert choice.reason.endswith("; the rows keep the instruction they share ('Give the code.')")


def test_what_rows_still_share_without_the_anchor_is_named():
    rows = records(*(f"Sort it now. {row.prompt[0].content}" for row in ROWS))
    choice = choose_anchor("Sort it now.", rows)
    assert choice.reason == (
        "as the recipe has it; taken out of the 2 of 2 rows that carry it; the rows keep the "
        "instruction they share ('Give the code.')"
    )


@pytest.mark.parametrize("setting", [SHARED, " Give  the\ncode. "])
def test_sentence_that_all_rows_carry_is_not_doubled(setting):
    assert prompts(choose_anchor(setting, ROWS), ROWS) == [f"{SHARED} one", f"{SHARED} two"]


def test_sentence_that_holds_the_shared_instruction_replaces_it():
    choice = choose_anchor("Give the code. Codes are short.", ROWS)
    assert prompts(choice, ROWS)[0] == "Give the code. Codes are short.\none"
    assert choice.reason.endswith("it holds the instruction that was lifted out of all rows")


def test_sentence_that_some_rows_carry_is_taken_out_of_those():
    choice = choose_anchor(SHARED, [*ROWS, *BARE])
    assert prompts(choice, [*ROWS, *BARE]) == [f"{SHARED}\none", f"{SHARED}\ntwo"] * 2
    assert choice.reason == "as the recipe has it; taken out of the 2 of 4 rows that carry it"


def test_test_rows_lose_what_the_training_rows_lost():
    choice = choose_anchor("auto", ROWS)
    removed = choice.lifting.take_from_all(records(f"{SHARED} three", "four"))
    assert [row.user_text for row in removed.records] == ["three", "four"]
    assert removed.num_without == 1


def test_file_holds_the_anchor_with_or_without_byte_order_mark(tmp_path):
    path = tmp_path / "anchor.txt"
    path.write_bytes("\ufeffGefðu kóðann.\nHratt.\n".encode())
    choice = choose_anchor(f"file:{path}", BARE)
    assert choice.anchor.text == "Gefðu kóðann.\nHratt."
    assert choice.reason == f"read from {path}"


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_the_ends_of_lines_of_another_system_make_no_other_anchor(tmp_path, end):
    path = tmp_path / "anchor.txt"
    path.write_bytes(f"Give the code.{end}{end}Nothing else.{end}".encode())
    choice = choose_anchor(f"file:{path}", BARE)
    assert choice.anchor.text == "Give the code.\n\nNothing else."


def test_the_file_may_lie_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "anchor.txt").write_text("Give the code.", "utf-8")
    choice = choose_anchor("file:~/anchor.txt", BARE)
    assert (choice.anchor.text, choice.reason) == ("Give the code.", "read from ~/anchor.txt")
    with pytest.raises(RecipeError, match="^~nobody-here/a.txt: the home folder is not known"):
        choose_anchor("file:~nobody-here/a.txt", BARE)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file. Write the anchor there"),
        (b"", "is empty. Write the anchor there"),
        (b"\xef\xbb\xbf \n", "is empty"),
        (b"Gef\xf0u", "not UTF-8; found byte 0xf0 at offset 3"),
        (b"Give\0 it", "not a text file; found a NUL byte"),
        (
            b"x" * (MAX_CHARACTERS + 1),
            "too long for an anchor; found 8001 characters, at most 8000",
        ),
    ],
)
def test_file_that_cannot_be_used_is_named(tmp_path, content, message):
    path = tmp_path / "anchor.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecipeError, match=re.escape(f"anchor.text: {path}: {message}")):
        choose_anchor(f"file:{path}", BARE)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("file:", "anchor.text: file:: cannot be read"),
        ("file:a\0b", "cannot be read; embedded null byte"),
        ("  ", "anchor.text: is blank"),
        ("x" * 9000, "anchor.text: too long for an anchor; found 9000 characters"),
    ],
)
def test_setting_that_cannot_be_used_is_refused(setting, message):
    with pytest.raises(RecipeError, match=re.escape(message)):
        choose_anchor(setting, BARE)


def test_an_anchor_of_the_pool_is_named_by_its_id():
    choice = choose_anchor("pool:invoice-to-json", BARE)
    assert choice.anchor.text.startswith("You are given the text of an invoice.")
    assert choice.reason == "invoice-to-json of the pool"
    with pytest.raises(DataError, match="no such anchor; .*Did you mean 'invoice-to-json'"):
        choose_anchor("pool:invoice-to-jso", BARE)


def test_the_pool_may_stand_in_further_places(tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        choose_anchor("pool:invoice-to-json", BARE, pools=[str(tmp_path / "nowhere")])


def test_folder_is_not_a_file(tmp_path):
    with pytest.raises(RecipeError, match="cannot be read; .*Name a text file"):
        choose_anchor(f"file:{tmp_path}", BARE)


def test_white_space_around_the_users_text_is_none_of_the_anchors():
    said = "Classify the message."
    some = records(*(f"{said}\nword {n}" if n % 2 else f"word {n}" for n in range(10)))
    choice = choose_anchor(f"{said}\n", some)
    assert choice.anchor.text == said
    assert prompts(choice, some) == [f"{said}\nword {n}" for n in range(10)]
