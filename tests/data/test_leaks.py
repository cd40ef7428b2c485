import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from levertune.data.agreement import answers_agree
from levertune.data.leaks import (
    find_leaks,
    find_twins,
    search_leaks,
    strongest_by_row,
    turned_round,
)
from levertune.data.records import Message, Record
from levertune.data.splits import cross_validation_folds, split_holdout

INSTRUCTION = "Give the ticket code for this message."
RUN = "one two three four five six seven eight nine ten eleven twelve thirteen"
LONG = "the parcel that i ordered for my sister two weeks ago has still not come and i am cross"
SHORT = "how do i reset the pin of my card"


def found(rows, like, **options):
    return [(k.id, k.like_id, k.kind) for k in find_leaks(rows, like, **options)]


@pytest.mark.parametrize(
    ("row", "like", "kind"),
    [
        (("Where is it?", "A"), ("where  IS it?\n", "a"), "exact"),
        (("Where is it?", "A"), ("Where is it?", "B"), "prompt"),
        (("Where, is it", "B"), ('"Where is it?"', "A"), "prompt"),
        ((f"x {RUN} fourteen", "A"), (f"zero {RUN}", "B"), "13-gram"),
        (("tell", f"x {RUN} fourteen"), (f"zero {RUN}", "A"), "13-gram"),
        ((f"zero {RUN}", "A"), ("tell", f"x {RUN} fourteen"), "13-gram"),
        ((f"Dear bank, {SHORT}? Thanks", "A"), (SHORT, "B"), "contained"),
        (("Ask me something.", f"Well: {SHORT}?"), (SHORT, "B"), "contained"),
        ((LONG.replace("weeks", "weekz"), "A"), (LONG, "A"), "near"),
        ((LONG.replace("weeks", "weekz"), "so: A."), (LONG, "A"), "near"),
        ((SHORT.replace("reset", "change"), "A"), (SHORT, "A"), "near"),
        ((SHORT.replace("the ", ""), "A"), (SHORT, "A"), "near"),
        ((SHORT.replace("reset", "please reset"), "A"), (SHORT, "A"), "near"),
        # Nothing but what rows rightly share.
        (("one two three four", "A"), ("one two three", "A"), None),
        (("Where is it?", "same label here"), ("Is it there?", "same label here"), None),
        (("tell", f"x {RUN}"), ("other", f"x {RUN}"), None),
        (("", "A"), ("!", "A"), None),
        ((f"what is a cat? {SHORT[:20]}", "A"), (SHORT[:20], "A"), None),
        # One template, two rows.
        (("how much is 3 + 4 if you please", "7"), ("how much is 3 * 4 if you please", "12"), None),
        (("the legs of 3 cats and a hen", "14"), ("the legs of 4 cats and a hen", "18"), None),
        (("is the number 7 odd or is it even", "odd"), ("is the number 9 odd or is it even", "odd"),
         None),
        (("what is the capital city of france please", "Paris"),
         ("what is the capital city of spain please", "Madrid"), None),
        ((LONG.replace("parcel", "letter"), "wants it"), (LONG, "another thing"), "13-gram"),
    ],
)  # fmt: skip
def test_strongest_kind_of_leak_is_told(rows, row, like, kind):
    expected = [("2", "2", kind)] if kind else []
    others = ("nothing like it at all", "Z")
    assert found(rows(others, row), rows(("another one", "Y"), like)) == expected


def test_instruction_that_rows_share_does_not_count(rows):
    general = rows((f"{INSTRUCTION}\nWhere is it?", "A"), (f"{INSTRUCTION}\nWho are you?", "A"))
    test = rows((f"{INSTRUCTION}\nWhere did you go", "A"), ("Who are you?", "A"))
    assert found(general, test, instruction=INSTRUCTION) == [("2", "2", "exact")]
    assert found(general, test) == []


def test_system_text_is_part_of_the_prompt(record):
    general = [record("hi", "A", system="Speak French.")]
    assert found(general, [record("hi", "A", system="speak french.")]) == [("1", "1", "exact")]
    assert found(general, [record("hi", "A")]) == []
    assert found(general, [record("hi", "A")], instruction="Speak French.") == [("1", "1", "exact")]


def test_text_rows_leak_by_their_whole_text():
    text = Record("t", "g", (), f"A page that says {RUN} and goes on.")
    test = Record("1", "task", (Message("user", f"zero {RUN}"),), "A")
    assert found([text], [test]) == [("t", "1", "13-gram")]
    assert found(
        [Record("t", "g", (), SHORT)], [Record("1", "task", (Message("user", SHORT),), "A")]
    )


