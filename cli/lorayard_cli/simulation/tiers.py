"""The two tiers of a modelled worker: adapters in slots and in host memory, left by the real eviction."""

from __future__ import annotations

from collections.abc import Set

from lorayard_cli.simulation.errors import BooksDifferError
from lorayard_workers.memory.eviction import Candidate, Usage, choose_victims


class Tier:
    """At most `capacity` adapters of one size, and when each came."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.usage: dict[str, Usage] = {}
        self.since: dict[str, float] = {}
        self.evictions = 0

    def __contains__(self, adapter: str) -> bool:
        return adapter in self.usage

    def __len__(self) -> int:
        return len(self.usage)

    def touch(self, adapter: str, now: float) -> None:
        """One more use."""
        self.usage[adapter] = self.usage[adapter].touched(now)

    def make_room(self, in_use: Set[str], reserved: int = 0) -> bool:
        """Evict until one more fits beside `reserved` that are on their way; False if too much is in use."""
        excess = len(self.usage) + reserved + 1 - self.capacity
        if excess <= 0:
            return True
        victims = choose_victims(
            [Candidate(key=key, usage=usage, in_use=key in in_use) for key, usage in self.usage.items()],
            excess,
        )
        if victims is None:
            return False
        for victim in victims:
            del self.usage[victim], self.since[victim]
        self.evictions += len(victims)
        return True

    def add(self, adapter: str, now: float) -> None:
        """It is there now; room was made before."""
        if adapter not in self.usage:
            self.usage[adapter] = Usage(last_used=now)
            self.since[adapter] = now

    def check(self, reserved: int = 0) -> None:
        """Fail if more is there than fits."""
        if len(self.usage) + reserved > self.capacity:
            raise BooksDifferError(
                f"{len(self.usage)} adapters and {reserved} to come, room for {self.capacity}"
            )
