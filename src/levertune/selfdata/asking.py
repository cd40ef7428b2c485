"""A model on this machine, asked for an anchor's text."""

from __future__ import annotations

from levertune.anchors.anchor import plain_example
from levertune.anchors.asking import Answer, UnusableAnswerError
from levertune.data.records import Message, Record
from levertune.models.rendering import ChatTokenizer
from levertune.selfdata.sampling import Sampler

TEMPERATURE = 0.8


class LocalModel:
    """Asks a model on this machine, as `anchors.asking.Ask` wants it.

    Args:
        sampler: Continues texts.
        tokenizer: The model's tokenizer.
        is_chat: Whether a prompt is a user's turn; else the model goes on with the bare text.
        temperature: Of the sampling; 0 for the likeliest answer, whatever the seed.
    """

    def __init__(
        self,
        sampler: Sampler,
        tokenizer: ChatTokenizer,
        *,
        is_chat: bool = True,
        temperature: float = TEMPERATURE,
    ) -> None:
        self._sampler = sampler
        self._tokenizer = tokenizer
        self._is_chat = is_chat
        self._temperature = temperature

    def __call__(self, prompt: str, *, seed: int, max_tokens: int) -> Answer:
        """The model's answer to a prompt.

        Args:
            prompt: What it is asked.
            seed: Seed of the sampling.
            max_tokens: Most tokens it may answer with.

        Raises:
            UnusableAnswerError: If the prompt leaves no room for an answer.
        """
        tokenizer = self._tokenizer
        if self._is_chat:
            turn = Record("", "anchor", (Message("user", prompt),), "")
            ids = tokenizer.encode_prompt(plain_example(turn))
        else:
            ids = tokenizer.encode(prompt)
        room = self._sampler.max_length
        if room is not None and len(ids) + max_tokens > room:
            raise UnusableAnswerError(
                f"the prompt is too long for the model: {len(ids)} tokens and {max_tokens} for the "
                f"answer; it reads {room}. Show fewer rows."
            )
        [found] = self._sampler.write(
            [ids],
            stop_ids=tokenizer.stop_ids,
            max_new_tokens=max_tokens,
            temperature=self._temperature,
            seed=seed,
        )
        written = len(tokenizer.encode(found.text))
        return Answer(found.text, len(ids) + written, 1, found.is_finished)
