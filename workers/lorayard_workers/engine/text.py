"""Turns a row's tokens into text as they come, and watches for stop strings."""

from __future__ import annotations

from typing import Any

from lorayard_workers.engine.logprobs import RawLogprob
from lorayard_workers.engine.outcome import TokenAlternative, TokenLogprob

_INCOMPLETE = "\ufffd"
_MAX_PENDING_TOKENS = 8
"""A character has at most four bytes; a longer run of undecodable tokens is not one that is still to be
completed."""


class TokenTexts:
    """What tokens mean: a tokenizer, and the text of each token that was ever told alone."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._known: dict[int, str] = {}
        self._alone: dict[int, str] = {}

    def decode(self, ids: list[int]) -> str:
        """Their text together, without special tokens."""
        if len(ids) != 1:
            return self._decoded(ids)
        # Of text that is followed, every token is once the context of the next.
        if (text := self._alone.get(ids[0])) is None:
            text = self._alone[ids[0]] = self._decoded(ids)
        return text

    def _decoded(self, ids: list[int]) -> str:
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

    def __init__(
        self,
        texts: TokenTexts,
        stop: tuple[str, ...] = (),
        *,
        unstoppable_tokens: int = 0,
    ) -> None:
        """Stop strings are not looked for in the text of the first `unstoppable_tokens`."""
        self._texts = texts
        self._stop = stop
        self._unstoppable_tokens = unstoppable_tokens
        self._given_end = 0  # the text before this was taken
        self._search_start = 0
        self._ids: list[int] = []
        self._text = ""
        self._context_start = 0  # decoded again each time: what a token means can hang on the one before
        self._read_end = 0  # tokens before this are in the text

    def push(self, token_id: int) -> bool:
        """Take a token; True if the text now holds a stop string.

        Without stop strings nothing is decoded before somebody asks for it.
        """
        self._ids.append(token_id)
        if not self._stop:
            return False
        piece = self._next_piece()
        searched = max(0, len(self._text) - max(map(len, self._stop), default=0) + 1)
        self._text += piece
        if len(self._ids) <= self._unstoppable_tokens:
            self._search_start = len(self._text)
            return False
        return bool(piece) and self._cut(self._text, searched) is not None

    def take(self) -> str:
        """The text since the last call, as far as it is certain: no beginning of a stop string."""
        if not self._stop:
            self._text += self._next_piece()
            start, self._given_end = self._given_end, len(self._text)
            return self._text[start:]
        cut = self._cut(self._text, self._given_end)
        start, self._given_end = (
            self._given_end,
            len(self._text) - self._undecided() if cut is None else cut,
        )
        return self._text[start : self._given_end]

    def finish(self) -> tuple[str, bool]:
        """The whole text, cut at the first stop string, and whether one was found; `take` gives its rest."""
        text, given = self._texts.decode(self._ids), self._text[: self._given_end]
        if not text.startswith(given):  # only where tokens are no text at all: what was given out stays
            text = self._text + self._unread()
        cut = self._cut(text, self._given_end)
        if cut is None:
            cut = self._cut(self._text, self._given_end)  # found on the way: later tokens do not count
            text = text if cut is None else self._text
        self._stop, self._text = (), text if cut is None else text[:cut]
        self._context_start = self._read_end = len(self._ids)
        return self._text, cut is not None

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
        """The text of the tokens that are not in it yet, but for half a character at their end."""
        tokens = len(self._ids)
        if self._read_end == tokens:
            return ""
        known = len(self._texts.decode(self._ids[self._context_start : self._read_end]))
        for end in range(tokens, max(self._read_end, tokens - _MAX_PENDING_TOKENS), -1):
            text = self._texts.decode(self._ids[self._context_start : end])[known:]
            if not text.endswith(_INCOMPLETE):
                self._context_start, self._read_end = self._read_end, end
                return text
        if tokens - self._read_end <= _MAX_PENDING_TOKENS:
            return ""
        text = self._unread()
        self._context_start, self._read_end = self._read_end, tokens
        return text

    def _unread(self) -> str:
        """The text of the tokens that are not in the text yet."""
        known = self._texts.decode(self._ids[self._context_start : self._read_end])
        return self._texts.decode(self._ids[self._context_start :])[len(known) :]

    def _undecided(self) -> int:
        """How many characters at the end could be the beginning of a stop string."""
        free = len(self._text) - self._search_start
        return max((_overlap(self._text, stop, free) for stop in self._stop), default=0)

    def _cut(self, text: str, start: int) -> int | None:
        start = max(start, self._search_start)
        found = [at for at in (text.find(stop, start) for stop in self._stop) if at >= 0]
        return min(found, default=None)


def _overlap(text: str, stop: str, free: int) -> int:
    """The longest end of `text`, of at most `free` characters, with which `stop` begins and does not end."""
    longest = min(free, len(stop) - 1)
    return next((size for size in range(longest, 0, -1) if text.endswith(stop[:size])), 0)
