"""Plans of what waits: the planner is told what has changed, and what it decides is begun."""

from __future__ import annotations

import time
from collections.abc import Callable

from lorayard_dispatcher.audit import Audit
from lorayard_dispatcher.ceilings import Ceilings
from lorayard_dispatcher.choosing import Choosing
from lorayard_dispatcher.fleet import Fleet
from lorayard_dispatcher.lookout import Lookout
from lorayard_dispatcher.orders import Orders
from lorayard_dispatcher.parked_job import ParkedJob
from lorayard_dispatcher.plan_meter import PlanMeter
from lorayard_dispatcher.planning.blind import plan_blind
from lorayard_dispatcher.planning.planner import Planner
from lorayard_dispatcher.planning.values import Decision
from lorayard_dispatcher.pool import Pool
from lorayard_dispatcher.sending import Sending
from lorayard_dispatcher.usage import Usage
from lorayard_schemas.control import Cap
from lorayard_shared.jobs.taken_job import TakenJob


class Plans:
    """Makes the plans of one dispatcher, and counts what comes of them."""

    def __init__(
        self,
        planner: Planner,
        pool: Pool,
        *,
        fleet: Fleet,
        lookout: Lookout,
        usage: Usage,
        audit: Audit,
        choosing: Choosing,
        ceilings: Ceilings,
        put_by: Callable[[TakenJob, Cap], None],
        sending: Sending,
        orders: Orders,
    ) -> None:
        self._planner, self._pool = planner, pool
        self._fleet, self._lookout = fleet, lookout
        self._usage, self._audit, self._choosing = usage, audit, choosing
        self._ceilings, self._put_by = ceilings, put_by
        self._sending, self._orders = sending, orders
        self.handed_over = self.warm = self.cold = 0
        self._slots: dict[str, int] = {}
        self.meter: PlanMeter | None = None
        """Who counts for `/metrics`, where that is shown."""
        self.listeners: list[Callable[[Decision, ParkedJob, float], None]] = []
        """Called with each decision, and when it was made (unix seconds)."""
        self.slots: list[tuple[str, int]] = []
        """Of each worker that may get work, by name."""

    def make(self) -> None:
        """Make one plan of what waits now, and start its hand-overs."""
        now = time.time()
        self._look(now)
        began = time.perf_counter()
        if self._lookout.blind:
            views = self._fleet.views(time.monotonic(), now)
            made = plan_blind(self._pool.waiting, views, self._planner.policy)
        else:
            made = self._planner.plan(now)
        meter = self.meter
        if meter is not None:
            meter.planned(time.perf_counter() - began)
        self._audit.plan(made)
        by_worker: dict[str, list[ParkedJob]] = {}
        capped = self._choosing.controls.caps_any
        for decision in made.decisions:
            parked = self._pool.take(decision.job)
            assert parked is not None, "the planner is told of this very pool"
            if capped and (full := self._ceilings.give(parked)) is not None:
                self._put_by(parked.taken, full)
                self._fleet.tell_again(decision.worker)
                continue
            self.handed_over += 1
            self.cold += decision.load
            self.warm += not decision.load
            if self._lookout.blind:  # the planner counts what it gives by itself
                self._planner.charge(parked.waiting.tenant, parked.waiting.tokens)
            self._usage.planned(decision.worker, parked.waiting)
            self._audit.decision(decision, parked)
            for heard in self.listeners:
                heard(decision, parked, now)
            self._choosing.begin(parked)
            by_worker.setdefault(decision.worker, []).append(parked)
        for worker, jobs in by_worker.items():
            self._sending.hand_to(worker, jobs)
        self._orders.prefetch(made.prefetches, time.monotonic())

    def _look(self, now: float) -> None:
        """Tell the planner what has changed in the fleet."""
        self._usage.look(self._fleet.heard())
        views, gone = self._fleet.changed(time.monotonic(), now)
        for worker in gone:
            self._planner.lose(worker)
            self._slots.pop(worker, None)
        for view in views:
            self._planner.see(view)
            self._slots[view.worker] = view.slots
        if views or gone:
            self.slots = sorted(self._slots.items())
