"""Rules that keep a self-written row: each names what is wrong with a row, or finds nothing.

No model and no training library: a row is judged by its words alone. The order of `RULES` is from
cheap and certain to fuzzy; `reason_against` gives the first rule that speaks against a row.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

from levertune.selfdata.rules import ASSISTANT_TALK, ROLE_MARK, has_repeated_run, words_of

MAX_ANSWER_WORDS = 60
MIN_ANSWER_WORDS = 4
MIN_PROMPT_WORDS = 5
MAX_TITLE_WORDS = 14
# Share of different words among the answer's content words, and where one of them stands thrice.
MIN_DISTINCT = 0.72
MIN_DISTINCT_WITH_TRIPLE = 0.8
# How many words after a content word the same one may not stand again: a word of the request, and
# any other.
CLOSE_WORDS = 4
CLOSE_WORDS_OF_ITS_OWN = 6
# How many words of a definition are looked at for the word that it defines.
PREDICATE_WORDS = 14
# Share of the request's topic words that the answer must take up.
MIN_SHARED_TOPIC = 0.2

_STOP = """
    a an the and or but if then than that this these those is are was were be been being am do
    does did doing have has having had can could will would shall should may might must of in on at
    to for from by with without about as into onto over under between among through during before
    after up down out off again it its it's they them their theirs he him his she her hers we us our
    ours you your yours i me my mine one two three some any each every both all no not only just
    also very more most much many other another such so too there here what which who whom whose
    when where why how while because often usually make makes made use used using uses get gets
    take takes give gives like e.g etc
"""
# Words of the openers and suffixes: they say what kind of answer is wanted, not what about.
_FRAME = """
    main purpose explain sentence reason word mean means write short name people benefit benefits
    describe happen happens list suggest title story good way find difference definition tip example
    summarise important importance tools needed piece advice common mistake briefly know season best
    greeting card message kind tell fact type types answer keep brief reply line thing things help
    classic term phrase effective positive words concise different
"""
STOP_WORDS = frozenset(_STOP.split())
FRAME_WORDS = frozenset(_FRAME.split())
_ENDINGS = (
    "ational", "ation", "ities", "ity", "ical", "ness", "ment", "ings", "ing", "edly", "ies", "ied",
    "ers", "er", "est", "ed", "es", "ly", "al", "ic", "s", "y", "e",
)  # fmt: skip

_BAD_PROMPT = re.compile(
    r"\buser|\bprompt\b|assistant|chatbot|\bAIs?\b|language model|SmolL|\bfollowing\b|\babove\b|"
    r"\bbelow\b|\bthis\b|\b(the|provided|given) (sentence|context|text|passage|article|question|"
    r"code|image|story|post|document|poster|speaker|author|problem|answer|conversation|situation)\b|"
    r"\byou (are|will|cannot|can't|were)\b|"
    r"you're (a|an|not)\b|(are|did|were|have) you\b|"
    r"do you (think|like|love|feel|recommend|want|prefer|say|consider|believe)|"
    r"you (think|absolutely|love|like|personally|recommend|suggest)\b|\bto you\b|"
    r"your (favou?rite|opinion|name|job|response|answer|thoughts?)|\bme\b(?! (one|a|an) )|"
    r"\b(he|she|mine|myself|I|I'm|I've)\b(?<!can I)(?<!should I)|https?:|\n|[<>{}\[\]*#_|=]"
)
_BAD_ANSWER = re.compile(
    rf"{ASSISTANT_TALK}|{ROLE_MARK}|"
    r"\bI\b|\b(my|we're|AIs?|chatbot|SmolL\w*|assistant|prompt)\b|\buser\b(?!-)|"
    r"^(Sure|Certainly|Awesome|Aw|Absolutely)\b|"
    r"\bHere('s| is| are) |let me know|feel free|happy to help|"
    r"\b(this|the) (sentence|question|statement)\b|(the|simple|wrong|right|correct) answer\b|"
    r"https?:|Dear |Subject:|\[|\]|[<>{}*#_|=]",
    re.IGNORECASE,
)
_SUFFIX = re.compile(
    r"\s*(Answer in one sentence\.|Keep it short\.|Be brief\.|Reply in one line\.)$"
)
_SEASON = re.compile(
    r"spring|summer|autumn|fall|winter|january|april|may|june|july|october|december"
)
_PLACE = re.compile(r"\b(in|at|on|near|from|online|under|inside|along|through)\b")
_IS = re.compile(r" (is|are|was|means|refers to) ")
_LIST_ITEM = re.compile(r"\s*(\d+\.|-) ?\w")
_DIFFERENCE = re.compile(r"difference between (.+?) and (.+?)[?.]", re.IGNORECASE)


def stem(word: str) -> str:
    """A rough stem: enough to match plural and verb forms of one word."""
    word = word.removesuffix("'s").removesuffix("’s")
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


def topic_stems(text: str) -> list[str]:
    """Stems of the words that carry a text's topic, in order."""
    return [
        stem(word)
        for word in words_of(text)
        if word not in STOP_WORDS and word not in FRAME_WORDS and len(word) > 2
    ]


def body_of(prompt: str) -> str:
    """The request without the words that ask for brevity."""
    return _SUFFIX.sub("", prompt)


def unfinished(prompt: str, answer: str) -> bool:
    """The request or the answer does not end like a sentence, a list or a title."""
    body = body_of(prompt)
    if body[-1:] not in (".", "?") or "..." in prompt + answer or body.count('"') % 2:
        return True
    if answer.count('"') % 2:
        return True
    is_free = "title" in body or _LIST_ITEM.match(answer.splitlines()[-1])
    return not is_free and answer[-1:] not in (".", "!", "?", '"')


