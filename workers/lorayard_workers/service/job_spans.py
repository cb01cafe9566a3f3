"""Spans of what a worker did with its jobs: OpenTelemetry's names for messaging and for generative models."""

from __future__ import annotations

import time

from lorayard_shared.tracing.tracer import Tracer, Value
from lorayard_workers.engine.outcome import Failed, Outcome, Succeeded
from lorayard_workers.service.held_jobs import HeldJob


class JobSpans:
    """Hears of ended jobs, and makes a span of each attempt."""

    def __init__(self, tracer: Tracer, *, worker: str, model: str) -> None:
        self._tracer, self._worker, self._model = tracer, worker, model

    def ended(self, held: HeldJob, outcome: Outcome) -> None:
        """A job has its result."""
        self._span(held, outcome)

    def retried(self, held: HeldJob, failed: Failed) -> None:
        """A job is to be tried again: that attempt is over."""
        self._span(held, failed)

    def _span(self, held: HeldJob, outcome: Outcome) -> None:
        now = time.time()
        attributes = self._about(held)
        events: dict[str, float] = {}
        start, error = min(held.taken_at, now), None
        if isinstance(outcome, Succeeded):
            timings = outcome.timings
            start = now - timings.total_ms / 1000
            began = start + timings.queued_ms / 1000
            if timings.load_ms:
                events["load"] = began - timings.load_ms / 1000
            events |= {"prefill": began, "decode": start + timings.first_token_ms / 1000}
            attributes |= {
                "gen_ai.usage.input_tokens": outcome.prompt_tokens,
                "gen_ai.usage.output_tokens": outcome.completion_tokens,
                "gen_ai.response.finish_reasons": outcome.finish_reason.value,
                "lorayard.tier": outcome.tier.value,
            }
        elif isinstance(outcome, Failed):
            error = outcome.code
        else:
            attributes["lorayard.outcome"] = type(outcome).__name__
        self._tracer.span(
            f"text_completion {self._model}",
            job=held.job,
            traceparent=held.traceparent,
            kind="consumer",
            start=start,
            end=now,
            attributes=attributes,
            events=events,
            error=error,
        )

    def _about(self, held: HeldJob) -> dict[str, Value]:
        assigned = held.assigned
        about: dict[str, Value] = {
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": f"jobs.{held.address.lane.value}",
            "gen_ai.operation.name": "text_completion",
            "gen_ai.provider.name": "lorayard",
            "gen_ai.request.model": self._model,
            "lorayard.tenant": held.address.tenant,
            "lorayard.worker": self._worker,
            "lorayard.attempt": assigned.attempt,
        }
        if (correlation := held.traced.get("correlation_id")) is not None:
            about["messaging.message.conversation_id"] = correlation
        if (ref := assigned.adapter) is not None:
            about |= {
                "gen_ai.response.model": f"{ref.name}@{ref.version}",
                "lorayard.adapter": ref.name,
                "lorayard.adapter.version": ref.version,
                "lorayard.adapter.digest": ref.digest,
            }
        return about
