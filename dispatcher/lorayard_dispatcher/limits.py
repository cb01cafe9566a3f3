"""Limits of admission in one dispatcher: who may come in, who waits, and who is refused (E5).

A job is counted once, when it first comes: by its id, so that a redelivery, a retry or a job that a worker
handed back costs nothing, and not at all when the server has given it out before, as another dispatcher has
counted it then. Answers are heard of as they are stored: they end what is pending, and settle what a job was
thought to use by what it did use.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

import nats.errors
import nats.js.errors
from nats.aio.subscription import Subscription

from lorayard_dispatcher.admitted import Admitted, Charge, Name
from lorayard_dispatcher.doors import Doors
from lorayard_dispatcher.drain import Drain
from lorayard_dispatcher.fleet import Fleet
from lorayard_dispatcher.held_before import HeldBefore
from lorayard_dispatcher.limit_exchange import LimitExchange
from lorayard_dispatcher.limiting.gate import TOKENS, Cost, Gate, Reached, told, wire_limit
from lorayard_dispatcher.limiting.gates import Gates
from lorayard_dispatcher.limiting.results import used_tokens
from lorayard_dispatcher.parked_job import BYTES_A_TOKEN
from lorayard_dispatcher.pool import Pool
from lorayard_dispatcher.refusing import Refusing
from lorayard_dispatcher.unresolved import Unresolved
from lorayard_schemas.limit import LimitsInUse
from lorayard_schemas.names import BASE, token_name
from lorayard_schemas.result import ResultError
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.heard import Heard
from lorayard_shared.jobs import refusals
from lorayard_shared.jobs.resolve import Resolution
from lorayard_shared.jobs.taken_job import TakenJob
from lorayard_shared.lease import LeaseKeeper

SWEEP_SECONDS = 5.0
GRACE_SECONDS = 10.0
"""A job that nobody here has, so long after it came, was answered unheard, or is another dispatcher's."""

LAST_SECONDS = 1.0
"""A server that does not answer sooner is away, and what was let in just now is forgotten."""

LATE_SECONDS = 2.0
"""A worker that pulled by itself tells within a second of what it took last."""

ASK_AGAIN_SECONDS = 0.1
"""Counters are read five times a second."""

HELD_SHARE = 0.5
"""Of the window that jobs kept back by rates may take; further ones are refused, so that one tenant's wait
is not everybody's."""

SAME_ERROR_SECONDS = 0.05
"""Refusals of one limit within this time say the same: a flood has one answer to pack, not thousands."""


