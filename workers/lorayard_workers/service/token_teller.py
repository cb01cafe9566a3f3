"""Tells what streamed jobs write while they run, and never holds up who writes it.

The engine's thread only lays its chunks on a list, those of all rows every 50 ms. The loop makes one event of
what a job has, and sends those of all jobs in one piece. Events are published like any message and nobody
waits for the server's answers; but they are read, and a job with an event that was not stored says its whole
text again. So a slow bus, or none, makes for fewer and longer events.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import threading
from collections.abc import Callable
from functools import partial

import nats.errors
import structlog

from lorayard_schemas.result import ResultState
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.heard import Heard
from lorayard_shared.logs import Event
from lorayard_workers.engine.outcome import TokenChunk
from lorayard_workers.engine.protocol import OnTokens
from lorayard_workers.service.held_jobs import HeldJob, HeldJobs
from lorayard_workers.service.token_stream import EVENT_SECONDS, TokenStream

ANSWER_SECONDS = 5.0
"""An answer takes milliseconds; one that takes longer is lost."""

MAX_TOLD_BYTES = 200

LEAST_FORGOTTEN = 64
"""Streams of jobs that were let go of are looked for when there are so many, not with each job."""

_STORED, _REFUSED = b'"seq":', b'"error"'


class TokenTeller:
    """The streamed jobs of one worker; all on its event loop but the callbacks that `open` gives out."""

    def __init__(self, bus: Bus, held: HeldJobs, *, worker: str, epoch: int) -> None:
        self._bus = bus
        self._held = held
        self._worker = worker
        self._epoch = epoch
        self._loop = asyncio.get_running_loop()
        self._streams: dict[str, TokenStream] = {}
        self._forget_at = LEAST_FORGOTTEN
        self._waiting: dict[str, TokenStream] = {}
        """Those that may have something to tell; most jobs' text is told with their first chunk."""
        self._lock = threading.Lock()
        self._chunks: list[tuple[TokenStream, TokenChunk]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._inbox = bus.nc.new_inbox()
        self._prefix_length = len(self._inbox) + 1
        self._numbers = itertools.count()
        self._open: dict[str, tuple[TokenStream, float]] = {}  # events without an answer, the oldest first
        self._log = structlog.get_logger().bind(worker=worker)
        bus.on_reconnect(self._on_reconnect)

    async def listen(self) -> None:
        """Hear the server's answers from now on.

        Raises:
            nats.errors.Error: the connection is closed.
        """
        await self._bus.nc.hear(f"{self._inbox}.*", self._take_answer)

    def open(self, held: HeldJob) -> OnTokens:
        """Begin to tell of a job; the engine calls what this returns."""
        if len(self._streams) >= self._forget_at:
            self._streams = {key: stream for key, stream in self._streams.items() if self._is_held(stream)}
            self._forget_at = max(LEAST_FORGOTTEN, 2 * len(self._streams))
        now = self._loop.time()
        subject = self._bus.subjects.token_events(held.address.tenant, held.job)
        stream = TokenStream(held, subject, worker=self._worker, epoch=self._epoch, now=now)
        self._streams[held.key] = stream
        self._send([(stream, stream.begun())], now)
        return partial(self._hear, stream)

    def flush(self, held: HeldJob) -> None:
        """The job is over: tell what is left of its text, before its result is stored."""
        if (stream := self._streams.get(held.key)) is None:
            return
        self._sort_chunks()
        now = self._loop.time()
        if stream.waits and self._bus.connected and (body := stream.next(now)) is not None:
            self._send([(stream, body)], now)

    def ended(self, held: HeldJob, state: ResultState) -> None:
        """Its result is stored."""
        if (stream := self._streams.pop(held.key, None)) is not None:
            self._send([(stream, stream.ended(state))], self._loop.time())

    # ---- from the engine's thread

    def _hear(self, stream: TokenStream, chunk: TokenChunk) -> None:
        # Under a lock: a chunk that came just as the loop took the last one would wake nobody.
        with self._lock:
            self._chunks.append((stream, chunk))
            first = len(self._chunks) == 1
        if first:
            self._call_soon(self._tell)

    def _call_soon(self, call: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:  # the loop has ended before its engine
            return

    # ---- on the loop

    def _tell(self) -> None:
        """Send what is due, and look again as long as something waits."""
        self._sort_chunks()
        now = self._loop.time()
        self._forget_unanswered(before=now - ANSWER_SECONDS, refused=True)
        streams = [stream for stream in self._waiting.values() if self._is_held(stream)]
        if self._bus.connected:
            due = [(stream, stream.next(now)) for stream in streams if stream.is_due(now)]
            self._send([(stream, body) for stream, body in due if body is not None], now)
        self._waiting = {stream.held.key: stream for stream in streams if stream.waits}
        if self._timer is None and self._waiting:
            self._timer = self._loop.call_later(EVENT_SECONDS, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self._tell()

    def _sort_chunks(self) -> None:
        with self._lock:
            chunks, self._chunks = self._chunks, []
        for stream, chunk in chunks:
            stream.take(chunk)
            self._waiting[stream.held.key] = stream

    def _is_held(self, stream: TokenStream) -> bool:
        """Whether the job is still this worker's: it says nothing more on one that it has let go."""
        return self._held.get(stream.held.key) is stream.held

    def _send(self, events: list[tuple[TokenStream, bytes]], now: float) -> None:
        posts: list[tuple[str, str, bytes, bytes]] = []
        for stream, body in events:
            number = str(next(self._numbers))
            self._open[number] = (stream, now)
            stream.unanswered += 1
            posts.append((stream.subject, f"{self._inbox}.{number}", b"", body))
        try:
            self._bus.nc.post_all(posts)
        except nats.errors.Error as error:  # those that were not sent get no answer
            self._log.debug(Event.BUS_FAILED, error=str(error) or type(error).__name__)

    def _take_answer(self, answer: Heard) -> None:
        if (found := self._open.pop(answer.subject[self._prefix_length :], None)) is None:
            return
        stream, _ = found
        stream.unanswered -= 1
        if _STORED in answer.data and _REFUSED not in answer.data:
            stream.stored()
            return
        told = answer.data[:MAX_TOLD_BYTES].decode("utf-8", "replace")
        self._log.debug(Event.TOKENS_NOT_STORED, job=stream.held.job, answer=told)
        self._lost(stream, self._loop.time(), refused=True)
        self._wake()

    def _forget_unanswered(self, *, before: float, refused: bool) -> None:
        now = self._loop.time()
        while self._open and (number := next(iter(self._open))) and self._open[number][1] < before:
            stream, _ = self._open.pop(number)
            stream.unanswered -= 1
            self._lost(stream, now, refused=refused)

    def _lost(self, stream: TokenStream, now: float, *, refused: bool) -> None:
        stream.lost(now, refused=refused)
        if self._is_held(stream):
            self._waiting[stream.held.key] = stream

    async def _on_reconnect(self) -> None:
        self._forget_unanswered(before=math.inf, refused=False)
        self._wake()

    def _wake(self) -> None:
        if self._timer is None and self._streams:
            self._tell()
