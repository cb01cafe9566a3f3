"""Hands the tokens of one row to its caller as they come."""

from __future__ import annotations

import time

import structlog

from lorayard_shared.logs import Event
from lorayard_workers.engine.outcome import TokenChunk, TokenLogprob
from lorayard_workers.engine.protocol import OnTokens

_log = structlog.stdlib.get_logger(__name__)

PATIENCE_SECONDS = 1.0
"""In all, for one row: every row of the engine waits meanwhile. Handing a thousand chunks to a queue takes a
hundredth of it."""


class TokenFeed:
    """One row's callback, with what has not been given to it yet. One that harms the engine is dropped."""

    def __init__(self, request_id: str, on_tokens: OnTokens, *, seconds: float = 0.0) -> None:
        """`seconds` between two chunks at least."""
        self.over = False
        """The row has ended: what is left is due."""
        self._seconds = seconds
        self._turn = -1.0
        self._request_id = request_id
        self._on_tokens: OnTokens | None = on_tokens
        self._next_index = 0
        self._spent_seconds = 0.0
        self._token_ids: list[int] = []
        self._logprobs: list[TokenLogprob] = []

    def hold(self, token_id: int, logprob: TokenLogprob | None = None) -> None:
        """Keep a token for the next chunk."""
        self._token_ids.append(token_id)
        if logprob is not None:
            self._logprobs.append(logprob)

    def is_due(self) -> bool:
        """Whether it is time for a chunk: all rows have their turns at the same times."""
        if not self._seconds or self.over:
            return True
        turn = time.perf_counter() // self._seconds
        if turn == self._turn:
            return False
        # Not after the prompt's: the first token comes at once.
        self._turn = turn if self._token_ids else -1.0
        return True

    def tell_prompt(self, done: int, tokens: int) -> None:
        """Say how much of a prompt was read that takes several steps."""
        if self._on_tokens is None:
            return
        chunk = TokenChunk(
            request_id=self._request_id,
            index=self._next_index,
            token_ids=(),
            text="",
            prompt_done=done,
            prompt_tokens=tokens,
        )
        self._next_index += 1
        self._call(self._on_tokens, chunk)

    def deliver(self, text: str) -> None:
        """Give out a chunk, if there is anything new."""
        if self._on_tokens is None or not (self._token_ids or text):
            return
        chunk = TokenChunk(
            request_id=self._request_id,
            index=self._next_index,
            token_ids=tuple(self._token_ids),
            text=text,
            logprobs=tuple(self._logprobs) or None,
        )
        self._next_index += 1
        self._token_ids, self._logprobs = [], []
        self._call(self._on_tokens, chunk)

    def _call(self, on_tokens: OnTokens, chunk: TokenChunk) -> None:
        began = time.perf_counter()
        try:
            on_tokens(chunk)
        except BaseException:  # noqa: BLE001  # the caller's code, even with an exit: it must cost no row
            _log.exception(Event.TOKEN_CALLBACK_FAILED, request_id=self._request_id)
            self._on_tokens = None
        self._spent_seconds += time.perf_counter() - began
        if self._on_tokens is not None and self._spent_seconds > PATIENCE_SECONDS:
            _log.warning(
                Event.TOKEN_CALLBACK_TOO_SLOW, request_id=self._request_id, seconds=self._spent_seconds
            )
            self._on_tokens = None
