"""Jobs that wait in a yard in memory, and who holds which: leases, deliveries, deaths under a job."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lorayard.testing.memory_server import MemoryServer
from lorayard.testing.memory_stream import Kept, MemoryStream
from lorayard_schemas.attempt import AttemptRecord
from lorayard_schemas.job import Lane
from lorayard_schemas.subjects import JobAddress

LANES = tuple(Lane)
"""The most urgent first."""

Place = tuple[str, int]
"""Stream and sequence: one message of one job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A job's message, and whose it is."""

    stream: MemoryStream
    kept: Kept
    address: JobAddress

    @property
    def place(self) -> Place:
        """Tells it from every other message."""
        return self.stream.name, self.kept.sequence


class MemoryQueue:
    """Every method is called under the server's lock."""

    def __init__(self, server: MemoryServer) -> None:
        self._server = server
        self._leases: dict[Place, float] = {}
        """Until when, unix seconds."""
        self._deliveries: dict[Place, int] = {}
        self.deaths: dict[Place, list[AttemptRecord]] = {}

    def __iter__(self) -> Iterator[Waiting]:
        """What may be taken now: by lane, then in the order in which it came."""
        return iter(sorted((one for one in self.all() if one.place not in self._leases), key=_turn))

    def all(self) -> list[Waiting]:
        """What is queued or held."""
        subjects, found = self._server.settings.subjects, list[Waiting]()
        for kind, pattern in (("jobs", subjects.jobs), ("delayed", subjects.due)):
            stream = self._server.stream(kind)
            for kept in stream.after(pattern, 0):
                found.append(Waiting(stream=stream, kept=kept, address=subjects.parse_job(kept.subject)))
        return found

    def take(self, one: Waiting) -> int:
        """Give it out under a lease; which delivery it is."""
        self.renew(one)
        self._deliveries[one.place] = self._deliveries.get(one.place, 0) + 1
        return self._deliveries[one.place]

    def renew(self, one: Waiting) -> None:
        """Keep the lease from now on."""
        self._leases[one.place] = self._server.clock.now + self._server.settings.ack_wait_seconds

    def holds(self, one: Waiting, delivery: int) -> bool:
        """Whether this delivery's lease still counts."""
        return one.place in self._leases and self._deliveries[one.place] == delivery

    def give_back(self, one: Waiting) -> None:
        """At once, and nothing is counted."""
        self._leases.pop(one.place, None)

    def ack(self, one: Waiting) -> None:
        """It is done with."""
        one.stream.remove(one.kept.sequence)
        for known in (self._leases, self._deliveries, self.deaths):
            known.pop(one.place, None)

    def expired(self) -> list[tuple[Waiting, int]]:
        """Take away leases that ran out; which deliveries those were."""
        now = self._server.clock.now
        lost = [one for one in self.all() if self._leases.get(one.place, now + 1) <= now]
        for one in lost:
            del self._leases[one.place]
        return [(one, self._deliveries[one.place]) for one in lost]

    def next_expiry(self) -> float | None:
        """When the next lease runs out, unix seconds."""
        return min(self._leases.values(), default=None)


def _turn(one: Waiting) -> tuple[int, float, str, int]:
    return LANES.index(one.address.lane), one.kept.at, *one.place