def wrong_length(prompt: str, answer: str) -> bool:
    """The request is too short to be about something, or the answer too short or too long."""
    return (
        len(words_of(body_of(prompt))) < MIN_PROMPT_WORDS
        or not MIN_ANSWER_WORDS <= len(words_of(answer)) <= MAX_ANSWER_WORDS
    )


def not_a_plain_request(prompt: str, answer: str) -> bool:
    """The request speaks to or about the assistant, or refers to something not shown."""
    body = body_of(prompt)
    return bool(_BAD_PROMPT.search(body)) or len(re.findall(r"[.?!](\s|$)", body)) > 1


def assistant_talk(prompt: str, answer: str) -> bool:
    """The answer speaks of itself, apologises, plays a role or holds markup."""
    return bool(_BAD_ANSWER.search(answer))


def not_ascii(prompt: str, answer: str) -> bool:
    """There are signs outside plain English text."""
    return not (prompt + answer).replace("’", "'").replace("–", "-").replace("—", "-").isascii()


def repeats_itself(prompt: str, answer: str) -> bool:
    """The answer or the request says the same again."""
    words, asked = words_of(answer), words_of(body_of(prompt))
    return (
        _has_close_repeat(asked, known=set(asked))
        or has_repeated_run(asked, 3)
        or max(Counter(topic_stems(prompt)).values(), default=0) > 2
        or _has_close_repeat(words, known=set(asked))
        or has_repeated_run(words, 4)
        or _has_repeated_phrase(words, known=set(asked))
        or _has_few_different_words(words)
        or _defines_by_itself(answer)
    )


def _has_repeated_phrase(words: list[str], known: set[str]) -> bool:
    """A phrase comes twice; of the request's own words, content words side by side alone."""
    pairs = Counter(zip(words, words[1:], strict=False))
    if any(n > 1 and not set(pair) & STOP_WORDS for pair, n in pairs.items()):
        return True
    triples = Counter(zip(words, words[1:], words[2:], strict=False))
    for run, times in triples.items():
        content = [word for word in run if word not in STOP_WORDS]
        if times > 1 and (len(content) >= 2 or set(content) - known):
            return True
    return False


def _has_few_different_words(words: list[str]) -> bool:
    stems = [stem(word) for word in words if word not in STOP_WORDS]
    if not stems:
        return True
    most = max(Counter(stems).values())
    distinct = len(set(stems)) / len(stems)
    return (
        most > 3 or distinct < MIN_DISTINCT or (most == 3 and distinct < MIN_DISTINCT_WITH_TRIPLE)
    )


def _has_close_repeat(words: list[str], known: set[str]) -> bool:
    """A content word stands twice within a few words, as in "manage and manage"."""
    known_stems = {stem(word) for word in known}
    stems = [stem(word) if word not in STOP_WORDS and len(word) > 2 else "" for word in words]
    for i, one in enumerate(stems):
        reach = CLOSE_WORDS if one in known_stems else CLOSE_WORDS_OF_ITS_OWN
        if one and one in stems[i + 1 : i + 1 + reach]:
            return True
    return False


def _defines_by_itself(answer: str) -> bool:
    """The subject comes again in what is said of it, as in "a map is a kind of map"."""
    match = _IS.search(answer)
    if not match:
        return False
    subject = topic_stems(answer[: match.start()])
    said = topic_stems(" ".join(answer[match.end() :].split()[:PREDICATE_WORDS]))
    return bool(set(subject[-2:]) & set(said))


def says_nothing_new(prompt: str, answer: str) -> bool:
    """The answer only gives the words of the request back."""
    new = set(topic_stems(answer)) - set(topic_stems(prompt))
    return len(new) < 3


def off_topic(prompt: str, answer: str) -> bool:
    """Request and answer share too few of the words that carry their topic."""
    asked, said = set(topic_stems(body_of(prompt))), set(topic_stems(answer))
    if not asked or not said:
        return True
    shared = len(asked & said)
    return shared / len(asked) < MIN_SHARED_TOPIC


def compares_a_thing_with_itself(prompt: str, answer: str) -> bool:
    """The request asks for the difference between two like things."""
    match = _DIFFERENCE.search(prompt)
    if not match:
        return False
    left, right = set(words_of(match[1])), set(words_of(match[2]))
    small = {"a", "an", "the", "of"}
    return not (left - right - small) or not (right - left - small)


def answers_another_question(prompt: str, answer: str) -> bool:
    """Asked for a title, a season, a place or three things, the answer gives none."""
    if prompt.startswith("Suggest a short title"):
        return len(words_of(answer)) > MAX_TITLE_WORDS
    if prompt.startswith("Which season"):
        named = set(_SEASON.findall(answer.lower()))
        return not named - set(_SEASON.findall(prompt.lower()))
    if prompt.startswith("Where"):
        return not _PLACE.search(answer)
    if prompt.startswith(("Name three", "List three")):
        return len(re.findall(r",|;|\n|\band\b", answer)) < 2
    return False


RULES: tuple[Callable[[str, str], bool], ...] = (
    unfinished, wrong_length, not_ascii, not_a_plain_request, assistant_talk, repeats_itself,
    says_nothing_new, off_topic, compares_a_thing_with_itself,
    answers_another_question,
)  # fmt: skip


def reason_against(prompt: str, answer: str) -> str | None:
    """Name of the first rule that speaks against a row, or None if the row is kept."""
    for rule in RULES:
        if rule(prompt, answer):
            return rule.__name__
    return None
