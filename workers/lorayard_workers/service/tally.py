"""What came of a worker's jobs, in numbers."""

from __future__ import annotations

from lorayard_schemas.advert import WorkerCounters
from lorayard_workers.engine.protocol import Failed, Outcome, Succeeded
from lorayard_workers.service.served_tokens import ServedTokens


class Tally:
    """Counts since the start."""

    def __init__(self) -> None:
        self.served = ServedTokens()
        self._succeeded = self._failed = self._completion_tokens = 0
        self.ended = 0
        """Jobs, however."""

    def add(self, tenant: str, outcome: Outcome) -> None:
        """A job of a tenant has ended."""
        self.ended += 1
        if not isinstance(outcome, Failed):  # what failed is at nobody's charge
            self.served.add(tenant, outcome.used_tokens)
        if isinstance(outcome, Succeeded):
            self._succeeded += 1
            self._completion_tokens += outcome.completion_tokens
        elif isinstance(outcome, Failed):
            self._failed += 1

    def counters(self) -> WorkerCounters:
        """As an advert carries them."""
        return WorkerCounters(
            jobs_succeeded=self._succeeded,
            jobs_failed=self._failed,
            completion_tokens=self._completion_tokens,
        )
