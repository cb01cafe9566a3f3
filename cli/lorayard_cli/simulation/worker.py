"""A modelled worker: rows that make tokens, adapters that are loaded, and nothing else.

All rows of a worker make a token in every step, so one counter, the tokens that a row would have made since
the run began, says when each ends. Its speed changes when a row starts or ends and when a load does; between
those moments nothing needs to be computed.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter, deque
from collections.abc import Iterable, Set
from dataclasses import dataclass

from lorayard_cli.simulation.cluster import STAGED_AHEAD, Cluster
from lorayard_cli.simulation.errors import BooksDifferError
from lorayard_cli.simulation.simulated_job import SimulatedJob
from lorayard_cli.simulation.tiers import Tier
from lorayard_dispatcher.planning.values import BASE_GROUP

_NEVER = math.inf
_ROUNDING = 1e-9
"""Tokens: a row is done when less is missing, for the counter is a sum of fractions."""


@dataclass(slots=True, kw_only=True)
class Loads:
    """What was brought where, and when it hurt."""

    from_host: int = 0
    from_disk: int = 0  # without a host copy before: the whole way in one load
    fetched: int = 0  # disk to host memory beside decoding
    decoded_seconds: float = 0.0  # of rows, stalls included
    stalled_seconds: float = 0.0  # of decoding rows, for the part of speed that was lost
    blocking_at: list[float]  # when a load from disk began while rows were decoding


class ModelWorker:
    """One worker. Call `advance` with every moment at which something happens to it; times never go back."""

    def __init__(self, worker: str, cluster: Cluster) -> None:
        self.worker = worker
        self.cluster = cluster
        self.slots = Tier(cluster.slots)
        self.host = Tier(cluster.host)
        self.queue: deque[SimulatedJob] = deque()
        self.in_use: Counter[str] = Counter()  # rows by adapter; none is 0
        self.loading: str | None = None
        self.fetching: str | None = None
        self.loads = Loads(blocking_at=[])
        self.taken = 0  # jobs it was ever given
        self.changes = 0  # rises with everything that a report would show
        self._rows: list[tuple[float, int, SimulatedJob]] = []  # heap of (counter at the end, number, job)
        self._wanted: deque[str] = deque()  # prefetches
        self._made = 0.0  # tokens that a row would have made since the run began
        self._made_at = 0.0
        self._started = 0  # rows, since the run began
        self._speed = 0.0  # tokens per second and row
        self._load_ends = _NEVER
        self._fetch_ends = _NEVER
        self._loading_from_host = True

    @property
    def running(self) -> int:
        """Rows that decode."""
        return len(self._rows)

    @property
    def in_flight(self) -> int:
        """Jobs that it has."""
        return len(self._rows) + len(self.queue)

    @property
    def free_rows(self) -> int:
        """Rows that no job that it has will take."""
        return max(0, self.cluster.rows - self.in_flight)

    @property
    def has_room(self) -> bool:
        """Whether it takes one more job, where it may refuse."""
        return self.in_flight < self.cluster.rows + self.cluster.lookahead

    @property
    def warm(self) -> Set[str]:
        """Adapters in slots, on their way there, or needed by the queue."""
        return self.slots.usage.keys() | self._coming | {job.adapter for job in self.queue if job.adapter}

    @property
    def is_missing(self) -> bool:
        """Whether a queued job needs an adapter that is in no slot."""
        return any(job.adapter != BASE_GROUP and job.adapter not in self.slots for job in self.queue)

    @property
    def jobs(self) -> Iterable[SimulatedJob]:
        """Those that run, and those that are queued."""
        yield from (job for _, _, job in self._rows)
        yield from self.queue

    @property
    def coming_to_host(self) -> frozenset[str]:
        """Adapters on their way into host memory."""
        from_disk = None if self._loading_from_host else self.loading
        return frozenset(name for name in (*self._wanted, self.fetching, from_disk) if name is not None)

    def next_at(self) -> float:
        """When something will happen by itself; infinity: never."""
        ends = _NEVER
        if self._rows and self._speed > 0.0:
            ends = self._made_at + max(0.0, self._rows[0][0] - self._made) / self._speed
        return min(ends, self._load_ends, self._fetch_ends)

    def give(self, job: SimulatedJob, now: float) -> None:
        """Queue a job; `advance` starts it when it can."""
        job.worker, job.handed_at = self.worker, now
        self.queue.append(job)
        self.taken += 1

    def prefetch(self, adapter: str) -> None:
        """Bring an adapter into host memory when the disk is free."""
        if adapter not in self.host and adapter != self.fetching and adapter not in self._wanted:
            self._wanted.append(adapter)

    def advance(self, now: float) -> list[SimulatedJob]:
        """Move to `now`; returns the jobs that ended there."""
        self._decode_until(now)
        ended = self._end_rows(now)
        self._end_loads(now)
        self._admit(now)
        self._fetch_next(now)
        self._set_speed()
        self.changes += 1
        return ended

    def check(self) -> None:
        """Fail if a slot is given away twice, or a row's adapter is in none."""
        self.slots.check(reserved=int(self.loading is not None))
        self.host.check()
        if len(self._rows) > self.cluster.rows:
            raise BooksDifferError(f"{self.worker}: {len(self._rows)} rows of {self.cluster.rows}")
        lost = [adapter for adapter in self.in_use if adapter not in self.slots]
        if lost:
            raise BooksDifferError(f"{self.worker}: rows decode with {lost}, which is in no slot")
        rows = Counter(job.adapter for _, _, job in self._rows if job.adapter != BASE_GROUP)
        if rows != self.in_use:
            raise BooksDifferError(
                f"{self.worker}: rows use {dict(rows)}, the slots' books say {dict(self.in_use)}"
            )

    def _decode_until(self, now: float) -> None:
        elapsed = now - self._made_at
        self._made += elapsed * self._speed
        self._made_at = now
        self.loads.decoded_seconds += elapsed * len(self._rows)
        if self.loading is not None:
            self.loads.stalled_seconds += elapsed * self.cluster.stall * len(self._rows)

    def _end_rows(self, now: float) -> list[SimulatedJob]:
        ended: list[SimulatedJob] = []
        while self._rows and self._rows[0][0] <= self._made + _ROUNDING:
            job = heapq.heappop(self._rows)[2]
            job.ended_at = now
            ended.append(job)
            if job.adapter != BASE_GROUP:
                self.in_use[job.adapter] -= 1
                if not self.in_use[job.adapter]:
                    del self.in_use[job.adapter]
        return ended

    def _end_loads(self, now: float) -> None:
        if self.fetching is not None and self._fetch_ends <= now:
            self._add_host_copy(self.fetching, now)
            self.fetching, self._fetch_ends = None, _NEVER
        if self.loading is not None and self._load_ends <= now:
            self.slots.add(self.loading, now)
            self._add_host_copy(self.loading, now)
            self.loading, self._load_ends = None, _NEVER

    def _add_host_copy(self, adapter: str, now: float) -> None:
        if adapter not in self.host and self.host.make_room(self._host_in_use()):
            self.host.add(adapter, now)
        if adapter in self.host:
            self.host.touch(adapter, now)

    @property
    def _coming(self) -> set[str]:
        return set() if self.loading is None else {self.loading}

    def _host_in_use(self) -> Set[str]:
        """A slot's adapter keeps its host copy, and so does what the next jobs wait for."""
        return self.slots.usage.keys() | self._coming | set(self._awaited())

    def _awaited(self) -> list[str]:
        """The first adapters that the queue waits for, in order."""
        found: list[str] = []
        for job in self.queue:
            if len(found) == STAGED_AHEAD:
                break
            if self._is_absent(job.adapter) and job.adapter not in found:
                found.append(job.adapter)
        return found

    def _is_absent(self, adapter: str) -> bool:
        return adapter != BASE_GROUP and adapter not in self.slots and adapter != self.loading

    def _admit(self, now: float) -> None:
        """Start queued jobs in order, as far as rows are free and their adapters are in slots."""
        passed: list[SimulatedJob] = []
        spared: set[str] = set()  # adapters of jobs that were passed: no later job may take their slots
        may_load = self.loading is None
        while self.queue and len(self._rows) < self.cluster.rows:
            job = self.queue.popleft()
            if job.adapter == BASE_GROUP or job.adapter in self.slots:
                self._start(job, now)
                continue
            job.missed = True
            passed.append(job)
            if may_load and not self._waits_for_host(job.adapter):
                may_load = False  # it loads now, or no slot is free for anybody
                if self.slots.make_room(self.in_use.keys() | spared):
                    self._load(job.adapter, now)
            spared.add(job.adapter)
        self.queue.extendleft(reversed(passed))

    def _start(self, job: SimulatedJob, now: float) -> None:
        job.started_at = now
        self._started += 1
        heapq.heappush(self._rows, (self._made + job.tokens, self._started, job))
        if job.adapter != BASE_GROUP:
            self.in_use[job.adapter] += 1
            self.slots.touch(job.adapter, now)

    def _waits_for_host(self, adapter: str) -> bool:
        """Whether its host copy comes without a stop; a worker with nothing to decode loads it in one go."""
        if adapter in self.host:
            return False
        return adapter == self.fetching or (self.cluster.staging and bool(self._rows))

    def _load(self, adapter: str, now: float) -> None:
        """Begin to load into a slot for which room has been made."""
        self.loading, self._loading_from_host = adapter, adapter in self.host
        self._load_ends = now + self.cluster.load_seconds_host
        if self._loading_from_host:
            self.loads.from_host += 1
            return
        self._load_ends += self.cluster.load_seconds_disk
        self.loads.from_disk += 1
        if self._rows:
            self.loads.blocking_at.append(now)

    def _fetch_next(self, now: float) -> None:
        """Keep the disk busy: first for the queue, where workers stage, then for the dispatcher's wishes."""
        if self.fetching is not None:
            return
        needed = self._awaited() if self.cluster.staging else []
        adapter = next((name for name in needed if name not in self.host), None)
        while adapter is None and self._wanted:
            wish = self._wanted.popleft()
            if wish not in self.host and wish != self.loading:
                adapter = wish
        if adapter is not None:
            self.fetching, self._fetch_ends = adapter, now + self.cluster.load_seconds_disk
            self.loads.fetched += 1

    def _set_speed(self) -> None:
        if not self._rows:
            self._speed = 0.0
            return
        share = 1.0 - self.cluster.stall if self.loading is not None else 1.0
        self._speed = share / self.cluster.step_seconds(len(self._rows), len(self.in_use))
