"""An engine without a model: answers with the prompt, for measuring and testing the bus around it.

It keeps the whole contract (one outcome each, cancellation, deadlines, slots with leases), so the
same conformance tests run on it as on the real engine. Without delays a request is answered inside
`submit`, in a few microseconds.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Container
from dataclasses import dataclass, field

from lorayard_workers.engine.composition import check_adapters
from lorayard_workers.engine.protocol import (
    Cancelled,
    Composition,
    DeadlinePassed,
    Failed,
    FailureKind,
    FinishReason,
    GenerationRequest,
    Outcome,
    Residency,
    Sink,
    SlotView,
    Succeeded,
    Tier,
    Timings,
)
from lorayard_workers.errors import AdapterUnknownError, RequestRefusedError

ECHO_BASE_DIGEST = "sha256:" + "ec40" * 16
"""No model has this digest; it only has to be stable and well formed."""

HOST_PER_SLOT = 4
"""Adapters the pretended host tier remembers per slot: a plain ratio of real worker set-ups."""


def echo_prompt(request: GenerationRequest) -> str:
    """The prompt itself, or the last turn of a conversation."""
    if isinstance(request.prompt, str):
        return request.prompt
    return request.prompt[-1].content if request.prompt else ""


def answer_nothing(request: GenerationRequest) -> str:
    """An empty text, for benchmarks that should not pay for bytes."""
    del request
    return ""


@dataclass(slots=True)
class _Slot:
    found: Tier  # where the adapter was before
    ready_at: float
    last_used: float = 0.0
    rows: int = 0


@dataclass(slots=True)
class _EchoSlots:
    """Pretended adapter memory: plain LRU slots over a plain LRU host tier."""

    count: int
    slots: OrderedDict[str, _Slot] = field(default_factory=OrderedDict[str, _Slot])
    host: OrderedDict[str, None] = field(default_factory=OrderedDict[str, None])
    rows: int = 0
    hits: int = 0
    loads: int = 0
    disk_loads: int = 0
    evictions: int = 0

    def lease(self, digest: str, now: float, *, load_seconds: float) -> tuple[Tier, float] | None:
        """Take a slot for one row: where the adapter was, and the load time left; None if no slot is free."""
        slot = self.slots.get(digest)
        if slot is None:
            if len(self.slots) >= self.count and not self._evict():
                return None
            slot = self._load(digest, now + load_seconds)
            tier = slot.found
        elif slot.ready_at > now:
            tier = slot.found  # it waits for what another row brings
        else:
            tier = Tier.SLOT
            self.hits += 1
        self.slots.move_to_end(digest)
        self.rows += 1
        slot.rows += 1
        slot.last_used = now
        return tier, max(0.0, slot.ready_at - now)

    def _load(self, digest: str, ready_at: float) -> _Slot:
        slot = _Slot(Tier.HOST if digest in self.host else Tier.DISK, ready_at)
        self.fetch(digest)
        self.slots[digest] = slot
        self.loads += 1
        return slot

    def release(self, digest: str) -> None:
        """Give a row's lease back."""
        self.slots[digest].rows -= 1

    def fetch(self, digest: str) -> None:
        """Remember the adapter in the host tier."""
        if digest not in self.host:
            self.disk_loads += 1
        self.host[digest] = None
        self.host.move_to_end(digest)
        if len(self.host) > self.count * HOST_PER_SLOT:
            self.host.popitem(last=False)

    def _evict(self) -> bool:
        victim = next((d for d, slot in self.slots.items() if slot.rows == 0), None)
        if victim is None:
            return False
        del self.slots[victim]
        self.evictions += 1
        return True


