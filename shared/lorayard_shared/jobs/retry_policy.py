"""How a job is tried again: its own wish, then its tenant's, then the yard's settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import nats.errors
import nats.js.errors

from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.plain_job import read_job
from lorayard_schemas.retry import Retry
from lorayard_schemas.tenant import TenantRecord, tenant_key
from lorayard_shared.bus.connection import Bus

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Everything decided."""

    max_attempts: int
    base_seconds: float
    cap_seconds: float
    dead_letter: bool

    def over(self, *wishes: Retry | None) -> RetryPolicy:
        """This, where none of the wishes says otherwise; the first one that says something counts."""
        said = [wish for wish in wishes if wish is not None]
        base = _first([wish.base_seconds for wish in said], self.base_seconds)
        return RetryPolicy(
            max_attempts=_first([wish.max_attempts for wish in said], self.max_attempts),
            base_seconds=base,
            cap_seconds=max(base, _first([wish.cap_seconds for wish in said], self.cap_seconds)),
            dead_letter=_first([wish.dead_letter for wish in said], self.dead_letter),
        )


def _first(said: Sequence[T | None], usual: T) -> T:
    return next((one for one in said if one is not None), usual)


def wait_seconds(policy: RetryPolicy, last: float | None, draw: float) -> float:
    """The wait before the next attempt; `last` is the one before, `draw` in [0, 1).

    Decorrelated jitter (M. Brooker, "Exponential Backoff And Jitter", 2015): uniform between the base and
    three times the last wait, capped, so that jobs that failed together do not come back together.
    """
    before = min(max(last or 0.0, policy.base_seconds), policy.cap_seconds)
    return min(policy.cap_seconds, policy.base_seconds + draw * (3.0 * before - policy.base_seconds))


class RetryWishes:
    """What jobs and tenants wish; looked up only once a job has failed."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def of(self, body: bytes, tenant: str) -> tuple[Retry | None, Retry | None]:
        """The job's and its tenant's; None each where it says nothing, or nobody can say."""
        try:
            asked = read_job(body).retry
        except MalformedMessageError:
            asked = None
        return asked, await self._of_tenant(tenant)

    async def _of_tenant(self, tenant: str) -> Retry | None:
        bucket = self._bus.subjects.bucket("tenants")
        try:
            found = await self._bus.js.get_msg(
                f"KV_{bucket}", subject=f"$KV.{bucket}.{tenant_key(tenant)}", direct=True
            )
            return decode(TenantRecord, found.data).retry if found.data else None
        except (nats.js.errors.Error, nats.errors.Error, MalformedMessageError):
            return None  # the settings count: a job must not wait for a record that nobody can read
