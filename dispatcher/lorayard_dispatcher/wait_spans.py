"""Spans of jobs that waited in a dispatcher, from publish to hand-over."""

from __future__ import annotations

from lorayard_dispatcher.parked_job import ParkedJob
from lorayard_dispatcher.planning.values import Decision
from lorayard_shared.tracing.tracer import Tracer, Value


class WaitSpans:
    """Hears of decisions."""

    def __init__(self, tracer: Tracer, *, dispatcher: str) -> None:
        self._tracer, self._dispatcher = tracer, dispatcher

    def decided(self, decision: Decision, parked: ParkedJob, now: float) -> None:
        """A job goes to a worker at `now` (unix seconds)."""
        taken = parked.taken
        attributes: dict[str, Value] = {
            "messaging.operation.name": "assign",
            "messaging.operation.type": "receive",
            "messaging.destination.name": f"jobs.{taken.address.lane.value}",
            "lorayard.tenant": taken.address.tenant,
            "lorayard.dispatcher": self._dispatcher,
            "lorayard.worker": decision.worker,
            "lorayard.phase": decision.phase.value,
            "lorayard.source": decision.source.value,
            "lorayard.rule": parked.rule,
            "lorayard.attempt": taken.attempt,
        }
        if (correlation := taken.traced.get("correlation_id")) is not None:
            attributes["messaging.message.conversation_id"] = correlation
        if (ref := parked.adapter) is not None:
            attributes |= {
                "lorayard.adapter": ref.name,
                "lorayard.adapter.version": ref.version,
                "lorayard.adapter.digest": ref.digest,
            }
        self._tracer.span(
            f"assign jobs.{taken.address.lane.value}",
            job=taken.job,
            traceparent=taken.traceparent,
            kind="consumer",
            start=min(taken.enqueued_at, now),
            end=now,
            attributes=attributes,
            events={},
        )
