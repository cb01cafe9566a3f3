"""Fair shares of tenants: virtual token counters with a quantum.

Source: Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024 (VTC), with a quantum in place
of strict order so that jobs of one adapter stay together (Cao et al., "Locality-aware Fair Scheduling in LLM
Serving", 2025).
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping

from lorayard_dispatcher.planning.policy import Policy


class _Served(dict[str, float]):
    """Tokens by tenant; nothing of those that were served nothing. Asked of every tenant of a lane for each
    decision: to look it up takes half as long as to call `get`."""

    def __missing__(self, tenant: str) -> float:
        return 0.0


MOST_TENANTS = 4096
"""Remembered before those are forgotten that nothing is owed to."""


class Shares:
    """What each tenant was served, in tokens over its weight."""

    def __init__(self, policy: Policy, served: Mapping[str, float] | None = None) -> None:
        self._policy = policy
        self.served: dict[str, float] = _Served(served or {})
        self._new: set[str] = set(self.served)
        """Told at the start: what they were served is known, and not lifted."""
        self._waiting: set[str] = set()
        self.aside: set[str] = set()
        """Those of them whose jobs nobody can serve now: they hold nobody back."""
        self._least: list[tuple[float, str]] = []
        """A heap of what was once true; what is not any more is dropped when it comes up."""
        self._floor = 0.0
        self._limit = policy.quantum_tokens
        self._stale = True

    @property
    def floor(self) -> float:
        """What the least served tenant that waits was served; the last one while none waits."""
        if self._stale:
            self._stale = False
            least, waiting, known = self._least, self._waiting, self.served
            while least:
                served, tenant = least[0]
                if tenant in waiting and tenant not in self.aside and known[tenant] == served:
                    self._floor = served
                    self._limit = served + self._policy.quantum_tokens
                    break
                heapq.heappop(least)
        return self._floor

    @property
    def least_served(self) -> str | None:
        """The tenant that the floor is of, if any waits that can be served."""
        _ = self.floor
        return self._least[0][1] if self._least else None

    @property
    def gap(self) -> float:
        """Between the most and the least served tenant of those that wait and can be served."""
        served = [self.served[tenant] for tenant in self._waiting - self.aside]
        return max(served) - min(served) if served else 0.0

    def set_aside(self, tenant: str) -> None:
        """Nobody can serve what it waits for."""
        self.aside.add(tenant)
        self._stale = True

    def bring_back(self, tenant: str) -> None:
        """Somebody can: it has not saved up what it could not use."""
        floor = self.floor
        self.aside.discard(tenant)
        if tenant in self._waiting:
            self.served[tenant] = max(self.served[tenant], floor)
            self._note(self.served[tenant], tenant)

    @property
    def limit(self) -> float:
        """Tenants that were served more are past their share."""
        if self._stale:
            _ = self.floor
        return self._limit

    def waits(self, tenant: str) -> None:
        """It has work again: it does not save up what it left unused meanwhile."""
        if tenant in self._waiting:
            return
        served = self.served.get(tenant, 0.0)
        if tenant in self._new:
            self._new.discard(tenant)
        else:
            served = max(served, self.floor)
        self.served[tenant] = served
        self._waiting.add(tenant)
        self._note(served, tenant)

    def _note(self, served: float, tenant: str) -> None:
        heapq.heappush(self._least, (served, tenant))
        # Whatever anybody else is served, the floor stays.
        self._stale = self._stale or self._least[0][1] == tenant
        if len(self._least) > 64 + 4 * len(self._waiting):
            self._least = [(self.served[name], name) for name in self._waiting - self.aside]
            heapq.heapify(self._least)
        if len(self.served) > MOST_TENANTS + 2 * len(self._waiting):
            floor = self.floor  # who is no further would be lifted to it anyway
            self.served = _Served(
                (name, found) for name, found in self.served.items() if found > floor or name in self._waiting
            )

    def waits_no_more(self, tenant: str) -> None:
        """Nothing of it waits."""
        self._waiting.discard(tenant)
        self.aside.discard(tenant)
        self._stale = True

    def charge(self, tenant: str, tokens: float) -> None:
        """It was served so many tokens more."""
        weight = self._policy.weight(tenant) if self._policy.tenant_weights else 1.0
        served = self.served[tenant] + tokens / weight
        self.served[tenant] = served
        if tenant in self._waiting:
            self._note(served, tenant)

    def allowed(self, tenant: str) -> bool:
        """Whether it is within the quantum of the least served."""
        return self.served.get(tenant, 0.0) <= self.limit
