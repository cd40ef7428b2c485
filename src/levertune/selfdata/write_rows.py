"""`self:N` and `self-answers:FILE`: rows the base model writes, sampled, filtered, kept.

Requests are sampled by template-only prompting (Magpie, arXiv 2406.08464, section 2): the model is
given its chat template up to where the user speaks, and writes what a user would. For diversity
three requests in four open with a few words of ours. A second pass answers them.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from levertune.anchors.anchor import plain_example
from levertune.data.near_duplicates import group_near_duplicates
from levertune.data.records import Message, Record
from levertune.data.row_texts import normalize_text
from levertune.errors import DataError, ModelError
from levertune.models.rendering import ChatTokenizer
from levertune.progress import Progress, SilentProgress
from levertune.selfdata.batch_store import BatchStore, Row
from levertune.selfdata.openers import OPENERS
from levertune.selfdata.rules import reason_against
from levertune.selfdata.sampling import TOP_K, Sampler

SELF_VERSION = 1
"""Raise when sampling or filtering changes: what is kept is then sampled again."""

BATCH_ROWS = 32
CANDIDATES_PER_ROW = 8
"""Sampling ends after so many candidates a row wanted, however few of them were kept."""

REQUEST_TOKENS = 128
ANSWER_TOKENS = 384
REQUEST_TEMPERATURE = 0.7
ANSWER_TEMPERATURE = 0.2

_SENTINEL = "\ue000levertune-request\ue000"
_SETTINGS = {
    "version": SELF_VERSION,
    "batch_rows": BATCH_ROWS,
    "request_tokens": REQUEST_TOKENS,
    "answer_tokens": ANSWER_TOKENS,
    "temperatures": [REQUEST_TEMPERATURE, ANSWER_TEMPERATURE],
    "top_k": TOP_K,
}


@dataclass(frozen=True, slots=True)
class SelfWritten:
    """Rows the model wrote.

    Args:
        path: A JSON Lines file of them.
        notes: What a reader should know: how many candidates were left out, and why.
    """

    path: Path
    notes: tuple[str, ...]


def require_chat_template(tokenizer: ChatTokenizer) -> None:
    """Refuse a model that cannot write rows.

    Args:
        tokenizer: The model's tokenizer.

    Raises:
        ModelError: If it has no chat template.
    """
    if not tokenizer.has_chat_template:
        raise ModelError(
            f"{tokenizer.name}: has no chat template, so it can write no requests or answers of "
            "its own. Use an instruction-tuned model, or name general rows from a file in place of "
            "self:N and self-answers:FILE."
        )


class SelfWriter:
    """Lets one model write rows; each batch and each choice is kept in the user's cache.

    Args:
        tokenizer: The model's tokenizer.
        model_key: What tells the model and its tokenizer from others.
        make_sampler: Gives the sampler; called only if something must be sampled.
        progress: Where to show progress.

    Raises:
        ModelError: If the model has no chat template.
    """

    def __init__(
        self,
        tokenizer: ChatTokenizer,
        model_key: Sequence[str],
        make_sampler: Callable[[], Sampler],
        *,
        progress: Progress | None = None,
    ) -> None:
        require_chat_template(tokenizer)
        self._tokenizer = tokenizer
        self._model_key = list(model_key)
        self._make_sampler = make_sampler
        self._made: Sampler | None = None
        self._progress = progress or SilentProgress()

    def write_rows(self, num_rows: int) -> SelfWritten:
        """Requests and answers, until there are enough or the candidates run out.

        Args:
            num_rows: Rows wanted; more contain the fewer.

        Raises:
            DataError: If no candidate at all could be kept.
        """
        facts = {**_SETTINGS, "kind": "rows", "model": self._model_key, "openers": OPENERS}
        shown = f"self:{num_rows}"
        limit = -(-num_rows * CANDIDATES_PER_ROW // BATCH_ROWS)
        return self._choose(facts, shown, num_rows, [None] * limit)

    def answer(self, prompts: Sequence[Record], shown: str) -> SelfWritten:
        """The model's own answers to given prompts.

        Args:
            prompts: The prompts; a completion is not looked at.
            shown: How the source is called.

        Raises:
            DataError: If no answer at all could be kept.
        """
        turns = [[(turn.role, turn.content) for turn in record.prompt] for record in prompts]
        content = json.dumps([[record.id for record in prompts], turns])
        facts = {
            **_SETTINGS,
            "kind": "answers",
            "model": self._model_key,
            "prompts": hashlib.sha256(content.encode("utf-8")).hexdigest(),
        }
        parts = [prompts[i : i + BATCH_ROWS] for i in range(0, len(prompts), BATCH_ROWS)]
        return self._choose(facts, shown, len(prompts), parts)

    def _choose(
        self,
        facts: Mapping[str, Any],
        shown: str,
        num_rows: int,
        parts: Sequence[Sequence[Record] | None],
    ) -> SelfWritten:
        store = BatchStore(facts)
        name = f"rows-{num_rows}"
        with store.locked():
            path, known = store.chosen(name)
            if known is not None:
                return SelfWritten(path, tuple(f"{shown}: {note}" for note in known["notes"]))
            kept: list[Row] = []
            dropped: Counter[str] = Counter()
            with self._progress.stage(f"write {shown}", num_rows, "row") as stage:
                for number, part in enumerate(parts):
                    rows = store.batch(number, partial(self._sample, number, part))
                    new = _keep(rows, kept, dropped, compare=part is None)[: num_rows - len(kept)]
                    kept += new
                    stage.advance(len(new))
                    if len(kept) == num_rows:
                        break
            notes = _describe(num_rows, len(kept), dropped, is_answers=parts[0] is not None)
            if not kept:
                raise DataError(
                    f"{shown}: none of the {sum(dropped.values())} rows {self._tokenizer.name} "
                    f"wrote can be used; found {_counts(dropped)}. Use a model that follows "
                    "instructions, or name general rows from a file."
                )
            path = store.keep_chosen(name, kept, {"notes": notes})
            return SelfWritten(path, tuple(f"{shown}: {note}" for note in notes))

    def _sample(self, number: int, prompts: Sequence[Record] | None) -> list[Row]:
        """One batch of candidates; seeded by its number."""
        if prompts is None:
            return self._sample_requests(number)
        turns = [record.prompt for record in prompts]
        rows = self._answer(turns, seed=number)
        return [{"id": r.id, **row} for r, row in zip(prompts, rows, strict=True)]

    def _sample_requests(self, number: int) -> list[Row]:
        generator = random.Random(number)
        openers = [
            "" if place % 4 == 0 else generator.choice(OPENERS) for place in range(BATCH_ROWS)
        ]
        opening, _, closing = self._tokenizer.render_prompt(
            (Message("user", _SENTINEL),)
        ).partition(_SENTINEL)
        # A user's turn may end with another token than an answer does, or with plain text.
        end = self._tokenizer.encode(closing)[:1]
        plain_end = (closing.strip().splitlines() or [""])[0]
        tails = self._sampler.write(
            [self._tokenizer.encode(opening + opener) for opener in openers],
            stop_ids=[*end, *(i for i in self._tokenizer.stop_ids if i not in end)],
            max_new_tokens=self._at_most(REQUEST_TOKENS),
            temperature=REQUEST_TEMPERATURE,
            seed=2 * number,
        )
        requests = []
        for opener, tail in zip(openers, tails, strict=True):
            text, mark, _ = tail.text.partition(plain_end) if plain_end else (tail.text, "", "")
            is_finished = tail.is_finished or bool(mark)
            requests.append(((opener + text).strip(), is_finished))
        live = [i for i, (text, is_finished) in enumerate(requests) if is_finished and text]
        turns = [(Message("user", requests[i][0]),) for i in live]
        answers = dict(zip(live, self._answer(turns, seed=2 * number + 1), strict=True))
        return [
            {
                "id": f"self-{number:06d}-{i:02d}",
                **answers.get(i, {"turns": [["user", text]], "answer": "", "finished": False}),
            }
            for i, (text, _) in enumerate(requests)
        ]

    def _answer(self, prompts: Sequence[tuple[Message, ...]], *, seed: int) -> list[Row]:
        heads = [self._encode(turns) for turns in prompts]
        answers = iter(
            self._sampler.write(
                [head for head in heads if not isinstance(head, str)],
                stop_ids=self._tokenizer.stop_ids,
                max_new_tokens=self._at_most(ANSWER_TOKENS),
                temperature=ANSWER_TEMPERATURE,
                seed=seed,
            )
        )
        rows: list[Row] = []
        for turns, head in zip(prompts, heads, strict=True):
            row: Row = {"turns": [[turn.role, turn.content] for turn in turns], "answer": ""}
            if isinstance(head, str):
                rows.append({**row, "finished": False, "fault": head})
            else:
                answer = next(answers)
                rows.append({**row, "answer": answer.text.strip(), "finished": answer.is_finished})
        return rows

    def _encode(self, turns: tuple[Message, ...]) -> list[int] | str:
        """The ids of a prompt, or why it cannot be answered."""
        try:
            ids = self._tokenizer.encode_prompt(plain_example(Record("", "self", turns, "")))
        except DataError:
            return "control_token_in_prompt"
        room = self._sampler.max_length
        is_long = room is not None and len(ids) + self._at_most(ANSWER_TOKENS) > room
        return "prompt_too_long" if is_long else ids

    def _at_most(self, tokens: int) -> int:
        """So many tokens, fewer for a model that knows few positions."""
        room = self._sampler.max_length
        return tokens if room is None else min(tokens, room // 2)

    @property
    def _sampler(self) -> Sampler:
        if self._made is None:
            self._made = self._make_sampler()
        return self._made


def _keep(
    rows: Sequence[Row], kept: Sequence[Row], dropped: Counter[str], *, compare: bool
) -> list[Row]:
    """The rows of a batch that are good and, where requests were sampled, new."""
    good = []
    for row in rows:
        reason = None
        if row.get("fault"):
            reason = row["fault"]
        elif not row["finished"]:
            reason = "never_ended"
        else:
            reason = reason_against(row["turns"][-1][1], row["answer"])
        if reason is None:
            good.append(row)
        else:
            dropped[reason] += 1
    texts = [normalize_text(row["turns"][-1][1]) for row in good]
    if compare:
        earlier = [normalize_text(_request(row)) for row in kept]
        first = group_near_duplicates([*earlier, *texts])
        is_new = [first[i] == i for i in range(len(earlier), len(first))]
    else:
        is_new = [True] * len(good)  # the prompts are the user's choice
    dropped["near_copy"] += is_new.count(False)
    return [
        {
            "id": row["id"],
            "messages": [
                *({"role": role, "content": content} for role, content in row["turns"]),
                {"role": "assistant", "content": row["answer"]},
            ],
        }
        for row, new in zip(good, is_new, strict=True)
        if new
    ]


def _request(row: Row) -> str:
    return str(row["messages"][-2]["content"])


def _describe(wanted: int, kept: int, dropped: Counter[str], *, is_answers: bool) -> list[str]:
    left_out = sum(dropped.values())
    if not left_out and kept == wanted:
        return []
    what = "answers" if is_answers else "rows"
    why = f"; left out: {_counts(dropped)}" if left_out else ""
    limit = ""
    if kept < wanted and not is_answers:
        limit = f", the limit of {CANDIDATES_PER_ROW} candidates a row was reached"
    return [f"{kept} {what} of {wanted} kept{limit}{why}."]


def _counts(dropped: Counter[str]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in dropped.most_common() if count)
