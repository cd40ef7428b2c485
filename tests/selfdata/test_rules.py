import pytest

from levertune.selfdata.rules import loops, reason_against, words_of

REQUEST = "Why do leaves turn red in autumn?"
ANSWER = "Green fades first, so that the other colours of a leaf come to light."


@pytest.mark.parametrize(
    ("request_text", "answer", "reason"),
    [
        (REQUEST, ANSWER, None),
        ("为什么秋天树叶会变红?请解释一下。", "因为叶绿素减少,其他色素显现出来。", None),
        ("Warum?", ANSWER, "request_too_short"),
        (REQUEST, "...", "empty_answer"),
        (REQUEST, "As an AI, I have seen no leaves.", "speaks_of_itself"),
        (REQUEST, "I'm sorry, but that is not for me to say.", "speaks_of_itself"),
        (REQUEST, "Green fades.\nUser: And then?", "speaks_of_itself"),
        ("Answer: leaves turn red.", ANSWER, "speaks_of_itself"),
        (REQUEST, "It is the cold, " * 20, "repeats_itself"),
        (REQUEST, "红" * 200, "repeats_itself"),
        ("one two three four five six seven eight " * 2, ANSWER, "repeats_itself"),
        (REQUEST, "Leaves turn red in autumn.", "gives_the_request_back"),
    ],
)
def test_each_fault_has_its_reason_and_a_plain_row_has_none(request_text, answer, reason):
    assert reason_against(request_text, answer) == reason


def test_a_list_of_like_items_is_no_loop():
    items = ["apples", "pears", "plums", "cherries", "quinces", "figs", "dates", "grapes"]
    assert not loops(
        "".join(f"{i}. Fresh {item} from the market\n" for i, item in enumerate(items))
    )


def test_words_are_found_in_any_script():
    assert words_of("L'été, élan vital 42") == ["l'été", "élan", "vital", "42"]
