"""What came of a worker's jobs, in numbers."""

from __future__ import annotations

from typing import Protocol

from lorayard_schemas.advert import WorkerCounters
from lorayard_workers.engine.outcome import Failed, Outcome, Succeeded
from lorayard_workers.service.held_jobs import HeldJob
from lorayard_workers.service.served_tokens import ServedTokens


class Listener(Protocol):
    """Hears what ends."""

    def ended(self, held: HeldJob, outcome: Outcome) -> None:
        """A job has its result."""
        ...

    def retried(self, held: HeldJob, failed: Failed) -> None:
        """A job is to be tried again."""
        ...


class Tally:
    """Counts since the start."""

    def __init__(self) -> None:
        self.served = ServedTokens()
        self._succeeded = self._failed = self._completion_tokens = 0
        self.ended = 0
        """Jobs, however."""
        self.listeners: list[Listener] = []
        """Who counts them for `/metrics`, and makes spans of them, where that is asked for."""

    def add(self, held: HeldJob, outcome: Outcome) -> None:
        """A job has ended."""
        self.ended += 1
        for listener in self.listeners:
            listener.ended(held, outcome)
        if not isinstance(outcome, Failed):  # what failed is at nobody's charge
            self.served.add(held.address.tenant, outcome.used_tokens)
        if isinstance(outcome, Succeeded):
            self._succeeded += 1
            self._completion_tokens += outcome.completion_tokens
        elif isinstance(outcome, Failed):
            self._failed += 1

    def retried(self, held: HeldJob, failed: Failed) -> None:
        """A job is to be tried again."""
        for listener in self.listeners:
            listener.retried(held, failed)

    def counters(self) -> WorkerCounters:
        """As an advert carries them."""
        return WorkerCounters(
            jobs_succeeded=self._succeeded,
            jobs_failed=self._failed,
            completion_tokens=self._completion_tokens,
        )
