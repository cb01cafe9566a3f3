"""What a plan asks of workers beside jobs: adapters to fetch into host memory while they decode.

Orders are hints. None waits for an answer before the next plan, none is repeated while it may still be
followed, and one that fails is counted and costs no job.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass

import nats.errors
import structlog

from lorayard_dispatcher.fleet import Fleet
from lorayard_dispatcher.planning.values import Prefetch
from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.order import (
    MAX_ORDERED,
    AdapterOrder,
    OrderAnswer,
    OrderOutcome,
    OrderReply,
    OrderVerb,
)
from lorayard_shared.bus.connection import Bus
from lorayard_shared.logs import Event

REPEAT_SECONDS = 10.0
"""Nobody is asked again for what may still be on its way. A load takes 0.3 s, and a worker keeps for so long
what it has fetched for nobody yet."""

AGAIN_SECONDS = 2.0
"""What was refused, or did not arrive, is asked for no sooner: plans are made every few milliseconds, and
host memory full of what rows need stays so for about a row."""
MOST_AGAIN_SECONDS = 256.0
"""Each failure in a row waits twice as long as the one before, up to this: files may be gone or broken."""

ANSWER_SECONDS = 2.0
"""A worker's loop never blocks; one that is silent for longer has other troubles."""

MAX_OPEN = MAX_ORDERED
"""Of one worker: it takes 64 at once, and past this it is asked no more until some have ended."""

SWEEP_SECONDS = 1.0
"""Between two looks at all that is remembered: plans are made far more often."""

Spawn = Callable[[Coroutine[object, object, object], str], None]


@dataclass(slots=True)
class _Order:
    sent_at: float  # monotonic seconds
    epoch: int | None = None  # of the worker that has queued it
    sequence: int = 0  # of its last advert before: later ones show what came of it

    @property
    def until(self) -> float:
        """How long it counts as on its way."""
        return self.sent_at + REPEAT_SECONDS


@dataclass(slots=True)
class _Failure:
    """Of the last order for an adapter, and of some before it."""

    sent_at: float  # monotonic seconds
    in_a_row: int

    @property
    def until(self) -> float:
        """Not asked for before."""
        return self.sent_at + min(AGAIN_SECONDS * 2.0 ** (self.in_a_row - 1), MOST_AGAIN_SECONDS)

    @property
    def forgotten_at(self) -> float:
        """One that fails again by then fails in a row."""
        return self.until + REPEAT_SECONDS + AGAIN_SECONDS


