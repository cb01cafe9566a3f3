"""A dispatcher's `/metrics`: what its parts have counted, and what is so now."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter

from lorayard_dispatcher.admission import LANES
from lorayard_dispatcher.dispatcher import Dispatcher
from lorayard_dispatcher.limit_status import limit_status
from lorayard_dispatcher.placement_report import report
from lorayard_dispatcher.plan_meter import PlanMeter
from lorayard_dispatcher.planning.values import BASE_GROUP
from lorayard_dispatcher.service_pace import ServicePace
from lorayard_dispatcher.wait_causes import LOOK_SECONDS, WaitCauses
from lorayard_shared.metrics import declared
from lorayard_shared.metrics.labels import Labels
from lorayard_shared.metrics.metric import Metric, Source
from lorayard_shared.metrics.readings import Readings
from lorayard_shared.metrics.server import MetricsPage

_enqueued_at = attrgetter("enqueued_at")


class DispatcherMetrics:
    """Reads one dispatcher, on its event loop."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        settings = dispatcher.settings
        self._meter = PlanMeter(settings.metrics_adapters, settings.metrics_tenants)
        self._pace = ServicePace(dispatcher.planner.policy.service_seconds)
        self._causes = WaitCauses()
        self._looked = time.monotonic()

    def page(self, unready: Callable[[], Iterable[str]] = tuple) -> MetricsPage:
        """Count from here on, and show it; `unready` tells what keeps it from its work."""
        dispatcher = self._dispatcher
        dispatcher.plans.meter = self._meter
        dispatcher.plans.listeners.append(self._meter.decided)
        dispatcher.on_look = self._look
        return MetricsPage(
            source=Source.DISPATCHER,
            name=dispatcher.name,
            read=self._read,
            bus=dispatcher.bus,
            unready=unready,
        )

    def _look(self) -> None:
        dispatcher, now, unix = self._dispatcher, time.monotonic(), time.time()
        if (seconds := now - self._looked) < LOOK_SECONDS:
            return
        self._looked = now
        at_workers = sum(view.in_flight for view in dispatcher.fleet.views(now, unix))
        self._pace.look(seconds, in_flight=at_workers, handed=self._meter.handed)
        held = sum(dispatcher.unresolved.counts()) + dispatcher.limits.held
        self._causes.look(
            seconds, dispatcher.pool.queues, lambda key: dispatcher.planner.why(key, unix), held=held
        )

    def _read(self, readings: Readings) -> None:
        self._meter.read(readings)
        self._read_counts(readings)
        self._read_queues(readings)
        self._read_fleet(readings)
        readings.put_all(
            declared.WAITED, (((cause,), seconds) for cause, seconds in self._causes.seconds.items())
        )

    def _read_counts(self, readings: Readings) -> None:
        dispatcher = self._dispatcher
        limits = limit_status(dispatcher.limits, dispatcher.shedding)
        told: tuple[tuple[Metric, float], ...] = (
            (declared.ACTIVE, dispatcher.is_active()),
            (declared.TAKEN, dispatcher.taken),
            (declared.REDELIVERIES, dispatcher.redelivered),
            (declared.DRAINS, dispatcher.audit.drains),
            (declared.FORCED, dispatcher.setbacks.forced),
            (declared.LAPSED, dispatcher.setbacks.lapsed),
            (declared.ANSWERED, dispatcher.answers.count),
            (declared.AUDIT_LOST, dispatcher.audit.lost),
            (declared.FAILURES, dispatcher.failures),
            (declared.BLIND, dispatcher.lookout.blind),
        )
        for metric, value in told:
            readings.put(metric, value)
        orders = dispatcher.orders
        for outcome, count in (("sent", orders.sent), ("arrived", orders.arrived), ("failed", orders.failed)):
            readings.put(declared.PREFETCHES, count, outcome)
        struck, paused, capped = dispatcher.unresolved.counts()
        kept = {"struck": struck, "paused": paused, "capped": capped, "limited": limits["limits_waiting"]}
        refused = {
            **limits["limits_refused_for"],
            "shed_hopeless": limits["shed_hopeless"],
            "shed_lane": limits["shed_by_lane"],
        }
        by_word: tuple[tuple[Metric, Mapping[str, int]], ...] = (
            (declared.HELD, kept),
            (declared.REFUSED, refused),
            (declared.RETURNED, dispatcher.setbacks.refused_for),
        )
        for metric, counts in by_word:
            readings.put_all(metric, (((str(word),), count) for word, count in counts.items()))

    def _read_queues(self, readings: Readings) -> None:
        """Each queue is in order, so that its first job tells its age."""
        now, planner = time.time(), self._dispatcher.planner
        jobs, oldest = Counter[Labels](), dict[Labels, float]()
        overdue = planner.due_by_deadline(now)
        for (group, lane), queue in self._dispatcher.pool.queues.items():
            since = now - planner.policy.late_at(0.0, lane)
            overdue[lane] += bisect_right(queue, since, key=_enqueued_at)
            labels = (*self._labels(group), LANES[lane].value)
            jobs[labels] += len(queue)
            age = max(0.0, now - queue[0].enqueued_at)
            oldest[labels] = max(age, oldest.get(labels, 0.0))
        readings.put_all(declared.PARKED, jobs.items())
        readings.put_all(declared.PARKED_OLDEST, oldest.items())
        for lane, each in enumerate(LANES):
            readings.put(declared.OVERDUE, overdue[lane], each.value)

    def _read_fleet(self, readings: Readings) -> None:
        dispatcher, now = self._dispatcher, time.monotonic()
        placed = report(dispatcher.name, dispatcher.keeping, dispatcher.registry, None, most=0)
        gap = dispatcher.planner.fairness_gap
        bound = 2 * (dispatcher.settings.quantum_tokens + self._meter.largest_tokens)
        views = dispatcher.fleet.views(now, time.time())
        slots = sum(view.slots for view in views)
        active = {group for group, _ in dispatcher.pool.queues if group != BASE_GROUP}
        replicas = Counter[Labels]()
        for view in views:
            for digest, resident in view.resident.items():
                replicas[self._labels(digest)] += 1
                if resident.jobs:
                    active.add(digest)
        for metric, value in (
            (declared.MISPLACED, placed.total - placed.kept),
            (declared.FAIRNESS_GAP, gap),
            (declared.FAIRNESS_BOUND, bound),
            (declared.STALE, dispatcher.fleet.stale(now)[0]),
            (declared.VIEW_AGE, dispatcher.fleet.longest_silence(now)),
            (declared.SLOT_PRESSURE, len(active) / slots if slots else 0.0),
        ):
            readings.put(metric, value)
        readings.put_all(declared.REPLICAS, replicas.items())
        each = self._pace.seconds / max(1, sum(view.rows for view in views))
        for lane, name in enumerate(LANES):
            readings.put(declared.BACKLOG, dispatcher.pool.count(lane) * each, name.value)

    def _labels(self, digest: str) -> Labels:
        known = self._meter.labels
        if digest == BASE_GROUP:
            return known.of(declared.BASE)
        label = self._dispatcher.registry.labels.get(digest)
        return known.of(declared.COMPOSITION) if label is None else known.of_label(label)
