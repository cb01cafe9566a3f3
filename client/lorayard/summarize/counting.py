"""How many tokens a text has: by the model's own tokenizer, or by an estimate where nobody has it."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol

from lorayard.registry.extras import needing

BYTES_PER_TOKEN: Final = 3
"""Of the estimate. English has four and more, other languages and code two to three."""


class TokenCounter(Protocol):
    """Counts as a model reads."""

    @property
    def name(self) -> str:
        """What makes two of them count alike."""
        ...

    @property
    def is_exact(self) -> bool:
        """Whether a text that is too long by its count is too long for the model."""
        ...

    def count(self, text: str) -> int:
        """Its tokens, without those that stand around a prompt."""
        ...

    def prefix(self, text: str, tokens: int) -> int:
        """About how many characters the first so many tokens make; at least one, where there is one."""
        ...


class EstimatedTokens:
    """Three UTF-8 bytes are a token."""

    name = f"estimate-{BYTES_PER_TOKEN}"
    is_exact = False

    def count(self, text: str) -> int:
        """Its bytes, by three."""
        return -(-len(_encoded(text)) // BYTES_PER_TOKEN)

    def prefix(self, text: str, tokens: int) -> int:
        """Whole characters only."""
        # A token has at most so many characters: more need not be encoded to be cut off.
        head = _encoded(text[: tokens * BYTES_PER_TOKEN])[: tokens * BYTES_PER_TOKEN]
        return max(1, len(head.decode("utf-8", errors="ignore")))


class ModelTokens:
    """The tokenizer of a model, from its `tokenizer.json`."""

    is_exact = True

    def __init__(self, file: Path, name: str) -> None:
        """Read it; `name` is its digest.

        Raises:
            ExtraMissingError: it is read by what `lorayard[documents]` brings.
            ValueError: it is no tokenizer.
        """
        with needing("documents", "counting a model's tokens"):
            from tokenizers import Tokenizer
        try:
            self._tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:
            # The Rust side raises a bare Exception.
            raise ValueError(f"{file} is no tokenizer: {error}") from error
        self._tokenizer.no_truncation()
        self.name = name

    def count(self, text: str) -> int:
        """As the model counts."""
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def prefix(self, text: str, tokens: int) -> int:
        """Up to the end of the last of them."""
        offsets = self._tokenizer.encode(text, add_special_tokens=False).offsets
        if len(offsets) <= tokens:
            return len(text)
        return max(1, offsets[tokens - 1][1])


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", errors="replace")
