"""The engine without its threads: rows wait, start, step and end. One thread at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

import structlog
from torch import Tensor

from lorayard_shared.logs import Event
from lorayard_workers.engine.batch import next_batch, next_fixed_batch
from lorayard_workers.engine.blocks import BlockPool
from lorayard_workers.engine.cache_room import CacheRoom
from lorayard_workers.engine.config import EngineConfig
from lorayard_workers.engine.dedication import Dedication
from lorayard_workers.engine.merging import Merged
from lorayard_workers.engine.outcome import Failed, FinishReason, Outcome, Succeeded, Tier
from lorayard_workers.engine.prepare import failure_of
from lorayard_workers.engine.residency import Residency
from lorayard_workers.engine.residents import Residents
from lorayard_workers.engine.row import Row
from lorayard_workers.engine.row_blocks import RowBlocks
from lorayard_workers.engine.runner import ModelRunner
from lorayard_workers.engine.sampling import Chosen, NotChosen, choose_tokens
from lorayard_workers.engine.starts import FairStarts, payers_of
from lorayard_workers.engine.step_times import StepTimes
from lorayard_workers.engine.token_choice import screened_tokens
from lorayard_workers.memory.loader import Loaded, LoadResult, NotKept

_log = structlog.stdlib.get_logger(__name__)

OnEnd = Callable[[Row, Outcome], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreLimits:
    """What bounds a core's steps."""

    rows: int
    row_tokens: int
    prefill_tokens: int
    prefix_reuse: bool = True
    deterministic: bool = False

    @classmethod
    def of(cls, config: EngineConfig, *, row_tokens: int) -> CoreLimits:
        """Those of an engine's settings; `row_tokens` is its longest row."""
        return cls(
            rows=config.rows,
            row_tokens=row_tokens,
            prefill_tokens=config.prefill_tokens,
            prefix_reuse=config.prefix_reuse,
            deterministic=config.deterministic,
        )


