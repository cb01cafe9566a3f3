"""Keep what was decided, off the path of the jobs: a record that is lost costs no job and no wait."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from lorayard_dispatcher.parked_job import ParkedJob
from lorayard_dispatcher.planning.amends import Order
from lorayard_dispatcher.planning.values import (
    BASE_GROUP,
    Decision,
    Drain,
    Plan,
    Prefetch,
    Source,
    WorkerView,
)
from lorayard_schemas.audit import FORCED_HOME, AuditKind
from lorayard_shared.audit.outbox import AuditOutbox
from lorayard_shared.audit.outcomes import Outcomes
from lorayard_shared.bus.connection import Bus

ORDER_SECONDS = 10.0
"""A drain or prefetch that plans leave out no longer than this is still the same one: while no row is free,
a plan has none."""


class Audit:
    """Writes records of one dispatcher's plans."""

    def __init__(
        self,
        bus: Bus,
        dispatcher: str,
        *,
        labels: Mapping[str, str],
        spawn: Callable[[Coroutine[object, object, object], str], None],
        enabled: bool = True,
    ) -> None:
        """`labels` names digests for people; `spawn` owns the writing task."""
        self.drains = 0
        """Slots that plans had drained, each once."""
        self._bus = bus
        self._dispatcher = dispatcher
        self._labels = labels
        self._outbox = AuditOutbox(bus, role="dispatcher", spawn=spawn)
        self._enabled = enabled
        subject = bus.subjects.worker_audit(AuditKind.OUTCOME, dispatcher)
        self.outcomes = Outcomes(self._put, subject, by=dispatcher, spawn=spawn)
        """Of jobs that end here, without having been run."""
        self._plan = 0
        self._seen: dict[Drain | Prefetch, float] = {}

    @property
    def lost(self) -> int:
        """Records that are known not to be stored."""
        return self._outbox.lost

    def plan(self, made: Plan) -> None:
        """A plan was made: keep the drains and prefetches that are new in it."""
        self._plan += 1
        for drain in made.drains:
            if self._is_new(drain):
                self.drains += 1
                body = {"adapter": self._label(drain.adapter), "for_adapter": self._label(drain.for_group)}
                self._order(AuditKind.DRAIN, drain.worker, body)
        for prefetch in made.prefetches:
            if self._is_new(prefetch):
                self._order(AuditKind.PREFETCH, prefetch.worker, {"adapter": self._label(prefetch.adapter)})

    def kept(self, order: Order) -> None:
        """A worker is told what is amiss there."""
        body = {"adapter": self._label(order.digest), "order": order.verb.value, "because": order.because}
        self._order(AuditKind.PLACEMENT, order.worker, body)

    def _is_new(self, order: Drain | Prefetch) -> bool:
        now = time.monotonic()
        seen = self._seen.pop(order, -math.inf)
        self._seen[order] = now  # the longest unseen stays first
        while now - self._seen[oldest := next(iter(self._seen))] > ORDER_SECONDS:
            del self._seen[oldest]
        return now - seen > ORDER_SECONDS

    def decision(self, decision: Decision, parked: ParkedJob) -> None:
        """A job of the last plan goes to a worker."""
        more: dict[str, Any] = {"view_age_seconds": round(decision.age_seconds, 3)}
        if decision.load:
            more["cost_seconds"] = decision.cost_seconds
        if decision.evicts is not None:
            leaving = (decision.evicts, *decision.evicts_more)
            more["evicts"] = ", ".join(self._label(digest) for digest in leaving)
        self._decided(parked, decision.worker, decision.phase, decision.source, more)

    def _decided(
        self,
        parked: ParkedJob,
        worker: str,
        phase: str,
        source: Source,
        more: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        now, taken = time.time(), parked.taken
        body: dict[str, Any] = {
            "v": 1,
            "at": now,
            "dispatcher": self._dispatcher,
            "plan": self._plan,
            "job": taken.job,
            "tenant": taken.address.tenant,
            "lane": taken.address.lane,
            "rule": parked.rule,
            "phase": phase,
            "source": source,
            "worker": worker,
            "waited_ms": round(max(0.0, (now - taken.enqueued_at) * 1000), 1),
            "attempt": taken.attempt,
            "deliveries": taken.deliveries,
            **taken.traced,
            **more,
        }
        if parked.verdict is not None:
            body["semantic"] = parked.verdict.model_dump(mode="json", exclude_none=True)
        if parked.alias is not None:
            body["alias"] = {"name": parked.alias.name, "revision": parked.alias.revision}
        if parked.adapter is not None:
            ref = parked.adapter
            body["adapter"] = {"name": ref.name, "version": ref.version, "digest": ref.digest}
        if parked.composition is not None:
            body["composition"] = parked.composition.applied.model_dump(mode="json", exclude_none=True)
        if parked.additions is not None:
            body["additions"] = parked.additions.model_dump()
        self._keep(AuditKind.DECISION, parked, body)

    def forced(self, parked: ParkedJob, home: str, views: Sequence[WorkerView]) -> None:
        """A job that was refused too often goes to its adapter's home without a plan."""
        group = parked.waiting.group
        view = next((view for view in views if view.worker == home), None)
        source = Source.DISK
        if group == BASE_GROUP or (view is not None and group in view.resident):
            source = Source.SLOT
        elif view is not None and group in view.host:
            source = Source.HOST
        self._decided(parked, home, FORCED_HOME, source)

    def returned(self, worker: str, parked: ParkedJob, reason: str, detail: str = "") -> None:
        """A worker did not take a job."""
        taken = parked.taken
        body = {
            "v": 1,
            "at": time.time(),
            "dispatcher": self._dispatcher,
            "job": taken.job,
            "tenant": taken.address.tenant,
            "worker": worker,
            "reason": reason,
            "detail": detail,
            "attempt": taken.attempt,
            **taken.traced,
        }
        self._keep(AuditKind.RETURN, parked, body)

    def _keep(self, kind: AuditKind, parked: ParkedJob, body: dict[str, Any]) -> None:
        taken = parked.taken
        self._put(self._bus.subjects.job_audit(kind, taken.address.tenant, taken.job), body)

    def _order(self, kind: AuditKind, worker: str, body: dict[str, str]) -> None:
        head = {
            "v": 1,
            "at": time.time(),
            "dispatcher": self._dispatcher,
            "plan": self._plan,
            "worker": worker,
        }
        self._put(self._bus.subjects.worker_audit(kind, worker), {**head, **body})

    def _label(self, digest: str) -> str:
        return self._labels.get(digest, digest)

    def _put(self, subject: str, body: dict[str, Any]) -> None:
        if self._enabled:
            self._outbox.put(subject, body)
