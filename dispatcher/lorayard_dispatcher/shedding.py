"""Jobs that would wait in vain, or in the way of more urgent ones, are told so when they come (E5)."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress

import nats.errors

from lorayard_dispatcher.drain import Drain
from lorayard_dispatcher.limiting.shedding import Pace, is_hopeless, sheds_lane
from lorayard_dispatcher.parked_job import ParkedJob
from lorayard_dispatcher.planning.policy import Policy
from lorayard_dispatcher.pool import Pool
from lorayard_dispatcher.refusing import Refusing
from lorayard_schemas.job import Lane
from lorayard_schemas.result import ResultState
from lorayard_shared.bus.connection import ApiError, Bus
from lorayard_shared.bus.topology import lane_consumer
from lorayard_shared.jobs import refusals
from lorayard_shared.jobs.taken_job import TakenJob

LANES = tuple(Lane)
ARMED_SECONDS = 60.0
"""After the last job with a deadline nobody counts any more: without deadlines this costs nothing."""

COUNT_SECONDS = 0.25
"""For so long a list of what is ahead is believed: it may be long. What has come since is left out."""

MOST_COUNTS = 1024
"""Lists kept; then all are made anew."""

SAMPLE_SECONDS = 1.0
USUAL_RETRY_SECONDS = 5.0
LEAST_RETRY_SECONDS, MOST_RETRY_SECONDS = 1.0, 60.0
EXTRA_ROOM = 256
"""Jobs of a lane that is shed are taken though its window is full: they are answered, and not parked."""


class Shedding:
    """One dispatcher's paces and counts."""

    def __init__(
        self,
        bus: Bus,
        *,
        pool: Pool,
        refusing: Refusing,
        drain: Drain,
        policy: Policy,
        enabled: bool,
        bounds: Sequence[int | None],
    ) -> None:
        """`bounds` are by lane, the most urgent first; None: as many as the stream holds."""
        self._bus = bus
        self._pool = pool
        self._refusing = refusing
        self._drain = drain
        self._policy = policy
        self._enabled = enabled
        self._bounds = tuple(bounds)
        self.bounded = any(bound is not None for bound in bounds)
        self._waiting = [0] * len(LANES)
        self._armed_until = 0.0
        self._paces: dict[str, Pace] = {}
        self._ahead: dict[tuple[str, str, int], tuple[float, list[float]]] = {}
        """Group, tenant and lane: when they were listed, and when each becomes overdue, in order."""
        self.hopeless = 0
        """Jobs that would have waited beyond their deadlines."""
        self.by_lane = 0
        """Jobs refused because too many of their lane, or of a more urgent one, wait."""

    def sheds(self, lane: Lane) -> bool:
        """Whether new jobs of a lane are refused now."""
        return self.bounded and sheds_lane(LANES.index(lane), self._waiting, self._bounds) is not None

    def lets(self, job: TakenJob, group: str) -> bool:
        """Whether a job goes on; else it was answered."""
        if job.deliveries > 1 or job.attempt > 1:
            return True  # it was let in before
        if self.bounded and not self._has_room(job):
            return False
        return job.deadline is None or not self._enabled or self._may_end(job, group, job.deadline)

    def handed(self, jobs: Sequence[ParkedJob]) -> None:
        """These go to workers."""
        now = time.monotonic()
        if now >= self._armed_until:
            self._paces.clear()
            return
        served: dict[str, int] = {}
        for parked in jobs:
            group = parked.waiting.group
            served[group] = served.get(group, 0) + 1
        for group, count in served.items():
            if any((group, lane) in self._pool.queues for lane in range(len(LANES))):
                self._paces.setdefault(group, Pace(now)).serve(count, now)
            else:
                self._paces.pop(group, None)

    async def run(self) -> None:
        """Count what waits in each lane, where anybody has set a bound, until cancelled."""
        while True:
            if self.bounded and self._bus.connected:
                with suppress(ApiError, nats.errors.Error):  # what was counted last has to do
                    self._waiting = [await self._waits(lane) for lane in LANES]
            await asyncio.sleep(SAMPLE_SECONDS)

    # ---- by lane

    def _has_room(self, job: TakenJob) -> bool:
        lane = LANES.index(job.address.lane)
        full = sheds_lane(lane, self._waiting, self._bounds)
        if full is None:
            return True
        bound = self._bounds[full]
        assert bound is not None, "else it is not full"
        beyond = self._waiting[full] - bound
        message = (
            f"{self._waiting[full]:,} jobs wait in lane {LANES[full].value}, and from {bound:,} on lane "
            f"{job.address.lane.value} takes no more; try again later, or in a more urgent lane"
        )
        self._waiting[lane] = max(0, self._waiting[lane] - 1)
        self.by_lane += 1
        self._refusing.add(job, refusals.shed(message, self._retry_seconds(beyond)))
        return False

    def _retry_seconds(self, beyond: int) -> float:
        pace = self._drain.per_second
        seconds = beyond / pace if pace else USUAL_RETRY_SECONDS
        return min(max(seconds, LEAST_RETRY_SECONDS), MOST_RETRY_SECONDS)

    async def _waits(self, lane: Lane) -> int:
        partitions = self._bus.settings.partitions
        names = [lane_consumer(lane, part) for part in (range(partitions) if partitions > 1 else (None,))]
        stream, waiting = self._bus.subjects.stream("jobs"), self._pool.count(LANES.index(lane))
        for name in names:
            info = await self._bus.api(f"CONSUMER.INFO.{stream}.{name}")
            waiting += int(info["num_pending"])
        return waiting

    # ---- by deadline

    def _may_end(self, job: TakenJob, group: str, deadline: float) -> bool:
        now = time.monotonic()
        self._armed_until = now + ARMED_SECONDS
        pace = self._paces.get(group)
        if pace is None:
            return True
        ahead = self._ahead_of(job, group, deadline, now)
        wait, left = pace.wait_seconds(ahead, now), deadline - time.time()
        if wait is None or not is_hopeless(wait, left):
            return True
        self.hopeless += 1
        message = (
            f"{ahead:,} jobs of its tenant that wait for the same adapter go first, at least {wait:,.1f} s "
            f"of work, and its deadline is in {max(0.0, left):,.1f} s"
        )
        self._refusing.add(job, refusals.shed(message, max(1.0, wait - left)), ResultState.EXPIRED)
        return False

    def _ahead_of(self, job: TakenJob, group: str, deadline: float, now: float) -> int:
        """Jobs that surely go first: those that become overdue before it does."""
        lane = LANES.index(job.address.lane)
        bounds = self._bounds_of(group, job.address.tenant, lane, now)
        policy = self._policy
        overdue = min(policy.late_at(job.enqueued_at, lane), deadline - policy.service_seconds)
        return bisect_right(bounds, overdue)

    def _bounds_of(self, group: str, tenant: str, lane: int, now: float) -> list[float]:
        key = (group, tenant, lane)
        known = self._ahead.get(key)
        if known is not None and now - known[0] < COUNT_SECONDS:
            return known[1]
        if len(self._ahead) > MOST_COUNTS:
            self._ahead.clear()
        queue = self._pool.queues.get((group, lane), ())
        bounds = sorted(self._policy.bound(waiting) for waiting in queue if waiting.tenant == tenant)
        self._ahead[key] = (now, bounds)
        return bounds
