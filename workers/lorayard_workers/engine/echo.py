"""An engine without a model: answers with the prompt, for measuring and testing the bus around it.

It keeps the whole contract (one outcome each, cancellation, deadlines, slots with leases), so the
same conformance tests run on it as on the real engine. Without delays a request is answered inside
`submit`, in a few microseconds.
"""

from __future__ import annotations

import heapq
import itertools
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Container, Mapping
from dataclasses import replace

from lorayard_workers.engine.dedication import Dedication
from lorayard_workers.engine.echo_refusals import refuse
from lorayard_workers.engine.echo_row import EchoRow, ended_by_time, limit_moments
from lorayard_workers.engine.echo_script import Script, Scripted, echo_prompt
from lorayard_workers.engine.echo_slots import EchoSlots
from lorayard_workers.engine.outcome import (
    Cancelled,
    DeadlinePassed,
    FinishReason,
    Outcome,
    Succeeded,
    Tier,
    Timings,
    withdrawn,
)
from lorayard_workers.engine.protocol import OnTokens, Sink
from lorayard_workers.engine.request import GenerationRequest
from lorayard_workers.engine.residency import Residency, SlotView
from lorayard_workers.engine.telling import tell
from lorayard_workers.engine.token_feed import TokenFeed
from lorayard_workers.pulse import Pulse

ECHO_BASE_DIGEST = "sha256:" + "ec40" * 16
"""No model has this digest; it only has to be stable and well formed."""


ECHO_CHUNK_CHARACTERS = 4
"""About a token's worth. A chunk's token ids are its code points."""


_AS_USUAL = Scripted()


