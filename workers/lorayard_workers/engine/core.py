"""The engine without its threads: rows wait, start, step and end. One thread at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count

import structlog
from torch import Tensor

from lorayard_workers.engine.admission import plan_drains, prefill_shares
from lorayard_workers.engine.attention_plan import Place
from lorayard_workers.engine.prepare import failure_of
from lorayard_workers.engine.protocol import FailureKind, FinishReason, Outcome, Residency, Tier
from lorayard_workers.engine.row import Row
from lorayard_workers.engine.runner import ModelRunner, Piece
from lorayard_workers.engine.sampling import choose_tokens
from lorayard_workers.memory.host import HostAdapter, HostTier
from lorayard_workers.memory.loader import EWMA_SHARE, Loaded, LoadResult
from lorayard_workers.memory.slots import DeviceSlots

_log = structlog.stdlib.get_logger(__name__)

OnEnd = Callable[[Row, Outcome], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreLimits:
    """What bounds a core's steps."""

    rows: int
    row_tokens: int
    prefill_tokens: int
    ageing_seconds: float
    eos_ids: frozenset[int]


@dataclass(slots=True, kw_only=True)
class EngineCore:
    """Continuous batching: each step takes every running row one token further.

    `running[i]` lies in row i of the cache.
    """

    runner: ModelRunner
    slots: DeviceSlots
    host: HostTier
    limits: CoreLimits
    request_load: Callable[[str], None]
    on_end: OnEnd
    waiting: list[Row] = field(default_factory=list[Row])
    running: list[Row] = field(default_factory=list[Row])
    snapshot: Residency = field(default_factory=Residency)
    failures: int = 0
    """Of steps and of copies into a slot, since the last step that succeeded."""
    _arrived: dict[str, HostAdapter] = field(default_factory=dict[str, HostAdapter])
    _drains: dict[str, str] = field(default_factory=dict[str, str])
    _numbers: count[int] = field(default_factory=count)
    _ended: list[tuple[Row, Outcome]] = field(default_factory=list[tuple[Row, Outcome]])

    def __post_init__(self) -> None:
        # Before the first step too: a worker that shows no slots is sent no adapter.
        self._publish()

    def add(self, row: Row) -> None:
        """Queue a prepared row."""
        self.waiting.append(row)

    def loaded(self, result: LoadResult) -> None:
        """Take what the loader brought: rows that waited for it start, or fail."""
        if isinstance(result, Loaded):
            for row in self.waiting:
                if row.digest == result.adapter.digest:
                    self._arrived[result.adapter.digest] = result.adapter
                    row.load_ms = _ms_since(row.load_started)
            return
        _log.warning("adapter_load_failed", digest=result.digest, reason=str(result.error))
        for row in [row for row in self.waiting if row.digest == result.digest]:
            self.waiting.remove(row)
            self._ended.append((row, failure_of(row, result.error)))

    def step(self) -> bool:
        """End, start and advance rows; True if another step could do more without any news.

        A row that ended frees a place or a slot, so those who wait must be looked at again.
        """
        try:
            self._end_by_caller()
            self._request_loads()
            self._admit()
            if self.running:
                self._publish()  # a step can take long: let others see what it runs
                self._advance()
            return bool(self.running or self._ended)
        finally:
            self._tell()

    def next_deadline(self) -> float | None:
        """Unix time at which a waiting row must be ended though nothing else happens."""
        deadlines = [row.request.deadline for row in self.waiting if row.request.deadline is not None]
        return min(deadlines, default=None)

    def fail_all(self, error: Exception) -> None:
        """End every row, waiting and running, after a fault that no single row explains."""
        self.failures += 1
        for row in list(self.running):
            self._end(row, failure_of(row, error))
        self._ended += [(row, failure_of(row, error)) for row in self.waiting]
        self.waiting.clear()
        self._tell()

    def check(self) -> None:
        """The books of rows, slots and host tier agree. Raises InvariantError."""
        self.host.check()
        if self.running:
            self.slots.check()
        else:
            self.slots.check_idle()

    # --- ending

    def _end_by_caller(self) -> None:
        now = time.time()
        for row in list(self.running):
            outcome = row.ended_by_caller(now)
            if outcome is not None:
                self._end(row, outcome)
        ended = [(row, row.ended_by_caller(now)) for row in self.waiting]
        self.waiting = [row for row, outcome in ended if outcome is None]
        self._ended += [(row, outcome) for row, outcome in ended if outcome is not None]

    def _end(self, row: Row, outcome: Outcome) -> None:
        """Free a running row's place and slot; its outcome is told at the end of the step."""
        index, last = self.running.index(row), len(self.running) - 1
        self.runner.cache.release(index, row.total_tokens)
        if index != last:
            moved = self.running[last]
            self.runner.cache.move(last, index, moved.total_tokens)
            self.running[index] = moved
        self.running.pop()
        if row.digest is not None:
            self.slots.release(row.digest, row)
        self._ended.append((row, outcome))

    def _tell(self) -> None:
        """Publish the books, then the outcomes: whoever hears of one sees books without its row."""
        self._publish()
        ended, self._ended = self._ended, []
        for row, outcome in ended:
            self.on_end(row, outcome)

    # --- starting

    def _request_loads(self) -> None:
        """Ask for the first adapters in line that are in no tier; a bounded number at a time."""
        wanted = dict.fromkeys(row.digest for row in self.waiting if row.digest is not None)
        line = [d for d in wanted if self.slots.resident(d) is None][: self.slots.count]
        self._arrived = {d: self._arrived[d] for d in line if d in self._arrived}
        for digest in line:
            if digest in self._arrived:
                self._mark(digest, Tier.HOST)  # rows that came after it
                continue
            adapter = self.host.get(digest)
            if adapter is not None:
                self._arrived[digest] = adapter
                self._mark(digest, Tier.HOST)
                continue
            self._mark(digest, Tier.DISK)
            self.request_load(digest)

    def _mark(self, digest: str, tier: Tier) -> None:
        """Remember where a row's adapter was when the row first wanted it."""
        for row in self.waiting:
            if row.digest == digest and row.load_started is None:
                row.tier, row.load_started = tier, time.perf_counter()

    def _admit(self) -> None:
        self._plan_drains()
        draining = set(self._drains.values())
        kept: list[Row] = []
        for row in self.waiting:
            full = len(self.running) >= self.limits.rows
            if full or row.digest in draining or not self._may_start(row):
                kept.append(row)
                continue
            try:
                self._start(row)
            except Exception as error:  # noqa: BLE001  # one row's copy failed; the others are sound
                _log.exception("row_start_failed", request_id=row.request.request_id)
                self.failures += 1
                self._ended.append((row, failure_of(row, error)))
        self.waiting = kept

    def _plan_drains(self) -> None:
        if self.slots.has_room():
            self._drains = {}
            return
        aged = [
            row.digest
            for row in self.waiting
            if row.digest is not None
            and self.slots.resident(row.digest) is None
            and row.waited_seconds() > self.limits.ageing_seconds
        ]
        rows = self.slots.rows_by_digest()
        movable = {d: used for d, used in rows.items() if d not in self.slots.pinned}
        self._drains = plan_drains(aged, movable, self._drains)

    def _may_start(self, row: Row) -> bool:
        if row.digest is None or self.slots.resident(row.digest) is not None:
            return True
        return row.digest in self._arrived and self.slots.has_room()

    def _start(self, row: Row) -> None:
        if row.digest is not None:
            self.snapshot = replace(self.snapshot, adapter_rows=self.snapshot.adapter_rows + 1)
            if self.slots.resident(row.digest) is None:
                row.load_ms += self._copy_into_slot(row.digest)
            elif row.load_started is None:  # else it has waited for what another row brought
                row.tier = Tier.SLOT
                self.snapshot = replace(self.snapshot, slot_hits=self.snapshot.slot_hits + 1)
            row.columns = self.slots.lease(row.digest, row, time.time())
        row.started, row.number = time.perf_counter(), next(self._numbers)
        self.running.append(row)

    def _copy_into_slot(self, digest: str) -> float:
        """From host to device; returns the milliseconds it took."""
        adapter = self._arrived.pop(digest)
        columns = self.slots.place(digest, adapter.rank, time.time())
        assert columns is not None  # _may_start looked
        started = time.perf_counter()
        try:
            self.runner.write_adapter(columns, adapter)
        except Exception:
            self.slots.drop(digest)  # half written
            raise
        took_ms = _ms_since(started)
        before = self.snapshot.load_ms_host or took_ms
        self.snapshot = replace(
            self.snapshot,
            slot_loads=self.snapshot.slot_loads + 1,
            load_ms_host=before + EWMA_SHARE * (took_ms - before),
        )
        return took_ms

    # --- advancing

    def _advance(self) -> None:
        batch = self._next_batch()
        pieces = [piece for _, piece in batch]
        try:
            logits = self.runner.forward(pieces)
            chosen = [row for row, piece in batch if piece.wants_logits]
            tokens = self._choose(chosen, logits)
        except Exception as error:  # noqa: BLE001  # the rows of this step fail, later ones must not
            _log.exception("engine_step_failed", rows=len(batch))
            self.failures += 1
            for row, _ in batch:
                row.prefilled = len(row.prompt_ids)  # whatever was written is within total_tokens
                self._end(row, failure_of(row, error))
            return
        self.failures = 0
        for row, piece in batch:
            row.prefilled = max(row.prefilled, min(piece.place.stop, len(row.prompt_ids)))
        for row, token in zip(chosen, tokens, strict=True):
            self._take(row, token)

    def _next_batch(self) -> list[tuple[Row, Piece]]:
        places = {row: index for index, row in enumerate(self.running)}
        batch = [
            (row, self._piece(row, places[row], row.total_tokens - 1, row.output_ids[-1:]))
            for row in self.running
            if not row.waits_for_prefill
        ]
        filling = sorted((row for row in self.running if row.waits_for_prefill), key=lambda row: row.number)
        shares = prefill_shares(
            (len(row.prompt_ids) - row.prefilled for row in filling), self.limits.prefill_tokens
        )
        for row, share in zip(filling, shares, strict=True):
            if share:
                ids = row.prompt_ids[row.prefilled : row.prefilled + share]
                batch.append((row, self._piece(row, places[row], row.prefilled, ids)))
        return batch

    def _piece(self, row: Row, index: int, start: int, ids: list[int]) -> Piece:
        return Piece(
            place=Place(row=index, start=start, tokens=len(ids)),
            token_ids=ids,
            columns=row.columns,
            wants_logits=start + len(ids) >= len(row.prompt_ids),
        )

    def _choose(self, rows: list[Row], logits: Tensor) -> list[int | None]:
        samplers = [row.sampler for row in rows if row.sampler is not None]
        return choose_tokens(logits, samplers) if rows else []

    def _take(self, row: Row, token: int | None) -> None:
        """Give a row its next token, and end it if that was the last."""
        if token is None:
            message = "the model's output is not finite: the weights overflow this precision"
            at = None if row.digest is None else "adapter"
            outcome = row.failed(FailureKind.PERMANENT, "non_finite_logits", message, at=at)
            self._end(row, outcome)
            return
        assert row.text is not None  # prepared with the prompt
        row.output_ids.append(token)
        row.first_token = row.first_token or time.perf_counter()
        if token in self.limits.eos_ids or row.text.push(token):
            self._end(row, row.succeeded(FinishReason.STOP))
        elif (
            len(row.output_ids) >= row.request.sampling.max_new_tokens
            or row.total_tokens >= self.limits.row_tokens
        ):
            self._end(row, row.succeeded(FinishReason.LENGTH))

    def _publish(self) -> None:
        self.snapshot = replace(
            self.snapshot,
            slots=self.slots.views(),
            slot_count=self.slots.count,
            rows_running=len(self.running),
            rows_max=self.limits.rows,
            evictions=self.slots.evictions,
        )


def _ms_since(moment: float | None) -> float:
    return 0.0 if moment is None else (time.perf_counter() - moment) * 1000
