"""What one run of a streamed job has written, and what of it is to be told next.

Nothing here is dropped to save memory: text that cannot be sent yet waits, in one piece, and there is no more
of it than of the answer itself.
"""

from __future__ import annotations

import time
from typing import Any

import msgpack

from lorayard_schemas.job import INLINE_BYTES
from lorayard_schemas.result import ResultState
from lorayard_schemas.token_event import TOKENS_AGE_SECONDS, EventKind
from lorayard_workers.engine.outcome import TokenChunk
from lorayard_workers.service.held_jobs import HeldJob
from lorayard_workers.service.job_request import CHUNK_SECONDS

EVENT_SECONDS = 0.8 * CHUNK_SECONDS
"""Between two events of a job, whatever its engine gives out: less than between two chunks, so that none of
those waits for the next."""

UNANSWERED_EVENTS = 4
"""Of one job, that the server has not confirmed: a slow bus is sent fewer and longer events, not more."""

WHOLE_SECONDS = 0.4 * TOKENS_AGE_SECONDS
"""Between two events with the whole text: who comes late to a long answer finds it, though what it began with
has left the stream."""

FIRST_REST_SECONDS = 0.5
LAST_REST_SECONDS = 10.0
"""After an event that was lost: what the server has no room for is not offered 20 times a second."""


class TokenStream:
    """One run's events, on the event loop. Sizes are UTF-8 bytes."""

    def __init__(self, held: HeldJob, subject: str, *, worker: str, epoch: int, now: float) -> None:
        """`now` and all other times are the loop's."""
        assigned = held.assigned
        self.held = held
        self.subject = subject
        self.unanswered = 0
        self._run: dict[str, Any] = {
            "v": 1,
            "job": held.job,
            "worker": worker,
            "attempt": assigned.attempt,
            "deliveries": assigned.deliveries,
            "epoch": epoch,
            **held.traced,
        }
        self._again = assigned.attempt > 1 or assigned.deliveries > 1
        self._parts: list[str] = []
        self._sent_parts = 0
        self._sent_bytes = 0
        self._tokens = self._sent_tokens = 0
        self._prompt: tuple[int, int] | None = None
        self._torn = False
        self._mute = False
        self._next_at = self._whole_at = now
        self._rest_seconds = 0.0

    def take(self, chunk: TokenChunk) -> None:
        """Something new from the engine."""
        self._tokens += len(chunk.token_ids)
        if chunk.text:
            self._parts.append(chunk.text)
        elif chunk.prompt_tokens:
            self._prompt = (chunk.prompt_done, chunk.prompt_tokens)

    @property
    def waits(self) -> bool:
        """Whether there is anything to tell."""
        if self._mute:
            return False
        return self._torn or self._sent_tokens < self._tokens or self._prompt is not None

    def is_due(self, now: float) -> bool:
        """Whether it is time to."""
        return self.waits and now >= self._next_at and self.unanswered < UNANSWERED_EVENTS

    def begun(self) -> bytes:
        """The first event of the run."""
        return self._event(EventKind.RESTARTED if self._again else EventKind.STARTED)

    def next(self, now: float) -> bytes | None:
        """The event that tells all there is; None: no event could hold it, and none will come any more."""
        self._next_at = now + EVENT_SECONDS
        prompt, self._prompt = self._prompt, None
        if prompt is not None and not self._tokens:
            return self._event(EventKind.PROGRESS, prompt_done=prompt[0], prompt_tokens=prompt[1])
        late = now >= self._whole_at + WHOLE_SECONDS and self._sent_bytes <= INLINE_BYTES
        return self._whole(now) if self._torn or late else self._more()

    def ended(self, state: ResultState) -> bytes:
        """The last event, once the result is stored."""
        return self._event(EventKind.ENDED, index=self._tokens, offset_bytes=self._sent_bytes, state=state)

    def lost(self, now: float, *, refused: bool) -> None:
        """The server has not stored an event, or nobody knows: the next one begins from the start."""
        self._torn = True
        if refused:
            self._rest_seconds = min(max(2 * self._rest_seconds, FIRST_REST_SECONDS), LAST_REST_SECONDS)
            self._next_at = now + self._rest_seconds

    def stored(self) -> None:
        """The server has stored one."""
        self._rest_seconds = 0.0

    def _more(self) -> bytes | None:
        text = "".join(self._parts[self._sent_parts :])
        size = len(text) if text.isascii() else len(text.encode())
        index, offset_bytes = self._sent_tokens, self._sent_bytes
        if not self._told(size, offset_bytes + size):
            return None
        tokens = self._tokens - index
        return self._event(EventKind.TOKENS, index=index, tokens=tokens, offset_bytes=offset_bytes, text=text)

    def _whole(self, now: float) -> bytes | None:
        text = "".join(self._parts)
        self._parts, self._whole_at, self._torn = [text] if text else [], now, False
        size = len(text.encode())
        if not self._told(size, size):
            return None
        return self._event(EventKind.TOKENS, tokens=self._tokens, text=text)

    def _told(self, size: int, in_all: int) -> bool:
        """Count text as sent, unless it is more than fits a message: then the result has to tell it."""
        self._mute = size > INLINE_BYTES
        self._sent_parts, self._sent_tokens, self._sent_bytes = len(self._parts), self._tokens, in_all
        return not self._mute

    def _event(self, kind: EventKind, **more: Any) -> bytes:
        # A plain map: the model would cost ten times as much, twenty times a second for each row.
        return msgpack.packb({**self._run, "kind": kind.value, **more, "at": time.time()})
