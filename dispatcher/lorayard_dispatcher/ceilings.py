"""How many jobs of an adapter, a tenant or a lane are at workers at once, where that is capped (E5).

A plan knows nothing of it: what it would give beyond a cap is put by, and comes back into the pool when
others of its kind have ended. Workers count for all dispatchers, so a restart of one forgets nothing; two
that are active at once may both give the last place away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from lorayard_dispatcher.fleet import Fleet
from lorayard_dispatcher.parked_job import ParkedJob
from lorayard_dispatcher.unresolved import Unresolved
from lorayard_schemas.assignment import AdapterRef
from lorayard_schemas.control import Cap
from lorayard_shared.jobs.controls import ControlBook
from lorayard_shared.jobs.taken_job import TakenJob


class Ceilings:
    """The caps of one dispatcher, and what of its own counts against them."""

    def __init__(
        self,
        controls: ControlBook,
        fleet: Fleet,
        unresolved: Unresolved,
        *,
        is_parked: Callable[[str], bool],
        retry: Callable[[Iterable[str]], None],
    ) -> None:
        """`is_parked`: whether a job (by key) is in the pool; `retry` has jobs looked at anew."""
        self._controls = controls
        self._fleet = fleet
        self._unresolved = unresolved
        self._is_parked = is_parked
        self._retry = retry
        self._given: dict[str, set[str]] = {}
        """Keys of the jobs that were given out from here, by what they count against."""
        self._let_in: dict[str, set[str]] = {}
        """Of those that were let into the pool."""

    def full(self, job: TakenJob, refs: Iterable[AdapterRef | None]) -> Cap | None:
        """A cap that leaves no place for a job."""
        caps = self._controls.caps(job.address, tuple(refs))
        return next((cap for cap in caps if self._free(cap) <= 0), None)

    def let_in(self, parked: ParkedJob) -> None:
        """It is in the pool now."""
        for cap in self._controls.caps(parked.taken.address, parked.counts_as):
            self._let_in.setdefault(cap.thing, set()).add(parked.key)

    def give(self, parked: ParkedJob) -> Cap | None:
        """Count a job that goes to a worker, unless a cap is reached: then it is returned."""
        caps = self._controls.caps(parked.taken.address, parked.counts_as)
        full = next((cap for cap in caps if self._free(cap) <= 0), None)
        if full is None:
            for cap in caps:
                self._given.setdefault(cap.thing, set()).add(parked.key)
        return full

    def look(self) -> None:
        """See what has ended, and let as many in as there are places for."""
        there = {held.key for _, held in self._fleet.handed()}
        for keys in self._given.values():
            keys &= there
        for thing in self._unresolved.capped:
            kept = self._let_in.setdefault(thing, set())
            kept.intersection_update([key for key in kept if self._is_parked(key)])
            cap = self._controls.cap_of(thing)
            free = 0 if cap is None else self._free(cap) - len(kept)
            if free > 0:
                self._retry(self._unresolved.first_capped(thing, free))

    def turn_over(self) -> None:
        """Now and then: what was let in and has found no worker hinders nobody else."""
        self._let_in.clear()

    def _free(self, cap: Cap) -> int:
        given = self._given.get(cap.thing, set())
        others = 0
        for load in self._fleet.loads():
            told = load.counted.get(cap.thing, 0)
            if told:
                others += max(0, told - len(given.intersection(load.holding)))
        return cap.most - len(given) - others
