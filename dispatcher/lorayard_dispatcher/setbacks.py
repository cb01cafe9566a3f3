"""What a wrong view costs: jobs that a worker would not take, or that it took and let go.

A wrong view costs a message or a load, never a job: a job goes to and fro only so often, and a worker that
contradicts itself rests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from lorayard_dispatcher.fleet import Fleet
from lorayard_dispatcher.interruptions import Interruptions, Noted
from lorayard_dispatcher.parked_job import ParkedJob
from lorayard_dispatcher.planning.blind import by_rendezvous
from lorayard_dispatcher.planning.policy import Policy
from lorayard_dispatcher.whereabouts import Whereabouts
from lorayard_schemas.assignment import RefusalReason
from lorayard_shared.jobs.taken_job import TakenJob


class Setbacks:
    """Says who gets such a job at once; None: it is planned anew."""

    def __init__(
        self,
        fleet: Fleet,
        whereabouts: Whereabouts,
        interruptions: Interruptions,
        *,
        write: Callable[[Sequence[Noted]], object],
    ) -> None:
        """`write` has other dispatchers know of deaths."""
        self._fleet = fleet
        self._whereabouts = whereabouts
        self.interruptions = interruptions
        self._write = write
        self.refused_for = Counter[str]()
        self.forced = 0
        self.lapsed = 0
        self.returned = 0

    def redelivered(self, job: TakenJob, now: float) -> str | None:
        """A job has come again: when a worker had accepted it, its lease ran out.

        A worker that says it still holds it, as after an outage of the bus, gets the new lease, so that it
        runs once. The second time it hangs, and others come first; who lets such a job go counts as dead
        for the job's own count. `now` is monotonic seconds.
        """
        key = job.key
        if noted := self.interruptions.came_again(job):
            self._write(noted)
        where = self._whereabouts.get(key)
        if where is None or where.worker not in self._fleet:
            return None
        if self._fleet.epoch(where.worker) != where.epoch:
            return None  # its death was counted
        if self._fleet.is_draining(where.worker):
            self._whereabouts.forget(key)
            return None  # it stops in order, and hands back what it cannot finish
        self.lapsed += 1
        if not where.again and self._fleet.holds(where.worker, key, now):
            return where.worker
        self._whereabouts.forget(key)
        holding = self._fleet.keys_at(where.worker)
        self._fleet.on_lapse(where.worker, key, now)
        self._write(self.interruptions.lapsed(where.worker, job, holding))
        return None

    def given_back(self, worker: str, keys: Iterable[str]) -> None:
        """A worker hands these back sound: when they come again, no lease has run out."""
        for key in keys:
            where = self._whereabouts.get(key)
            if where is not None and where.worker == worker:
                self._whereabouts.forget(key)
                self.returned += 1

    def refused(self, parked: ParkedJob, policy: Policy, now: float) -> str | None:
        """A job was refused, this time included: the home of its adapter, when views were wrong too often."""
        if not parked.forced:
            return None
        views = self._fleet.views(now, now)  # names and what fits: no times are read
        able = [view for view in views if parked.fits(view)]
        homes = by_rendezvous(parked.waiting.group, able, policy)
        self.forced += bool(homes)
        return homes[0].worker if homes else None

    def count(self, reason: RefusalReason) -> None:
        """A worker refused a job."""
        self.refused_for[reason] += 1