class Orders:
    """Prefetches under way, by worker and adapter; the fleet's views show them as being fetched."""

    def __init__(self, bus: Bus, fleet: Fleet, spawn: Spawn) -> None:
        self._bus = bus
        self._fleet = fleet
        self._spawn = spawn
        self._orders: dict[str, dict[str, _Order]] = {}
        self._failures: dict[str, dict[str, _Failure]] = {}
        self.sent = self.arrived = self.failed = self.dropped = 0
        """Prefetches since the start; `dropped`: their worker is gone, or no word of them came in time."""
        self._swept_at = -math.inf
        self._log = structlog.get_logger()

    def prefetch(self, wanted: Iterable[Prefetch], now: float) -> None:
        """Send what is not under way already; returns at once. `now` in monotonic seconds."""
        if now >= self._swept_at + SWEEP_SECONDS:
            self._swept_at = now
            self._forget_old(now)
        batches: dict[str, list[str]] = {}
        for one in wanted:
            if one.worker not in self._fleet:
                self.dropped += 1
            elif self._is_new(one, now):
                self._orders.setdefault(one.worker, {})[one.adapter] = _Order(now)
                batches.setdefault(one.worker, []).append(one.adapter)
        for worker, digests in batches.items():
            self._show(worker)
            self.sent += len(digests)
            self._spawn(self._send(worker, tuple(digests)), f"prefetch-{worker}")

    def _is_new(self, one: Prefetch, now: float) -> bool:
        failure = self._failures.get(one.worker, {}).get(one.adapter)
        if failure is not None and now < failure.until:
            return False
        orders = self._orders.get(one.worker, {})
        known = orders.get(one.adapter)
        if known is None:
            return len(orders) < MAX_OPEN
        if now >= known.until:
            self.dropped += 1
            return True
        return False

    def on_advert(self, advert: WorkerAdvert) -> None:
        """See what has arrived, and what never will."""
        orders = self._orders.get(advert.worker)
        if not orders:
            return
        there = {*advert.host, *(slot.digest for slot in advert.slots)}
        for digest, order in list(orders.items()):
            if order.epoch is None:
                continue  # not answered yet
            if (advert.epoch, advert.sequence) <= (order.epoch, order.sequence):
                continue  # written before the order came
            if digest in there and advert.epoch == order.epoch:
                self._arrive(advert.worker, digest)
            elif digest not in advert.loading:
                self._fail(advert.worker, digest, "it did not arrive")
        self._show(advert.worker)

    def on_death(self, worker: str) -> None:
        """Nobody is there to follow them."""
        self.dropped += len(self._orders.pop(worker, {}))
        self._failures.pop(worker, None)  # its next life may have other files

    async def ask(self, worker: str, verb: OrderVerb, digests: tuple[str, ...]) -> OrderReply:
        """Send an order of any kind and wait for the answer.

        Raises:
            nats.errors.Error: nobody is there, or nobody answers.
            MalformedMessageError: the worker cannot read the order, or its answer cannot be read.
        """
        subject = self._bus.subjects.control(worker, verb)
        body = encode(AdapterOrder(digests=digests))
        reply = await self._bus.nc.request(subject, body, timeout=ANSWER_SECONDS)
        return decode(OrderReply, reply.data)

    async def _send(self, worker: str, digests: tuple[str, ...]) -> None:
        try:
            reply = await self.ask(worker, OrderVerb.PREFETCH, digests)
        except (nats.errors.Error, MalformedMessageError) as error:
            for digest in digests:
                self._fail(worker, digest, str(error) or type(error).__name__)
        else:
            for answer in reply.answers:
                self._take(worker, answer, reply)
        self._show(worker)

    def _take(self, worker: str, answer: OrderAnswer, reply: OrderReply) -> None:
        order = self._orders.get(worker, {}).get(answer.digest)
        if order is None:
            return  # its time is over, or the worker's
        if answer.outcome is OrderOutcome.QUEUED:
            order.epoch, order.sequence = reply.epoch, reply.sequence
        elif answer.outcome is OrderOutcome.THERE:
            self._arrive(worker, answer.digest)
        else:
            self._fail(worker, answer.digest, f"{answer.outcome}: {answer.detail}")
            if answer.outcome is OrderOutcome.UNKNOWN_ADAPTER:
                self._fleet.on_lacking(worker, answer.digest)

    def _arrive(self, worker: str, digest: str) -> None:
        del self._orders[worker][digest]
        self._failures.get(worker, {}).pop(digest, None)
        self.arrived += 1

    def _fail(self, worker: str, digest: str, reason: str) -> None:
        """Counted and remembered: it is not asked for again at once, and less and less often."""
        order = self._orders.get(worker, {}).pop(digest, None)
        if order is None:
            return
        failures = self._failures.setdefault(worker, {})
        before = failures[digest].in_a_row if digest in failures else 0
        failures[digest] = _Failure(order.sent_at, before + 1)
        self.failed += 1
        self._log.info(Event.PREFETCH_FAILED, worker=worker, digest=digest, reason=reason)

    def _forget_old(self, now: float) -> None:
        for worker, orders in self._orders.items():
            old = [digest for digest, order in orders.items() if now >= order.until]
            for digest in old:
                del orders[digest]
                self.dropped += 1
            if old:
                self._show(worker)
        for failures in self._failures.values():
            for digest in [digest for digest, one in failures.items() if now >= one.forgotten_at]:
                del failures[digest]

    def _show(self, worker: str) -> None:
        self._fleet.on_ordered(worker, frozenset(self._orders.get(worker, ())))
