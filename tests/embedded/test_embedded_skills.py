"""The skill rows: sizes, variety, right answers by independent checks, apart from the tasks."""

import json
import random
import re
from collections import Counter, defaultdict

import pytest
import skills_retention
from number_words import number_in_words, ordinal
from skills import RETENTION_FAMILIES, SKILL_FAMILIES

TASKS = ("ticket_codes", "command_json", "house_notation")


@pytest.fixture(scope="module")
def skills(rows_of):
    return rows_of("general/skills.jsonl")


@pytest.fixture(scope="module")
def by_family(skills):
    groups = defaultdict(list)
    for row in skills:
        groups[row["family"]].append((row["prompt"], row["response"]))
    return groups


def word_runs(text, length=5):
    words = re.findall(r"[a-z0-9']+", text.lower())
    return {tuple(words[i : i + length]) for i in range(len(words) - length + 1)}


def test_there_are_enough_rows_of_enough_families_and_none_twice(skills, by_family):
    assert len(skills) >= 4000
    assert len(by_family) >= 25
    assert set(by_family) == {family.__name__ for family in SKILL_FAMILIES}
    assert len({row["id"] for row in skills}) == len({row["prompt"] for row in skills})
    assert max(map(len, by_family.values())) == min(map(len, by_family.values()))


def test_prompts_and_answers_are_short_and_not_blank(skills):
    for row in skills:
        assert 2 <= len(row["prompt"].split()) <= 60, row
        assert row["response"].strip() == row["response"] != "", row
        assert len(row["response"]) <= 160, row


@pytest.mark.parametrize("family", [*SKILL_FAMILIES, *RETENTION_FAMILIES], ids=lambda f: f.__name__)
def test_each_family_asks_in_at_least_four_ways(family):
    rng = random.Random(5)
    letters_only = Counter()
    for _ in range(300):
        prompt, _ = family(rng)
        words = re.findall(r"[A-Za-z]+", prompt)
        letters_only.update({(words[0], words[-1])} | set(zip(words, words[1:], strict=False)))
    common = [pair for pair, times in letters_only.items() if times >= 15]
    assert len(common) >= 4


def test_answers_of_retention_families_are_not_learnt_from_skill_families(by_family):
    assert not {family.__name__ for family in RETENTION_FAMILIES} & set(by_family)
    assert len(RETENTION_FAMILIES) >= 4


def test_no_five_words_in_a_row_are_shared_with_a_task(skills, rows_of):
    task_runs = set()
    for task in TASKS:
        for split in ("train", "test"):
            for row in rows_of(f"tasks/{task}/{split}.jsonl"):
                task_runs |= word_runs(row["prompt"]) | word_runs(row["response"])
    shared = [row for row in skills if word_runs(row["prompt"] + " " + row["response"]) & task_runs]
    assert shared == []


def test_no_answer_or_notation_of_a_task_occurs_in_the_skills(skills, rows_of):
    answers = set()
    for task in TASKS:
        for split in ("train", "test"):
            answers |= {row["response"] for row in rows_of(f"tasks/{task}/{split}.jsonl")}
    marks = re.compile(r'[A-Z]\d-[A-Z]{2}|\b[DTQML]:\d|"do":|ticket|house notation')
    for row in skills:
        assert row["response"] not in answers
        assert not marks.search(row["prompt"] + row["response"]), row


# Independent checks: the answer is worked out anew from the words of the prompt.


def list_in(prompt):
    return max(re.findall(r"[a-z0-9]+(?:, [a-z0-9]+)+", prompt), key=len).split(", ")


def test_sorted_words_are_the_words_of_the_prompt_in_order(by_family):
    for prompt, answer in by_family["sort_words"]:
        words = list_in(prompt.replace("order, alphabetically", "order"))
        assert answer.split(", ") == sorted(words, reverse="from Z to A" in prompt)


def test_sorted_numbers_are_the_numbers_of_the_prompt_in_order(by_family):
    for prompt, answer in by_family["sort_numbers"]:
        numbers = sorted(map(int, re.findall(r"\d+", prompt)), reverse="largest to" in prompt)
        assert answer == ", ".join(map(str, numbers))


def test_counted_letters_are_counted_right(by_family):
    for prompt, answer in by_family["count_letter"]:
        word = max(
            re.findall(r"[a-z]+", prompt.replace("letter", "").replace("times", "")), key=len
        )
        quoted = re.findall(r'"(\w+)"|Word: (\w+)', prompt)
        words = [a or b for a, b in quoted]
        word = max(words, key=len)
        letter = next((w for w in words if len(w) == 1), None)
        letter = letter or re.search(r"[Ll]etter:? (\w)\b", prompt)[1]
        assert int(answer) == sum(sign == letter for sign in word)


def test_spelled_words_join_to_a_word_of_the_prompt(by_family):
    for prompt, answer in by_family["spell_out"]:
        assert re.sub(r"[-/ ]", "", answer) in re.findall(r"\w+", prompt)


def test_reversed_lists_read_backwards(by_family):
    for prompt, answer in by_family["reverse_list"]:
        assert answer.split(", ")[::-1] == list_in(prompt)


def test_repeats_are_removed_in_order(by_family):
    for prompt, answer in by_family["remove_repeats"]:
        kept = []
        for word in list_in(prompt):
            if word not in kept:
                kept.append(word)
        assert answer.split(", ") == kept


def test_comparisons_say_yes_and_no_about_equally_often(by_family):
    answers = Counter(answer for _, answer in by_family["compare_two"])
    assert set(answers) == {"Yes", "No"}
    assert min(answers.values()) > 0.3 * sum(answers.values())