class EchoEngine:
    """The `Engine` Protocol without a model; see the module docstring."""

    def __init__(
        self,
        *,
        slots: int = 8,
        rows: int = 16,
        context_tokens: int = 8192,
        delay_seconds: float = 0.0,
        load_seconds: float = 0.0,
        disk_seconds: float = 0.0,
        text: Callable[[GenerationRequest], str] = echo_prompt,
        known: Container[str] | None = None,
        base_digest: str = ECHO_BASE_DIGEST,
        script: Script | None = None,
    ) -> None:
        """`delay_seconds` per row, `load_seconds` more on a slot miss, and `disk_seconds` more where the
        adapter is not in host memory either; `known` None: every digest.

        `script` is asked about each request when it is submitted. Refusals come before it.
        """
        self._base_digest = base_digest
        self._context_tokens = context_tokens
        self._rows_max = rows
        self._delay_seconds = delay_seconds
        self._loads_take_time = bool(load_seconds or disk_seconds)
        self._text = text
        self._script = script
        self._known = known
        self._memory = EchoSlots(slots, load_seconds=load_seconds, disk_seconds=disk_seconds)
        self._changed = threading.Condition()
        self._waiting: deque[EchoRow] = deque()
        self._running: list[tuple[float, int, EchoRow]] = []  # heap by finish time
        self._order = itertools.count()  # breaks ties, so rows are never compared
        self._telling: list[EchoRow] = []  # ended, and their outcomes on the way
        self._dedication = Dedication()
        self._stopping = False
        self._stopped = threading.Event()
        self.pulses = (Pulse("echo-engine"),)
        self._thread = threading.Thread(target=self._run, name="echo-engine", daemon=True)

    @property
    def base_digest(self) -> str:
        """The digest this engine pretends to."""
        return self._base_digest

    @property
    def context_tokens(self) -> int:
        """Longest prompt plus completion."""
        return self._context_tokens

    def start(self) -> None:
        """Start the thread that answers delayed rows."""
        self._thread.start()

    def stop(self, *, timeout_seconds: float = 5.0) -> None:
        """End the thread; rows not finished get no outcome. From a callback it does not wait."""
        with self._changed:
            self._stopping = True
            self._stopped.set()
            self._changed.notify_all()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout_seconds)

    def submit(self, request: GenerationRequest, sink: Sink, on_tokens: OnTokens | None = None) -> None:
        """Answer at once when nothing is delayed, else queue for the thread."""
        refusal = refuse(request, self._known)
        if refusal is not None:
            tell(sink, refusal)
            return
        if self._dedication.refuses(request):
            tell(sink, self._dedication.refusal(request))
            return
        feed = None if on_tokens is None else TokenFeed(request.request_id, on_tokens)
        scripted = self._script(request) if self._script is not None else _AS_USUAL
        row = EchoRow(request, sink, scripted, submitted=time.time(), feed=feed)
        if not (self._delay_seconds or self._loads_take_time or scripted.delay_seconds or scripted.hangs):
            if feed is None:  # nothing to cancel on the way
                tell(sink, self._answer_now(row))
                return
            with self._changed:
                self._telling.append(row)
            self._tell(row, self._answer_now(row))
            return
        with self._changed:
            self._waiting.append(row)
            self._changed.notify_all()

    def cancel(self, request_id: str) -> None:
        """End a waiting or running row."""
        with self._changed:
            for row in [*self._rows(), *self._telling]:
                if row.request.request_id == request_id:
                    row.cancelled = True
                    self._changed.notify_all()

    def withdraw(self, request_id: str) -> None:
        """End a waiting row."""
        with self._changed:
            for row in self._waiting:
                if row.request.request_id == request_id:
                    row.withdrawn = True
                    self._changed.notify_all()

    def prefetch(self, digest: str) -> None:
        """Pretend to bring an adapter to host memory."""
        if self._knows(digest):
            with self._changed:
                self._memory.fetch(digest, time.time())

    def dedicate(self, digest: str | None) -> None:
        """Pretend that an adapter is in the weights, once no row of another kind runs."""
        if digest is not None and self._known is not None and digest not in self._known:
            return  # a real engine's merge fails
        with self._changed:
            self._dedication.want(digest, wish=0)  # nothing fails here
            if digest is not None:
                self._dedication.made(digest)
            self._switch_weights()
            self._changed.notify_all()

    def pin(self, digest: str) -> None:
        """Pretend to keep an adapter in a slot. Raises CapacityError."""
        if self._knows(digest):
            with self._changed:
                self._memory.pin(digest)

    def unpin(self, digest: str) -> None:
        """Let it be evicted again."""
        with self._changed:
            self._memory.unpin(digest)

    def weigh(self, doublings: Mapping[str, float]) -> None:
        """Have adapters leave slots later, or sooner."""
        with self._changed:
            self._memory.doublings = doublings

    def preload(self, digest: str) -> None:
        """Pretend to bring an adapter into a slot."""
        if self._knows(digest):
            with self._changed:
                self._memory.preload(digest)

    def unload(self, digest: str) -> None:
        """Pretend to free an adapter's slot and host memory."""
        with self._changed:
            self._memory.unload(digest)

    def residency(self) -> Residency:
        """What is pretended to be held."""
        with self._changed:
            memory = self._memory
            memory.arrive(time.time())
            return Residency(
                slots=tuple(
                    SlotView(
                        digest=digest,
                        rows=slot.rows,
                        last_used=slot.last_used,
                        pinned=digest in memory.pinned,
                    )
                    for digest, slot in memory.slots.items()
                ),
                slot_count=memory.count,
                pinned=memory.pinned,
                host=frozenset(memory.host),
                loading=memory.loading,
                dedicated=self._dedication.current,
                serves_only=self._dedication.target,
                rows_running=len(self._running),
                rows_max=self._rows_max,
                queued=len(self._waiting),
                adapter_rows=memory.rows,
                slot_hits=memory.hits,
                slot_loads=memory.loads,
                disk_loads=memory.disk_loads,
                evictions=memory.evictions,
                load_ms_host=memory.load_ms_host,
                load_ms_disk=memory.load_ms_disk,
                host_room=memory.host_room,
            )

    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def _answer_now(self, row: EchoRow) -> Outcome:
        deadline, adapter = row.request.deadline, row.request.adapter
        late = deadline is not None and deadline <= row.submitted
        if late or (row.request.start_by is not None and row.request.start_by <= row.submitted):
            return DeadlinePassed(request_id=row.request.request_id)
        if adapter is not None:
            with self._changed:
                leased = self._lease(row, row.submitted)
                assert leased  # no row outlives this block, so a victim exists
                self._release(row)
        row.started = row.submitted
        return self._ended(row, row.submitted)

    def _ended(self, row: EchoRow, now: float) -> Outcome:
        scripted = row.scripted
        if scripted.outcome is not None:
            return replace(scripted.outcome, request_id=row.request.request_id)
        text = self._text(row.request) if scripted.text is None else scripted.text
        total_ms = (now - row.submitted) * 1000
        return Succeeded(
            request_id=row.request.request_id,
            text=text,
            finish_reason=FinishReason.STOP,
            prompt_tokens=len(row.request.prompt),
            completion_tokens=len(text),
            tier=row.tier,
            timings=Timings(
                queued_ms=(row.started - row.submitted) * 1000,
                load_ms=row.load_seconds * 1000,
                first_token_ms=total_ms,
                total_ms=total_ms,
            ),
        )

    def _knows(self, digest: str) -> bool:
        return self._known is None or digest in self._known

    def _rows(self) -> list[EchoRow]:
        return [*self._waiting, *(row for _, _, row in self._running)]

    def _run(self) -> None:
        (pulse,) = self.pulses
        while True:
            pulse.mark("its rows")
            with self._changed:
                if self._stopping:
                    return
                now = time.time()
                ended = self._end_rows(now)
                self._start_rows(now)
                hangs = any(row.scripted.hangs for _, _, row in self._running)
                if not ended and not hangs:
                    pulse.rest()
                    self._changed.wait(self._seconds_to_next(now))
            pulse.mark("telling outcomes")
            if hangs:
                self._stopped.wait()
            for row, outcome in ended:  # outside the lock: a sink may call back into the engine
                self._tell(row, outcome)

    def _tell(self, row: EchoRow, outcome: Outcome) -> None:
        if row.feed is not None and isinstance(outcome, Succeeded):
            outcome = self._stream(row, row.feed, outcome)
        with self._changed:
            self._telling.remove(row)
        tell(row.sink, outcome)

    def _stream(self, row: EchoRow, feed: TokenFeed, outcome: Succeeded) -> Outcome:
        for start in range(0, len(outcome.text), ECHO_CHUNK_CHARACTERS):
            piece = outcome.text[start : start + ECHO_CHUNK_CHARACTERS]
            for character in piece:
                feed.hold(ord(character))
            feed.deliver(piece)
            if row.cancelled:
                return Cancelled(request_id=outcome.request_id)
        return outcome

    def _seconds_to_next(self, now: float) -> float | None:
        moments = [finish for finish, _, _ in self._running[:1]]
        moments += [row.request.deadline for row in self._rows() if row.request.deadline is not None]
        moments += [moment for row in self._rows() for moment in limit_moments(row)]
        soonest = min(moments, default=math.inf)
        return max(0.0, soonest - now) if soonest < math.inf else None

    def _end_rows(self, now: float) -> list[tuple[EchoRow, Outcome]]:
        ended: list[tuple[EchoRow, Outcome]] = []
        for row in self._rows():
            if row.cancelled:
                ended.append((row, Cancelled(request_id=row.request.request_id)))
            elif row.request.deadline is not None and row.request.deadline <= now:
                ended.append((row, DeadlinePassed(request_id=row.request.request_id)))
            elif (timed := ended_by_time(row, now)) is not None:
                ended.append((row, timed))
            elif row.withdrawn:
                ended.append((row, withdrawn(row.request.request_id)))
            elif not row.started and self._dedication.refuses(row.request):
                ended.append((row, self._dedication.refusal(row.request)))
        cut = {id(row) for row, _ in ended}
        for entry in [entry for entry in self._running if entry[0] <= now or id(entry[2]) in cut]:
            self._running.remove(entry)
            row = entry[2]
            self._release(row)
            if id(row) not in cut:
                ended.append((row, self._ended(row, now)))
        heapq.heapify(self._running)
        self._waiting = deque(row for row in self._waiting if id(row) not in cut)
        self._telling += [row for row, _ in ended]
        self._switch_weights()
        return ended

    def _switch_weights(self) -> None:
        if self._dedication.switching and not self._running:
            self._dedication.switched()

    def _start_rows(self, now: float) -> None:
        skipped: deque[EchoRow] = deque()
        while self._waiting and len(self._running) < self._rows_max:
            row = self._waiting.popleft()
            if not self._dedication.may_start(row.request) or not self._lease(row, now):
                skipped.append(row)  # its adapter finds no slot now: others may pass
                continue
            row.started = now
            finish = now + row.load_seconds + self._delay_seconds + row.scripted.delay_seconds
            heapq.heappush(self._running, (finish, next(self._order), row))
        self._waiting.extendleft(reversed(skipped))

    def _lease(self, row: EchoRow, now: float) -> bool:
        if row.request.adapter is None:
            return True
        if self._dedication.covers(row.request):
            row.tier = Tier.MERGED
            self._memory.count_merged()
            return True
        found = self._memory.lease(row.request.adapter, now)
        if found is None:
            return False
        row.tier, row.load_seconds = found
        return True

    def _release(self, row: EchoRow) -> None:
        if row.request.adapter is not None and row.tier is not Tier.MERGED:
            self._memory.release(row.request.adapter)
