"""A model's answers on the disk, so that none is asked for twice, whatever ended the session."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from levertune.anchors.asking import Answer, Ask
from levertune.anchors.candidates import DesignCost
from levertune.errors import RunError
from levertune.results.files import read_jsonl, write_jsonl_atomically


class AnswerStore:
    """Answers on the disk, found again by model, prompt, seed and limit.

    Args:
        path: A JSON Lines file, or None to keep answers in memory alone.
        model: The model's name and version; answers of others are kept, and not found.

    Raises:
        RunError: If the file holds something else.
    """

    def __init__(self, path: Path | None, model: str) -> None:
        self._path = path
        self._model = model
        self.num_answers = 0
        self._rows = self._read()

    def answer(
        self,
        ask: Ask,
        prompt: str,
        form: str,
        seed: int,
        max_tokens: int,
        clock: Callable[[], float],
    ) -> dict[str, Any]:
        """The answer kept, or else asked for and kept.

        Args:
            ask: Asks the model.
            prompt: What it is asked.
            form: What kind of question that is.
            seed: Seed of the sampling.
            max_tokens: Most tokens of the answer.
            clock: Gives the time in seconds.

        Returns:
            The answer as a JSON object: `answer`, `is_finished`, `tokens`, `requests`, `seconds`.

        Raises:
            AskError: If the model cannot be asked.
            RunError: If the answer cannot be written, or the file holds something else by now.
        """
        facts = [self._model, form, prompt, seed, max_tokens]
        key = hashlib.sha256(json.dumps(facts).encode("ascii")).hexdigest()[:32]
        if key not in self._rows:
            started = clock()
            answer: Answer = ask(prompt, seed=seed, max_tokens=max_tokens)
            self._rows[key] = {
                "key": key,
                "model": self._model,
                "form": form,
                "seed": seed,
                "answer": answer.text,
                "is_finished": answer.is_finished,
                "tokens": answer.num_tokens,
                "requests": answer.num_requests,
                "seconds": round(clock() - started, 3),
            }
            if self._path is not None:
                # Another process may have kept answers there meanwhile, which were paid for too.
                self._rows = {**self._read(), **self._rows}
                write_jsonl_atomically(self._path, self._rows.values())
        self.num_answers += 1
        return self._rows[key]

    def _read(self) -> dict[str, dict[str, Any]]:
        """The answers in the file, by what was asked."""
        rows: dict[str, dict[str, Any]] = {}
        if self._path is not None and self._path.exists():
            for number, row in enumerate(read_jsonl(self._path), start=1):
                if not _is_answer(row):
                    raise RunError(
                        f"{self._path}, row {number}: not an answer of a model; found the fields "
                        f"{sorted(row)}. Remove the file, or name another."
                    )
                rows[row["key"]] = row
        return rows


def _is_answer(row: dict[str, Any]) -> bool:
    tokens, requests, seconds = row.get("tokens"), row.get("requests"), row.get("seconds")
    return (
        isinstance(row.get("key"), str)
        and isinstance(row.get("answer"), str)
        and isinstance(row.get("is_finished"), bool)
        and (tokens is None or type(tokens) is int)
        and type(requests) is int
        and type(seconds) in (int, float)
    )


def cost_of(row: dict[str, Any]) -> DesignCost:
    """What an answer took, when it was asked for."""
    return DesignCost(row["tokens"], row["seconds"], row["requests"])