@dataclass(slots=True)
class _Row:
    request: GenerationRequest
    sink: Sink
    submitted: float
    tier: Tier = Tier.NONE
    started: float = 0.0
    load_seconds: float = 0.0


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
        text: Callable[[GenerationRequest], str] = echo_prompt,
        known: Container[str] | None = None,
        base_digest: str = ECHO_BASE_DIGEST,
    ) -> None:
        """`delay_seconds` per row, `load_seconds` more on a slot miss; `known` None: every digest."""
        self._base_digest = base_digest
        self._context_tokens = context_tokens
        self._rows_max = rows
        self._delay_seconds = delay_seconds
        self._load_seconds = load_seconds
        self._text = text
        self._known = known
        self._memory = _EchoSlots(slots)
        self._changed = threading.Condition()
        self._waiting: deque[_Row] = deque()
        self._running: list[tuple[float, int, _Row]] = []  # heap by finish time
        self._order = itertools.count()  # breaks ties, so rows are never compared
        self._cancelled: set[str] = set()
        self._stopping = False
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
        """End the thread; rows not finished get no outcome."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)

    def submit(self, request: GenerationRequest, sink: Sink) -> None:
        """Answer at once when nothing is delayed, else queue for the thread."""
        refusal = self._refusal(request)
        if refusal is not None:
            sink(refusal)
            return
        row = _Row(request, sink, submitted=time.time())
        if not self._delay_seconds and not self._load_seconds:
            sink(self._answer_now(row))
            return
        with self._changed:
            self._waiting.append(row)
            self._changed.notify_all()

    def cancel(self, request_id: str) -> None:
        """End a waiting or running row."""
        with self._changed:
            if any(row.request.request_id == request_id for row in self._rows()):
                self._cancelled.add(request_id)
                self._changed.notify_all()

    def prefetch(self, digest: str) -> None:
        """Pretend to bring an adapter to host memory."""
        if self._known is None or digest in self._known:
            with self._changed:
                self._memory.fetch(digest)

    def residency(self) -> Residency:
        """What is pretended to be held."""
        with self._changed:
            memory = self._memory
            return Residency(
                slots=tuple(
                    SlotView(digest=digest, rows=slot.rows, last_used=slot.last_used)
                    for digest, slot in memory.slots.items()
                ),
                slot_count=memory.count,
                host=frozenset(memory.host),
                rows_running=len(self._running),
                rows_max=self._rows_max,
                queued=len(self._waiting),
                adapter_rows=memory.rows,
                slot_hits=memory.hits,
                slot_loads=memory.loads,
                disk_loads=memory.disk_loads,
                evictions=memory.evictions,
                load_ms_host=self._load_seconds * 1000,
            )

    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def _refusal(self, request: GenerationRequest) -> Failed | None:
        if not request.prompt:
            return _failed(
                request,
                "empty_prompt",
                "the prompt is empty: send at least one character or message",
                at="prompt",
            )
        if request.composition is not None:
            return self._refuse_composition(request, request.composition)
        if request.adapter is None or self._known is None or request.adapter in self._known:
            return None
        return _failed(request, "unknown_adapter", str(AdapterUnknownError(request.adapter)), at="adapter")

    def _refuse_composition(self, request: GenerationRequest, composition: Composition) -> Failed:
        known = {part.digest for part in composition.parts} if self._known is None else self._known
        try:
            check_adapters(request, known)
        except RequestRefusedError as error:
            return _failed(request, error.code, error.message, at=error.field)
        except AdapterUnknownError as error:
            return _failed(request, "unknown_adapter", str(error), at="composition")
        return _failed(
            request, "composition_unsupported", "an echo engine composes no adapters", at="composition"
        )

    def _answer_now(self, row: _Row) -> Outcome:
        deadline, adapter = row.request.deadline, row.request.adapter
        if deadline is not None and deadline <= row.submitted:
            return DeadlinePassed(request_id=row.request.request_id)
        if adapter is not None:
            with self._changed:
                found = self._memory.lease(adapter, row.submitted, load_seconds=0.0)
                assert found is not None  # no row outlives this block, so a victim exists
                self._memory.release(adapter)
            row.tier, _ = found
        row.started = row.submitted
        return self._success(row, row.submitted)

    def _success(self, row: _Row, now: float) -> Succeeded:
        text = self._text(row.request)
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

    def _rows(self) -> list[_Row]:
        return [*self._waiting, *(row for _, _, row in self._running)]

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._stopping:
                    return
                now = time.time()
                ended = self._end_rows(now)
                self._start_rows(now)
                if not ended:
                    self._changed.wait(self._seconds_to_next(now))
            for row, outcome in ended:  # outside the lock: a sink may call back into the engine
                row.sink(outcome)

    def _seconds_to_next(self, now: float) -> float | None:
        moments = [finish for finish, _, _ in self._running[:1]]
        moments += [row.request.deadline for row in self._rows() if row.request.deadline is not None]
        return max(0.0, min(moments) - now) if moments else None

    def _end_rows(self, now: float) -> list[tuple[_Row, Outcome]]:
        ended: list[tuple[_Row, Outcome]] = []
        for row in self._rows():
            if row.request.request_id in self._cancelled:
                ended.append((row, Cancelled(request_id=row.request.request_id)))
            elif row.request.deadline is not None and row.request.deadline <= now:
                ended.append((row, DeadlinePassed(request_id=row.request.request_id)))
        cut = {id(row) for row, _ in ended}
        for entry in [entry for entry in self._running if entry[0] <= now or id(entry[2]) in cut]:
            self._running.remove(entry)
            row = entry[2]
            if row.request.adapter is not None:
                self._memory.release(row.request.adapter)
            if id(row) not in cut:
                ended.append((row, self._success(row, now)))
        heapq.heapify(self._running)
        self._waiting = deque(row for row in self._waiting if id(row) not in cut)
        self._cancelled.clear()
        return ended

    def _start_rows(self, now: float) -> None:
        skipped: deque[_Row] = deque()
        while self._waiting and len(self._running) < self._rows_max:
            row = self._waiting.popleft()
            if not self._lease(row, now):
                skipped.append(row)  # its adapter finds no slot now: others may pass
                continue
            row.started = now
            finish = now + row.load_seconds + self._delay_seconds
            heapq.heappush(self._running, (finish, next(self._order), row))
        self._waiting.extendleft(reversed(skipped))

    def _lease(self, row: _Row, now: float) -> bool:
        if row.request.adapter is None:
            return True
        found = self._memory.lease(row.request.adapter, now, load_seconds=self._load_seconds)
        if found is None:
            return False
        row.tier, row.load_seconds = found
        return True


def _failed(request: GenerationRequest, code: str, message: str, *, at: str | None) -> Failed:
    return Failed(
        request_id=request.request_id, kind=FailureKind.PERMANENT, code=code, message=message, field=at
    )