def test_pairs_name_sources_and_similarity(rows):
    (leak,) = find_leaks(rows((LONG.replace("cross", "angry"), "A"), source="g"), rows((LONG, "A")))
    assert (leak.source, leak.like_source, leak.kind) == ("g", "task", "near")
    assert 0.8 < leak.similarity < 1
    (leak,) = find_leaks(rows((f"x {RUN} y", "A")), rows((f"{RUN} {RUN[:13]}", "B")))
    assert (leak.kind, leak.similarity) == ("13-gram", round(13 / 16, 4))


def test_nothing_leaks_from_or_into_nothing(rows):
    assert find_leaks([], rows(("a", "A"))) == find_leaks(rows(("a", "A")), []) == []
    assert find_leaks(rows(("", "")), rows(("", "x"), ("?", ""))) == find_leaks(
        rows(("", "")), rows(("", "x"))
    )


def test_rows_that_leak_are_told_once_from_either_side(rows):
    general = rows(("a b", "A"), (f"x {RUN} a b", "B"), ("A B", "a"), (SHORT, "C"), source="g")
    test = rows(("a b", "A"), (f"{RUN} c d", "D"), ("a b", "other"), ("a  b", "a"))
    leaks = find_leaks(general, test)
    by_row = [(k.id, k.like_id, k.kind) for k in strongest_by_row(leaks)]
    assert by_row == [("1", "1", "exact"), ("2", "2", "13-gram"), ("3", "1", "exact")]
    by_test = [(k.id, k.like_id, k.kind) for k in strongest_by_row(turned_round(leaks))]
    assert by_test == [
        ("1", "1", "exact"), ("2", "2", "13-gram"), ("3", "1", "prompt"), ("4", "1", "exact"),
    ]  # fmt: skip


def test_answers_agree_if_equal_or_one_is_part_of_the_other():
    assert answers_agree("paris", "the answer is paris.")
    assert answers_agree("", "anything")
    assert answers_agree("where is it?", "where is it")
    assert not answers_agree(LONG, LONG.replace("cross", "angry"))
    assert not answers_agree("jump walk", "jump walk jump")
    assert not answers_agree("paris", "comparison")
    assert not answers_agree("paris", "madrid")


# Planted leaks, and rows that only look alike.

SYLLABLES = [a + b for a in "bdfgklmnprstv" for b in ("a", "e", "i", "o", "u", "ar", "en", "il")]


