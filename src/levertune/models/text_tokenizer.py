"""A tokenizer without its chat template: texts to ids and back, and its special tokens.

Like the renderer built on it, it needs no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from levertune.data.control_tokens import ControlTokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# How much of a prompt is looked at to encode what follows it: the longest control tokens are a
# fraction of it.
_SEAM_CHARACTERS = 200


class TextTokenizer:
    """A tokenizer and what is known of its special tokens.

    Args:
        tokenizer: The tokenizer itself.
        special_tokens: Texts of `bos_token`, `eos_token`, `pad_token`, `unk_token` where known.
        name: How errors call it.
        num_embeddings: Tokens that the model itself has, where known.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        special_tokens: Mapping[str, str],
        name: str = "tokenizer",
        num_embeddings: int | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.special_tokens = dict(special_tokens)
        self.name = name
        self.num_embeddings = num_embeddings

    def count(self, text: str) -> int:
        """Number of tokens of a bare text."""
        return len(self.encode(text))

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, with no token added around it."""
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, control tokens left out."""
        return self.tokenizer.decode(list(ids), skip_special_tokens=True)

    def decode_all(self, ids: Sequence[int]) -> str:
        """Text of ids, control tokens shown."""
        return self.tokenizer.decode(list(ids), skip_special_tokens=False)

    def encode_after(self, before: str, text: str) -> list[int]:
        """Token ids of a text that stands behind another.

        Tokenizers of the SentencePiece family put a space before whatever they are given, and some
        put one behind control tokens too. So what stands before the text is encoded with it and its
        ids are taken off again; where the two would merge, a line end stands in for it.

        Args:
            before: What stands before the text.
            text: The text.
        """
        if not self._has_space_prefix:
            return self.encode(text)
        for lead in (before[-_SEAM_CHARACTERS:], "\n"):
            opening, ids = self.encode(lead), self.encode(lead + text)
            if ids[: len(opening)] == opening:
                return ids[len(opening) :]
        return self.encode(text)

    @cached_property
    def _has_space_prefix(self) -> bool:
        return self.tokenizer.encode("a", add_special_tokens=False).tokens[:1] in (
            ["\u2581"],
            ["\u2581a"],
        )

    @cached_property
    def pad_id(self) -> int:
        """Id used to pad batches; masked everywhere, so any id serves that the model has."""
        for key in ("pad_token", "eos_token", "unk_token"):
            token_id = self.tokenizer.token_to_id(self.special_tokens.get(key, ""))
            if token_id is not None and not self.is_unknown(token_id):
                return token_id
        return 0

    def is_unknown(self, token_id: int) -> bool:
        """Whether the model has no embedding of a token that the tokenizer has.

        Args:
            token_id: The token.
        """
        return self.num_embeddings is not None and token_id >= self.num_embeddings

    @cached_property
    def control_tokens(self) -> ControlTokens:
        """The texts that end or open a turn; a row must not hold them."""
        added = self.tokenizer.get_added_tokens_decoder().values()
        texts = [token.content for token in added if token.special and token.content]
        return ControlTokens(self.name, texts)

    @cached_property
    def start_text(self) -> str:
        """`bos_token`, if the tokenizer puts it before every text by itself."""
        bos = self.special_tokens.get("bos_token", "")
        bos_id = self.tokenizer.token_to_id(bos) if bos else None
        first = self.tokenizer.encode("a", add_special_tokens=True).ids[:1]
        return bos if bos_id is not None and first == [bos_id] else ""