@dataclass(slots=True, kw_only=True)
class EngineCore:
    """Continuous batching: each step takes every running row one token further.

    A row that had to give its blocks back keeps its slot and goes on before any new row starts.
    """

    runner: ModelRunner
    residents: Residents
    limits: CoreLimits
    on_end: OnEnd
    waiting: list[Row] = field(default_factory=list[Row])
    running: list[Row] = field(default_factory=list[Row])
    preempted: list[Row] = field(default_factory=list[Row])
    snapshot: Residency = field(default_factory=Residency)
    dedication: Dedication = field(default_factory=Dedication)
    _merged: Merged | None = None  # weights to come
    failures: int = 0
    """Of steps and of copies into a slot, since the last step that succeeded."""
    _numbers: count[int] = field(default_factory=count)
    _fed: list[Row] = field(default_factory=list[Row])  # took a token that someone waits for
    _ended: list[tuple[Row, Outcome]] = field(default_factory=list[tuple[Row, Outcome]])
    _starts: FairStarts = field(default_factory=FairStarts)
    _times: StepTimes = field(default_factory=StepTimes)
    _room: CacheRoom = field(init=False)

    def __post_init__(self) -> None:
        cache = self.runner.cache
        blocks = RowBlocks(
            pool=BlockPool(count=cache.blocks), clear=cache.clear, reuse=self.limits.prefix_reuse
        )
        self._room = CacheRoom(
            blocks=blocks, row_tokens=self.limits.row_tokens, keep_answers=not self.limits.deterministic
        )
        # Before the first step too: a worker that shows no slots is sent no adapter.
        self._publish()

    def claim_missing(self, row: Row) -> list[str]:
        """Before `add`, on any thread: the row's adapters in no tier, which it waits for from now on."""
        held = {slot.digest for slot in self.snapshot.slots}
        host = self.residents.host
        missing = [part for part in row.parts if part not in held and part not in host]
        if self.snapshot.serves_only is not None or not missing:
            return []
        row.tier, row.load_started = Tier.DISK, time.perf_counter()
        return missing

    def add(self, row: Row) -> None:
        """Queue a prepared row."""
        self.waiting.append(row)

    def loaded(self, result: LoadResult) -> None:
        """Take what the loader brought: rows that waited for it start, or fail."""
        if isinstance(result, Loaded):
            self.residents.arrived(result.adapter, self.waiting)
            return
        if isinstance(result, NotKept):
            _log.info(Event.ADAPTER_NOT_KEPT, digest=result.digest, reason="host memory has what rows need")
            self.residents.not_kept(result.digest)
            return
        _log.warning(Event.ADAPTER_LOAD_FAILED, digest=result.digest, reason=str(result.error))
        if self.residents.at_hand(result.digest):
            return  # somebody wanted it once more: no row waits for that
        self.residents.load_failed(result.digest)
        for row in [row for row in self.waiting if result.digest in row.parts]:
            self._end_waiting(row, failure_of(row, result.error))

    def merged(self, found: Merged) -> None:
        """Take the weights that were asked for last; they are put in place when no row runs."""
        if self.dedication.made(found.digest):
            self._merged = found

    def step(self) -> bool:
        """End, start and advance rows; True if another step could do more without any news.

        A row that ended frees a place or a slot, and a pin may take one from an adapter whose row had to
        wait: so those who wait must be looked at again.
        """
        try:
            self._end_by_caller()
            self._dedicate()
            self.residents.request_loads(
                [row for row in self.waiting if not self.dedication.covers(row.request)]
            )
            self._resume()
            changed = self._admit()
            if self.running:
                self._publish()  # a step can take long: let others see what it runs
                self._advance()
            return bool(self.running or self._ended or (changed and self.waiting))
        finally:
            self._tell()

    def next_deadline(self) -> float | None:
        """Unix time at which a waiting row must be ended though nothing else happens."""
        rows = (*self.waiting, *self.preempted)
        deadlines = [row.request.deadline for row in rows if row.request.deadline is not None]
        deadlines += [row.request.start_by for row in self.waiting if row.request.start_by is not None]
        return min(deadlines, default=None)

    def fail_all(self, error: Exception) -> None:
        """End every row, waiting and running, after a fault that no single row explains."""
        self.failures += 1
        for row in self._started():
            try:
                self._end(row, failure_of(row, error))
            except Exception:  # noqa: BLE001  # its outcome is on its way, and the other rows must hear too
                _log.exception(Event.ROW_END_FAILED, request_id=row.request.request_id)
        for row in list(self.waiting):
            self._end_waiting(row, failure_of(row, error))
        self._tell()

    def check(self) -> None:
        """The books of rows, slots and host tier agree. Raises InvariantError."""
        self.residents.check(idle=not self._started())
        self._room.blocks.check()

    # --- ending

    def _end_by_caller(self) -> None:
        now = time.time()
        for row in self._started():
            outcome = row.ended_by_caller(now) or row.ended_by_time()
            if outcome is not None:
                if isinstance(outcome, Succeeded) and row.feed is not None:
                    self._fed.append(row)  # what was held back of its text
                self._end(row, outcome)
        ended = [(row, row.ended_unstarted(now)) for row in self.waiting]
        self.waiting = [row for row, outcome in ended if outcome is None]
        self._ended += [(row, outcome) for row, outcome in ended if outcome is not None]

    def _end(self, row: Row, outcome: Outcome) -> None:
        """Free a started row's blocks and slot; its outcome is told at the end of the step."""
        (self.running if row in self.running else self.preempted).remove(row)
        self._ended.append((row, outcome))  # before all that could fail
        if isinstance(outcome, Failed):
            self._room.blocks.forget(row)
        self._room.leave(row)
        self.residents.release(row)

    def _end_waiting(self, row: Row, outcome: Outcome) -> None:
        """End a row that has not started."""
        self.waiting.remove(row)
        self._ended.append((row, outcome))

    def _fail_start(self, row: Row, error: Exception) -> Failed:
        """One row's blocks or copies failed; the others are sound."""
        _log.error(Event.ROW_START_FAILED, request_id=row.request.request_id, exc_info=error)
        self.failures += 1
        return failure_of(row, error)

    def _started(self) -> list[Row]:
        return [*self.running, *self.preempted]

    def _tell(self) -> None:
        """Publish the books, then tokens and outcomes: whoever hears of one sees books without its row."""
        self._publish()
        fed, self._fed = self._fed, []
        for row in fed:
            try:
                row.deliver()
            except Exception:  # noqa: BLE001  # its text broke: it may end well, and the others are sound
                _log.exception(Event.TOKENS_NOT_DELIVERED, request_id=row.request.request_id)
        while self._ended:  # one by one: a fault in between leaves the others to the next call
            self.on_end(*self._ended.pop(0))

    # --- starting

    def _dedicate(self) -> None:
        """Refuse rows that the weights are, or soon will be, wrong for; change the weights if it is time."""
        dedication = self.dedication
        if not dedication.made_ready:
            self._merged = None  # nobody wants it any more
        for row in [row for row in self.waiting if dedication.refuses(row.request)]:
            self._end_waiting(row, dedication.refusal(row.request))
        if dedication.switching and not self._started():
            self.runner.wear(self._merged if dedication.target is not None else None)
            self._merged = None
            self._room.blocks.pool.forget_all()
            dedication.switched()
            _log.info(Event.WEIGHTS_CHANGED, dedicated=dedication.current)

    def _resume(self) -> None:
        """Those that had to wait again go on, the first started first."""
        for row in sorted(self.preempted, key=lambda row: row.number):
            try:
                if not self._room.enter(row, self.running):
                    return
            except Exception as error:  # noqa: BLE001  # see _fail_start
                self._end(row, self._fail_start(row, error))
                continue
            self.preempted.remove(row)
            self.running.append(row)

    def _admit(self) -> bool:
        """Start whom there is room for; whether slots changed after that."""
        self.residents.plan_drains(self.waiting)
        order = self._starts.order([payers_of(row.request) for row in self.waiting])
        held_up = False
        for row in [self.waiting[i] for i in order]:
            refusal = self.residents.never_fits(row)
            if refusal is not None:
                self._end_waiting(row, failure_of(row, refusal))
            elif not held_up and self._has_place(row) and not self._start(row):
                # Shorter rows may pass one that is too long for now, but not for ever.
                held_up = row.waited_seconds() > self.residents.ageing_seconds
        return self.residents.settle(self.waiting)

    def _has_place(self, row: Row) -> bool:
        """Whether it could start if there were blocks for it."""
        return (
            len(self.running) < self.limits.rows
            and not self.preempted
            and self.dedication.may_start(row.request)
            and (self.dedication.covers(row.request) or self.residents.may_start(row))
        )

    def _start(self, row: Row) -> bool:
        """Start a row, or end it if that fails; False if it must wait for blocks."""
        try:
            if not self._room.enter(row, self.running):
                return False
            self._equip(row)
        except Exception as error:  # noqa: BLE001  # see _fail_start
            self._end_waiting(row, self._fail_start(row, error))
            self._room.leave(row)
            return True
        row.started, row.number = time.perf_counter(), next(self._numbers)
        self.waiting.remove(row)
        self.running.append(row)
        self._starts.started(payers_of(row.request))
        return True

    def _equip(self, row: Row) -> None:
        """Give it its adapters, in slots or in the weights."""
        if self.dedication.covers(row.request):
            self.residents.count_merged(row)
        else:
            self.residents.lease(row)

    # --- advancing

    def _advance(self) -> None:
        for row in self._room.make_room(self.running):
            self.running.remove(row)
            self.preempted.append(row)
        cut = next_fixed_batch if self.limits.deterministic else next_batch
        batch = cut(self.running, self._room.blocks.of, self.limits.prefill_tokens)
        began = time.perf_counter()
        try:
            chosen = [row for row, piece in batch if piece.wants_logits]
            samplers = [row.sampler for row in chosen if row.sampler is not None]
            pieces = [piece for _, piece in batch]
            tokens = screened_tokens(self.runner, pieces, samplers)
            if tokens is None:
                tokens = self._choose(chosen, self.runner.forward(pieces))
        except Exception as error:  # noqa: BLE001  # the rows of this step fail, later ones must not
            _log.exception(Event.ENGINE_STEP_FAILED, rows=len(batch))
            self.failures += 1
            for row, _ in batch:
                self._end(row, failure_of(row, error))
            return
        self.failures = 0
        self._times.took(time.perf_counter() - began, sum(piece.place.tokens for _, piece in batch))
        for row, piece in batch:
            row.cached_tokens = piece.place.stop
            if row.feed is not None and not piece.wants_logits:
                self._fed.append(row)
        for row, token in zip(chosen, tokens, strict=True):
            try:
                self._take(row, token)
            except Exception as error:  # noqa: BLE001  # its text or its rules broke; the others are sound
                _log.exception(Event.TOKEN_NOT_TAKEN, request_id=row.request.request_id)
                if row in self.running:
                    self._end(row, failure_of(row, error))

    def _choose(self, rows: list[Row], logits: Tensor) -> list[Chosen | NotChosen]:
        samplers = [row.sampler for row in rows if row.sampler is not None]
        return choose_tokens(logits, samplers) if rows else []

    def _take(self, row: Row, chosen: Chosen | NotChosen) -> None:
        """Give a row its next token, and end it if that was the last."""
        if isinstance(chosen, NotChosen):
            at = row.adapter_field if chosen.at == "adapter" else chosen.at
            self._end(row, row.failed(chosen.kind, chosen.code, chosen.message, at=at))
            return
        self._room.took(row)
        reason = row.take(chosen)
        if row.feed is not None:
            self._fed.append(row)
        if reason is None and row.total_tokens >= self.limits.row_tokens:
            reason = FinishReason.LENGTH
        if reason is not None:
            self._end(row, row.succeeded(reason))

    def _publish(self) -> None:
        residents = self.residents
        self.snapshot = Residency(
            slots=residents.slots.views(),
            slot_count=residents.slots.count,
            pinned=residents.slots.pinned,
            columns_used=residents.slots.columns_used,
            columns_total=residents.slots.column_count,
            dedicated=self.dedication.current,
            serves_only=self.dedication.target,
            rows_running=len(self.running),
            rows_max=self.limits.rows,
            evictions=residents.slots.evictions,
            adapter_rows=residents.adapter_rows,
            slot_hits=residents.slot_hits,
            slot_loads=residents.slot_loads,
            load_ms_host=residents.load_ms_host,
            kv_blocks=self._room.blocks.pool.count,
            kv_blocks_used=self._room.blocks.pool.used,
            preemptions=self._room.preemptions,
            prefix_hits=self._room.prefix_hits,
            prefix_tokens=self._room.prefix_tokens,
            evicted_in_use_lately=residents.slots.regrets.in_use_lately,
            evicted_wanted_again=residents.slots.regrets.wanted_again,
            steps=self._times.counts(),
        )