class Maker:
    """Makes rows of words as unevenly frequent as in a language."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.words = ["".join(self.random.choices(SYLLABLES, k=3)) for _ in range(4000)]
        self.weights = [1 / (rank + 1) for rank in range(len(self.words))]

    def text(self, least, most):
        count = self.random.randint(least, most)
        return " ".join(self.random.choices(self.words, self.weights, k=count))

    def records(self, count, source, least=8, most=40):
        return [self.record(i, source, self.text(least, most)) for i in range(count)]

    def record(self, number, source, prompt, completion=None):
        answer = self.random.choice("ABCD") if completion is None else completion
        return Record(str(number), source, (Message("user", prompt),), answer)


def one_word_reworded(maker, words):
    words[maker.random.randrange(len(words))] = "reworded"
    return " ".join(words)


def case_and_space(_, words):
    return "  ".join(words).title() + "."


def in_a_longer_row(maker, words):
    return f"{maker.text(3, 20)} {' '.join(words)} {maker.text(3, 20)}"


def thirteen_words(maker, words):
    start = maker.random.randrange(len(words) - 12)
    return f"{maker.text(9, 20)} {' '.join(words[start : start + 13])} {maker.text(9, 20)}"


@pytest.mark.parametrize(
    ("change", "least", "kinds"),
    [
        (lambda _, words: " ".join(words), 8, {"exact"}),
        (case_and_space, 8, {"exact", "prompt"}),
        (one_word_reworded, 8, {"near"}),
        (in_a_longer_row, 8, {"contained", "13-gram"}),
        (thirteen_words, 26, {"13-gram"}),
    ],
)
def test_planted_leaks_are_all_found_and_nothing_else(change, least, kinds):
    maker = Maker(seed=3)
    test = maker.records(60, "task", least=least)
    general = maker.records(600, "g")
    for record in test:
        text = change(maker, record.user_text.split())
        general.append(maker.record(f"leak-{record.id}", "g", text, record.completion))
    maker.random.shuffle(general)
    leaks = strongest_by_row(find_leaks(general, test))
    assert {(k.id, k.like_id) for k in leaks} == {(f"leak-{r.id}", r.id) for r in test}
    assert {k.kind for k in leaks} <= kinds


def test_rows_that_share_only_a_long_anchor_are_no_leaks():
    maker = Maker(seed=4)
    anchor = f"{LONG} {RUN} and answer with the one code that fits best:"
    for like, rows in ((40, 400), (400, 40), (40, 40)):
        test = [maker.record(i, "task", f"{anchor} {maker.text(4, 20)}") for i in range(like)]
        general = [maker.record(i, "g", f"{anchor} {maker.text(4, 20)}") for i in range(rows)]
        assert find_leaks(general, test) == []
        # Nor are they if the anchor is known and the rows are few.
        assert find_leaks(general[:3], test[:3], instruction=anchor) == []


TEMPLATES = (
    "Tom has {0} apples and buys {1} more at the shop on the corner. How many has he in all?",
    "Please tell me in one short sentence what the word {2} means to a child of ten years.",
    "Is it true that {2} is larger than {0} when you look at it from the top of a hill?",
    "Add {0} and {1}.",
)


def test_rows_of_one_template_are_no_leaks_of_each_other():
    maker = Maker(seed=5)

    def rows(count, source, word):
        made = []
        for i in range(count):
            one, two = maker.random.randint(1, 99), maker.random.randint(1, 99)
            template = maker.random.choice(TEMPLATES)
            text = template.format(one, two, f"{word}{maker.random.choice(maker.words)}")
            made.append(maker.record(i, source, text, maker.random.choice(["yes", "no"])))
        return made

    test, general = rows(50, "task", "x"), rows(500, "g", "y")
    leaks = Counter(leak.kind for leak in find_leaks(general, test))
    # Two draws of the same numbers for one template of numbers alone are equal prompts.
    assert set(leaks) <= {"exact", "prompt"}
    assert find_leaks(rows(6, "g", "y"), rows(3, "task", "x")[:2]) == []


WHOLE = "which of the two shops near the old harbour sells bread on a sunday"  # 14 words


def in_other_words(i):
    return f"{WORDS_OF_NO_TEMPLATE[i]} asks {WHOLE} and {WORDS_OF_NO_TEMPLATE[-1 - i]} laughs"


def a_near_copy(i):
    return LONG.replace("cross", ("angry", "sad", "upset", "tired", "vexed", "sorry", "irate",
                                  "glum", "bitter", "grim", "sour", "low")[i])  # fmt: skip


def reworded(i):
    return SHORT.replace("reset", WORDS_OF_NO_TEMPLATE[i])


WORDS_OF_NO_TEMPLATE = [
    "amber", "birch", "cedar", "dahlia", "elm", "fern", "gorse", "hazel", "iris", "juniper",
    "kale", "lilac", "maple", "nettle", "oak", "poplar", "quince", "rowan", "sorrel", "thyme",
    "umbel", "violet", "willow", "yarrow",
]  # fmt: skip


@pytest.mark.parametrize(
    ("prompt", "change"), [(WHOLE, in_other_words), (LONG, a_near_copy), (SHORT, reworded)]
)
def test_rows_that_more_than_ten_others_hold_are_a_templates_and_are_told(rows, prompt, change):
    test = rows((prompt, "A"), ("nothing that any other row would say", "B"))
    ten, more = (rows(*((change(i), "A") for i in range(n)), source="g") for n in (10, 12))
    few = search_leaks(ten, test)
    assert {leak.like_id for leak in few.leaks} == {"1"}
    assert len(few.leaks) == 10
    assert few.passed_over == ()
    many = search_leaks(more, test)
    assert many.leaks == ()
    assert [record.id for record in many.passed_over] == ["1"]


def test_rows_of_a_template_with_other_answers_are_not_told_as_passed_over(rows):
    general = rows(*((reworded(i), WORDS_OF_NO_TEMPLATE[i]) for i in range(12)), source="g")
    assert search_leaks(general, rows((SHORT, "A"))).passed_over == ()


def test_twins_are_the_strong_pairs_by_index(rows):
    general = rows(("x", "A"), ("a b", "B"), (reworded(0), "C"), (f"x {WHOLE} y", "D"), source="g")
    test = rows((WHOLE, "A"), (SHORT, "C"), ("a  b", "A"))
    assert find_twins(general, test) == [(1, 2), (2, 1)]
    assert find_twins(general, []) == find_twins([], test) == []


def test_the_order_of_rows_changes_nothing():
    maker = Maker(seed=6)
    test, general = maker.records(40, "task"), maker.records(200, "g")
    for i, record in enumerate(test):
        words = record.user_text.split()
        text = (one_word_reworded, in_a_longer_row, case_and_space)[i % 3](maker, words)
        general += [maker.record(f"l{i}-{j}", "g", text, record.completion) for j in range(3)]
    general += [
        maker.record(f"t{i}", "g", TEMPLATES[0].format(i % 4, 7), str(i % 3)) for i in range(60)
    ]
    test += [maker.record(f"t{i}", "task", TEMPLATES[0].format(i, 7), "1") for i in range(3)]
    expected = set(find_leaks(general, test))
    for _ in range(3):
        maker.random.shuffle(general)
        maker.random.shuffle(test)
        assert set(find_leaks(general, test)) == expected
    assert expected


WORDS = st.lists(st.sampled_from(LONG.split()), min_size=1, max_size=30).map(" ".join)
PAIRS = st.lists(st.tuples(WORDS, st.sampled_from("AB")), min_size=1, max_size=12)


@settings(max_examples=30)
@given(PAIRS, PAIRS, st.randoms(use_true_random=False))
def test_equal_rows_are_always_found_and_order_never_matters(left, right, shuffler):
    general = [Record(f"g{i}", "g", (Message("user", p),), c) for i, (p, c) in enumerate(left)]
    test = [Record(f"t{i}", "task", (Message("user", p),), c) for i, (p, c) in enumerate(right)]
    leaks = find_leaks(general, test)
    exact = {leak.id for leak in leaks if leak.kind == "exact"}
    assert exact == {f"g{i}" for i, pair in enumerate(left) if pair in right}
    exact_tests = {leak.like_id for leak in leaks if leak.kind == "exact"}
    assert exact_tests == {f"t{i}" for i, pair in enumerate(right) if pair in left}
    shuffler.shuffle(general)
    shuffler.shuffle(test)
    assert set(find_leaks(general, test)) == set(leaks)


STRONG = ("exact", "prompt", "near")


@settings(max_examples=8)
@given(st.integers(0, 3), st.sampled_from([0.2, 0.4]), st.data())
def test_no_split_has_twins_of_its_test_rows_in_training(seed, share, data):
    maker = Maker(seed)
    records = maker.records(24, "task")
    for i in range(12):
        words = data.draw(st.sampled_from(records)).user_text.split()
        records.append(maker.record(f"twin{i}", "task", one_word_reworded(maker, words), "A"))
    splits = [
        split_holdout(records, share, seed=seed),
        *cross_validation_folds(records, 3, seed=seed),
    ]
    for split in splits:
        assert not any(group.is_parted for group in split.large_groups)
        assert not [k for k in find_leaks(split.train, split.test) if k.kind in STRONG]


def test_thousands_of_rows_of_one_template_are_passed_quickly():
    maker = Maker(seed=7)
    texts = [f"{LONG}, says customer {maker.random.choice(maker.words)} now" for _ in range(4000)]
    general = [maker.record(i, "g", text) for i, text in enumerate(texts)]
    test = [maker.record(i, "task", text) for i, text in enumerate(texts[:300])]
    assert {leak.kind for leak in find_leaks(general, test)} <= {"exact", "prompt"}


def test_among_very_many_rows_copies_and_runs_are_found_and_near_copies_are_not(monkeypatch):
    monkeypatch.setattr("levertune.data.leaks.MAX_NEAR_ROWS", 2)

    def named(row_id, prompt):
        return Record(row_id, "g", (Message("user", prompt),), "A")

    long = " ".join(f"w{i}" for i in range(30))
    like = [
        named("a", "where is the nearest open ticket office in this town"),
        named("b", long),
        named("c", "how much is the fish"),
    ]
    rows = [
        named("1", "where is the nearest closed ticket office in this town"),
        named("2", f"read this: {long} and answer"),
        named("3", "How much is  the fish"),
    ]
    found = {(leak.id, leak.like_id) for leak in find_leaks(rows, like)}
    assert found == {("2", "b"), ("3", "c")}
    monkeypatch.undo()
    assert ("1", "a") in {(leak.id, leak.like_id) for leak in find_leaks(rows, like)}


@settings(max_examples=40)
@given(PAIRS, PAIRS, st.integers(0, 3))
def test_leaving_strangers_out_first_changes_nothing(left, right, seed):
    maker = Maker(seed)
    runs = [RUN.replace("three", str(i)) for i in range(14)]
    general = [maker.record(f"g{i}", "g", p, c) for i, (p, c) in enumerate(left)]
    general += [maker.record(f"h{i}", "g", f"{run} {i}", "A") for i, run in enumerate(runs[seed:])]
    test = [maker.record(f"t{i}", "task", p, c) for i, (p, c) in enumerate(right)]
    test += [maker.record(f"u{i}", "task", f"so {run}", "B") for i, run in enumerate(runs)]
    test += maker.records(5, "task")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("levertune.data.leaks.MAX_NEAR_ROWS", 0)
        assert search_leaks(general, test) == search_leaks(iter(general), test)