class Limits:
    """What a job passes on its way into the pool."""

    def __init__(
        self,
        bus: Bus,
        *,
        name: str,
        started_at: float,
        window: int,
        pool: Pool,
        unresolved: Unresolved,
        fleet: Fleet,
        refusing: Refusing,
        leases: LeaseKeeper,
        retry: Callable[[Iterable[str]], None],
        spawn: Callable[..., object],
    ) -> None:
        """`retry` looks at jobs anew, by their keys."""
        self._bus = bus
        self._window = window
        self._pool, self._unresolved, self._fleet = pool, unresolved, fleet
        self._refusing = refusing
        self._leases = leases
        self._retry = retry
        self._spawn = spawn
        self.gates = Gates()
        self.admitted = Admitted()
        self.exchange = LimitExchange(bus, self.gates, name=name, started_at=started_at)
        self._before = HeldBefore(bus, self.gates, self.admitted, fleet)
        self._count_again_at = math.inf
        self.doors = Doors(bus)
        self.drain = Drain(bus)
        self._held: list[tuple[float, str, Name]] = []
        """A heap: when, which delivery, whose."""
        self._waiting: dict[Name, tuple[Gate, ...]] = {}
        self._errors: dict[tuple[Gate, str], tuple[float, ResultError]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._heard: dict[str, Subscription] = {}
        self._hearing = asyncio.Lock()
        self._hears_all = False
        self.refused = 0
        """Jobs over a limit."""
        self.delayed = 0
        """Jobs that a rate has made wait."""

    @property
    def held(self) -> int:
        """Jobs that a rate keeps back now."""
        return len(self._waiting)

    @property
    def refusing(self) -> int:
        """Jobs whose refusal is not stored yet."""
        return len(self._refusing)

    def on_change(self, key: str, value: bytes | None) -> None:
        """A change in the bucket of limits."""
        if self.gates.on_change(key, value, time.monotonic()):
            self._errors.clear()
            self.doors.open_all()
            self._spawn(self._hear_ends(), "hear-ends")

    # ---- what comes in

    def lets(self, job: TakenJob, found: Resolution) -> bool:
        """Whether a job goes on; else it is refused, or kept back and called for later."""
        tenant, now = job.address.tenant, time.monotonic()
        if found.composition is None:
            gates = self.gates.of_one(tenant, BASE if found.record is None else found.record.name, now)
        else:
            adapters = tuple([BASE if ref is None else ref.name for ref in found.refs])
            gates = self.gates.find(tenant, adapters, now)
        if not gates:
            return True
        name = (tenant, job.job)
        charge = self.admitted.get(name)
        if charge is not None:
            return charge.until <= now or self._hold(job, charge, name)
        for gate in gates:
            if gate.unheard and gate.must_hear(now, time.time()):
                return self._ask_again(job, name, now)
        size = max(len(job.body), job.prompt_bytes)
        cost = (1.0, job.prompt_bytes / BYTES_A_TOKEN + job.max_new_tokens, float(size))
        until = now
        if job.deliveries == 1 and job.attempt == 1 and job.snoozed is None:
            wait = self._ask(job, gates, cost, now)
            if wait is None:
                return False
            until += wait
        else:
            for gate in gates:
                gate.hold(cost)
        charge = Charge(gates, cost, now, until)
        self.admitted[name] = charge
        return until <= now or self._hold(job, charge, name)

    def _ask(self, job: TakenJob, gates: tuple[Gate, ...], cost: Cost, now: float) -> float | None:
        """Seconds to wait, all paid for; None: it was refused."""
        unix, longest = time.time(), 0.0
        for gate in gates:
            wait = gate.look(cost, now, unix)
            if isinstance(wait, Reached):
                self._refuse(job, wait, now)
                return None
            if wait > longest:
                longest = wait
                slowest = gate
                if self.held >= HELD_SHARE * self._window:
                    self._refuse(job, _full(slowest, cost, wait, now), now)
                    return None
        for gate in gates:
            gate.spend(cost, now, unix)
        return longest

    def _refuse(self, job: TakenJob, reached: Reached, now: float) -> None:
        gate = reached.gate
        self.refused += 1
        gate.refused[reached.name] = gate.refused.get(reached.name, 0) + 1
        key = (gate, reached.name)
        known = self._errors.get(key)
        if known is None or now - known[0] > SAME_ERROR_SECONDS or reached.retry_after_seconds is None:
            error = refusals.limit_reached(told(reached), wire_limit(reached), reached.retry_after_seconds)
            self._errors[key] = known = (now, error)
            self.doors.shut(job.address.tenant, reached, error, now)
        self._refusing.add(job, known[1])

    # ---- what waits for its turn

    def _ask_again(self, job: TakenJob, name: Name, now: float) -> bool:
        """Its gates have just begun, and do not know yet what was used: nothing is counted until they do."""
        heapq.heappush(self._held, (now + ASK_AGAIN_SECONDS, job.key, name))
        self._keep(job)
        return False

    def _hold(self, job: TakenJob, charge: Charge, name: Name) -> bool:
        if name not in self._waiting:
            self.delayed += 1
            self._waiting[name] = charge.gates
            for gate in charge.gates:
                gate.waiting += 1
        heapq.heappush(self._held, (charge.until, job.key, name))
        self._keep(job)
        return False

    def _keep(self, job: TakenJob) -> None:
        old = self._unresolved.hold(job)
        if old is not None:
            self._leases.release(old.lease)
        self._call_soon()

    def _call_soon(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        wait = max(0.0, self._held[0][0] - time.monotonic())
        self._timer = asyncio.get_running_loop().call_later(wait, self._let_in)

    def _let_in(self) -> None:
        self._timer = None
        now, keys = time.monotonic(), list[str]()
        while self._held and self._held[0][0] <= now:
            _, key, name = heapq.heappop(self._held)
            self._wait_no_more(name)
            keys.append(key)
        if self._held:
            self._call_soon()
        self._retry(keys)

    def _wait_no_more(self, name: Name) -> None:
        for gate in self._waiting.pop(name, ()):
            gate.waiting -= 1

    def why(self, tenant: str, job: str) -> tuple[str, float] | None:
        """What keeps a job back, and for how many seconds more."""
        gates, charge = self._waiting.get((tenant, job)), self.admitted.get((tenant, job))
        if gates is None or charge is None:
            return None
        return " and ".join(gate.record.label for gate in gates), max(0.0, charge.until - time.monotonic())

    # ---- what has ended

    def _on_end(self, message: Heard) -> None:
        *_, tenant, job = message.subject.split(".")
        name = (token_name(tenant), job)
        charge = self.admitted.take(name)
        if charge is None:
            return
        self._wait_no_more(name)
        now, unix, used = time.monotonic(), time.time(), used_tokens(message.data)
        for gate in charge.gates:
            gate.ended(now)
            gate.settle(used - charge.cost[TOKENS], now, unix)

    async def _hear_ends(self) -> None:
        """Listen where it must be known when jobs end, and nowhere else: the results' texts come along."""
        async with self._hearing:
            self._hears_all = False
            wanted = {self._ends_of(gate) for gate in self.gates if gate.counts_pending}
            if self.gates.of_each_tenant:
                wanted.add(self._bus.subjects.done_all)
            if len(wanted) > 1 and self._bus.subjects.done_all in wanted:
                wanted = {self._bus.subjects.done_all}
            for subject in wanted - self._heard.keys():
                self._heard[subject] = await self._bus.nc.hear(subject, self._on_end)
            for subject in self._heard.keys() - wanted:
                await self._heard.pop(subject).unsubscribe()
            self._hears_all = True

    def _ends_of(self, gate: Gate) -> str:
        subjects = self._bus.subjects
        return subjects.done_all if gate.tenant is None else subjects.done(gate.tenant)

    def leave(self, names: Iterable[Name]) -> None:
        """These jobs are another dispatcher's now."""
        for name in names:
            self.admitted.take(name)
            self._wait_no_more(name)

    # ---- in the background

    async def run(self) -> None:
        """Exchange with the other dispatchers, and forget what has ended unheard, until cancelled."""
        swept = time.monotonic()
        while True:
            await self.exchange.turn()
            await self.drain.sample()
            await self._hear_all()
            if time.monotonic() >= self._count_again_at:
                self._count_again_at = math.inf
                await self._count_before()
            if self.gates and time.monotonic() - swept >= SWEEP_SECONDS:
                swept = time.monotonic()
                self._sweep(swept)

    async def ready(self) -> None:
        """Before the first job: what was used of quotas, by whoever dispatched before."""
        await self._hear_all()
        with suppress(nats.errors.Error, TimeoutError):  # the next turn does it again
            await self.exchange.begin()

    async def take_up(self) -> None:
        """What comes in is this dispatcher's from now on: what workers hold already is pending.

        With several partitions nobody can say which dispatcher counts it, and those that live count theirs.
        """
        if self._bus.settings.partitions == 1:
            await self._count_before()
            self._count_again_at = time.monotonic() + LATE_SECONDS

    async def _count_before(self) -> None:
        with suppress(nats.errors.Error, nats.js.errors.Error, TimeoutError):  # then a few too many come in
            async with asyncio.timeout(LAST_SECONDS):
                await self._before.count()

    async def _hear_all(self) -> None:
        """Listen where that has not come about yet."""
        if not self._hears_all:
            with suppress(nats.errors.Error, TimeoutError):  # the next turn tries again
                await self._hear_ends()

    async def end(self) -> None:
        """Nothing comes in any more: tell what was let in since the last turn."""
        with suppress(nats.errors.Error, TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                await self.exchange.tell_quotas()

    def _sweep(self, now: float) -> None:
        self.gates.forget_idle(now)
        if not self.admitted:
            return
        here: set[Name] = {(held.tenant, held.job) for _, held in self._fleet.handed()}
        here.update((job.address.tenant, job.job) for job in self._unresolved)
        here.update(self._before.names())
        gone = [
            name
            for name, charge in self.admitted.items()
            if now - charge.since > GRACE_SECONDS and name not in here and self._pool.find(*name) is None
        ]
        self.leave(gone)

    def report(self, tenant: str | None, adapter: str | None) -> tuple[LimitsInUse, ...]:
        """What is used of limits now."""
        now, unix = time.monotonic(), time.time()
        return tuple(
            LimitsInUse(
                tenant=gate.tenant, adapter=gate.key[1], uses=gate.uses(now, unix), waiting=gate.waiting
            )
            for gate in self.gates
            if tenant in (None, gate.tenant) and adapter in (None, gate.key[1])
        )


def _full(gate: Gate, cost: Cost, wait: float, now: float) -> Reached:
    """As many jobs wait for rates as may."""
    rate = max(gate.rates, key=lambda one: one.bucket.wait_seconds(cost[one.measure], now))
    return Reached(gate, rate.name, rate.measure, rate.value, None, rate.per_seconds, wait)
