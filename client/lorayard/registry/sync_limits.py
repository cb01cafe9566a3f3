"""`AdmissionLimits`, blocking."""

from __future__ import annotations

from collections.abc import Callable
from typing import Unpack

from lorayard.registry.calls import Calls
from lorayard.registry.limits import AdmissionLimits, LimitOptions, LimitsChange
from lorayard_schemas.limit import Limits, LimitsReport


class SyncAdmissionLimits:
    """The limits of one yard; every method raises as that of `AdmissionLimits` does."""

    def __init__(self, limits: AdmissionLimits, thread: Callable[[], Calls]) -> None:
        self._limits = limits
        self._thread = thread

    def list(self) -> list[Limits]:
        """All that are declared."""
        return self._thread().call(self._limits.list())

    def use(self, *, tenant: str | None = None, adapter: str | None = None) -> LimitsReport:
        """What is used of them now, as one dispatcher knows it."""
        return self._thread().call(self._limits.use(tenant=tenant, adapter=adapter))

    def set(
        self,
        *,
        tenant: str | None = None,
        adapter: str | None = None,
        reason: str,
        **options: Unpack[LimitOptions],
    ) -> LimitsChange:
        """Set limits of a tenant, an adapter or a pair; see `AdmissionLimits.set`."""
        work = self._limits.set(tenant=tenant, adapter=adapter, reason=reason, **options)
        return self._thread().call(work)

    def remove(
        self, *names: str, tenant: str | None = None, adapter: str | None = None, reason: str = ""
    ) -> Limits | None:
        """Take limits away: those named, or all; see `AdmissionLimits.remove`."""
        work = self._limits.remove(*names, tenant=tenant, adapter=adapter, reason=reason)
        return self._thread().call(work)