def test_claims_are_true_exactly_when_they_repeat_the_fact(by_family):
    answers = Counter()
    for prompt, answer in by_family["true_or_false"]:
        facts = re.findall(r"[A-Z][a-z]+ [a-z]+ an? [a-z ]+\.", prompt)
        assert len(facts) == 2, prompt
        assert answer == ("true" if facts[0] == facts[1] else "false"), prompt
        answers[answer] += 1
    assert min(answers.values()) > 0.3 * sum(answers.values())


def test_json_made_of_lines_holds_every_line(by_family):
    for prompt, answer in by_family["lines_to_json"]:
        facts = json.loads(answer)
        lines = [line for line in prompt.split("\n") if re.fullmatch(r"[a-z]+: .+", line)]
        assert [f"{key}: {value}" for key, value in facts.items()] == lines


def test_fields_read_from_json_stand_there(by_family):
    for prompt, answer in by_family["read_json"]:
        facts = json.loads(re.search(r"\{.*\}", prompt)[0])
        question = prompt.replace(re.search(r"\{.*\}", prompt)[0], "")
        asked = [key for key in facts if re.search(rf"\b{key}\b", question)]
        assert answer == str(facts[asked[0]])


def test_table_cells_stand_in_the_named_row_and_column(by_family):
    for prompt, answer in by_family["read_table"]:
        lines = [line.split(" | ") for line in prompt.split("\n") if " | " in line]
        question = " ".join(line for line in prompt.split("\n") if " | " not in line)
        column = next(i for i in (1, 2) if lines[0][i] in question)
        row = next(line for line in lines[1:] if re.search(rf"\b{line[0]}\b", question))
        assert row[column] == answer


def test_winners_of_tables_have_the_extreme_points(by_family):
    for prompt, answer in by_family["table_winner"]:
        rows = [line.split(" | ") for line in prompt.split("\n") if " | " in line][1:]
        rows.sort(key=lambda row: int(row[2]))
        assert answer == rows[-1 if re.search("most|highest", prompt) else 0][0]


def test_glossary_translations_follow_the_glossary(by_family):
    for prompt, answer in by_family["translate_by_glossary"]:
        pairs = dict(re.findall(r"(\w+) = (\w+)", prompt))
        both = {**pairs, **{foreign: word for word, foreign in pairs.items()}}
        shown = " ".join(both[word] for word in answer.split())
        assert prompt.endswith(shown)


def test_sums_in_words_are_right(by_family):
    values = {number_in_words(n): n for n in range(100)}
    for prompt, answer in by_family["sums_in_words"]:
        numbers = re.search(r"([a-z-]+) (plus|minus) ([a-z-]+)", prompt.lower())
        a, sign, b = numbers.groups()
        result = values[a] + values[b] * (1 if sign == "plus" else -1)
        assert answer == (str(result) if "in digits" in prompt else number_in_words(result))


def test_stories_add_or_take_away_what_is_told(by_family):
    for prompt, answer in by_family["story_sum"]:
        a, b = map(int, re.findall(r"\d+", prompt))
        taken = re.search("gives|lost", prompt)
        assert int(answer) == (a - b if taken else a + b)


def test_words_left_by_a_filter_are_all_words_that_fit(by_family):
    for prompt, answer in by_family["filter_by_letter"]:
        letter = re.search(r'"(\w)"|(?:letter|with) (\w)\b', prompt)
        letter = letter[1] or letter[2]
        index = -1 if re.search(r"\bends?\b", prompt) else 0
        assert answer.split(", ") == [word for word in list_in(prompt) if word[index] == letter]


def test_labels_follow_the_scale(by_family):
    for prompt, answer in by_family["classify_by_size"]:
        low, low_word, high, middle_word, high_word = re.search(
            r"below (\d+) is (\w+), \d+ to (\d+) is (\w+), above \d+ is (\w+)", prompt
        ).groups()
        numbers = [int(n) for n in re.findall(r"\d+", prompt)]
        for used in (int(low), int(low), int(high), int(high)):
            numbers.remove(used)
        (number,) = numbers
        expected = (
            low_word if number < int(low) else high_word if number > int(high) else middle_word
        )
        assert answer == expected


def test_acronyms_take_the_first_letters(by_family):
    for prompt, answer in by_family["acronym"]:
        runs = re.findall(r"[A-Z][a-z]+(?: [A-Z][a-z]+){2,}", prompt)
        assert answer in {"".join(word[0] for word in run.split()) for run in runs}


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "zero"), (13, "thirteen"), (40, "forty"), (99, "ninety-nine"), (100, "one hundred"),
     (115, "one hundred and fifteen"), (999, "nine hundred and ninety-nine")],
)  # fmt: skip
def test_numbers_are_written_in_british_words(number, words):
    assert number_in_words(number) == words


@pytest.mark.parametrize(
    ("number", "text"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (11, "11th"), (13, "13th"), (22, "22nd")],
)
def test_ordinals_end_as_they_are_spoken(number, text):
    assert ordinal(number) == text


def test_turning_four_times_the_same_way_leads_back():
    for prompt, answer in (skills_retention.compass_turn(random.Random(i)) for i in range(50)):
        start = re.search(r"north|east|south|west", prompt)[0]
        turns = (2 if "twice" in prompt else 1) * (1 if "right" in prompt else -1)
        compass = skills_retention.COMPASS
        assert compass[(compass.index(start) + turns) % 4] == answer


def test_brackets_called_balanced_are_balanced():
    for prompt, answer in (skills_retention.balanced_brackets(random.Random(i)) for i in range(80)):
        text = re.search(r"[()]+", prompt)[0]
        while "()" in text:
            text = text.replace("()", "")
        assert answer == ("no" if text else "yes")
