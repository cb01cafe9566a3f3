"""Turns a row's tokens into text as they come, and watches for stop strings."""

from __future__ import annotations

from typing import Any

from lorayard_workers.engine.logprobs import RawLogprob
from lorayard_workers.engine.protocol import TokenAlternative, TokenLogprob

_INCOMPLETE = "\ufffd"
_MAX_PENDING_TOKENS = 8
"""A character has at most four bytes; a longer run of undecodable tokens is not one that is still to be
completed."""


class TokenTexts:
    """What tokens mean: a tokenizer, and the text of each token that was ever told alone."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._known: dict[int, str] = {}

    def decode(self, ids: list[int]) -> str:
        """Their text together, without special tokens."""
        return str(self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def of(self, token: int) -> str:
        """One token's text, special tokens too. Half a character is U+FFFD."""
        if token not in self._known:
            self._known[token] = str(
                self._tokenizer.decode([token], skip_special_tokens=False, clean_up_tokenization_spaces=False)
            )
        return self._known[token]


class TextStream:
    """The text of one row. A character that spans tokens appears when it is complete."""

    def __init__(self, texts: TokenTexts, stop: tuple[str, ...] = (), *, unstoppable_tokens: int = 0) -> None:
        """Stop strings are not looked for in the text of the first `unstoppable_tokens`."""
        self._texts = texts
        self._stop = stop
        self._unstoppable_tokens = unstoppable_tokens
        self._search_start = 0
        self._ids: list[int] = []
        self._text = ""
        self._context_start = 0  # decoded again each time: what a token means can hang on the one before
        self._read_end = 0  # tokens before this are in the text

    def push(self, token_id: int) -> bool:
        """Take a token; True if the text now holds a stop string.

        Without stop strings nothing is decoded before the end.
        """
        self._ids.append(token_id)
        if not self._stop:
            return False
        piece = self._next_piece()
        searched = max(0, len(self._text) - max(map(len, self._stop)) + 1)
        self._text += piece
        if len(self._ids) <= self._unstoppable_tokens:
            self._search_start = len(self._text)
            return False
        return bool(piece) and self._cut(self._text, searched) is not None

    def finish(self) -> tuple[str, bool]:
        """The whole text, cut at the first stop string; and whether one was found."""
        text = self._texts.decode(self._ids)
        cut = self._cut(text, 0)
        if cut is not None:
            return text[:cut], True
        cut = self._cut(self._text, 0)  # found while streaming: the tokens since then do not count
        return (text, False) if cut is None else (self._text[:cut], True)

    def told(self, raw: RawLogprob) -> TokenLogprob:
        """A log-probability with its tokens' texts."""
        alternatives = tuple(
            TokenAlternative(token_id=token, text=self._texts.of(token), logprob=logprob)
            for token, logprob in raw.top
        )
        return TokenLogprob(
            token_id=raw.token, text=self._texts.of(raw.token), logprob=raw.logprob, alternatives=alternatives
        )

    def _next_piece(self) -> str:
        known = self._texts.decode(self._ids[self._context_start : self._read_end])
        text = self._texts.decode(self._ids[self._context_start :])
        pending = len(self._ids) - self._read_end
        if text.endswith(_INCOMPLETE) and pending <= _MAX_PENDING_TOKENS:
            return ""
        self._context_start, self._read_end = self._read_end, len(self._ids)
        return text[len(known) :]

    def _cut(self, text: str, start: int) -> int | None:
        start = max(start, self._search_start)
        found = [at for at in (text.find(stop, start) for stop in self._stop) if at >= 0]
        return min(found, default=None)
