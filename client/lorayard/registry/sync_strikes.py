"""`Strikes`, blocking."""

from __future__ import annotations

from collections.abc import Callable

from lorayard.registry.calls import Calls
from lorayard.registry.strikes import StrikeReport, Strikes
from lorayard_schemas.strike import Strike


class SyncStrikes:
    """The strikes of one yard; every method raises as that of `Strikes` does."""

    def __init__(self, strikes: Strikes, thread: Callable[[], Calls]) -> None:
        self._strikes = strikes
        self._thread = thread

    def list(self) -> list[Strike]:
        """What is struck, the longest first."""
        return self._thread().call(self._strikes.list())

    def add(self, *, adapter: str | None = None, tenant: str | None = None, reason: str) -> StrikeReport:
        """Have jobs of an adapter, a version, a tenant or a pair wait; see `Strikes.add`."""
        return self._thread().call(self._strikes.add(adapter=adapter, tenant=tenant, reason=reason))

    def lift(self, *, adapter: str | None = None, tenant: str | None = None, reason: str = "") -> None:
        """Let jobs run again, of just what was struck."""
        self._thread().call(self._strikes.lift(adapter=adapter, tenant=tenant, reason=reason))
