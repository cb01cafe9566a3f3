"""The other workers, as their adverts show them: who gets a job when no dispatcher decides."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.assignment import AssignedJob, Assignment, AssignmentReply
from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_shared.jobs.resolve import Resolution
from lorayard_workers.service.emergency_limits import Limit

MOST_ASKED = 3
"""Workers that a job is offered to in a row; then its lease runs out, and somebody else pulls it."""


class Peers:
    """Adverts by worker, this one's included, and the order in which they are offered a job."""

    def __init__(self, me: str, *, has_room: Callable[[], bool]) -> None:
        self._me = me
        self._has_room = has_room
        self._adverts: dict[str, WorkerAdvert] = {}
        self._room: dict[str, int] = {}
        self._numbers = itertools.count(1)

    def forget(self) -> None:
        """Nothing is known of anybody."""
        self._adverts.clear()
        self._room.clear()

    def on_change(self, key: str, value: bytes | None) -> None:
        """A change in the bucket of workers; what cannot be believed counts as absent."""
        self._adverts.pop(key, None)
        self._room.pop(key, None)
        if value is None:
            return
        try:
            advert = decode(WorkerAdvert, value)
        except MalformedMessageError:
            return
        if advert.worker == key:
            self._adverts[key] = advert
            self._room[key] = advert.load.room

    @property
    def holders(self) -> Sequence[str]:
        """Workers that may hold a job, this one included: adverts are too old to tell."""
        return [self._me, *(name for name in self._adverts if name != self._me)]

    def in_order(self, found: Resolution, limits: Sequence[Limit] = ()) -> Sequence[WorkerAdvert | None]:
        """Whom to offer a job, the best first; None is this worker. Only who is within all `limits`, and can
        put a composition together, is asked.

        Who holds the adapter in a slot comes first, this worker before others; then this worker; then whoever
        may serve it, by room.
        """
        named = [advert for advert in self._within(limits) if _composes(advert, found)]
        needs = found.in_slots
        others = sorted(
            (advert for advert in named if self._may_serve(advert, found)),
            key=lambda advert: (-self._room[advert.worker], advert.worker),
        )
        warm = [advert for advert in others if needs and _holds(advert, needs)]
        me = self._adverts.get(self._me)
        warm_here = not needs or (me is not None and _holds(me, needs))
        cold = [advert for advert in others if advert not in warm]
        if me is not None and me not in named:
            return [*warm, *cold][:MOST_ASKED]
        order = [None, *warm, *cold] if warm_here and self._has_room() else [*warm, None, *cold]
        asked = order[: MOST_ASKED + 1]
        return asked if None in asked else [*asked[:-1], None]

    def count(self, thing: str) -> int:
        """Jobs of something capped that the others say they hold."""
        others = (advert for advert in self._adverts.values() if advert.worker != self._me)
        return sum(advert.load.counted.get(thing, 0) for advert in others)

    def _within(self, limits: Sequence[Limit]) -> list[WorkerAdvert]:
        """Those that all of them name; one that names nobody that lives, and does not insist, names all."""
        within = list(self._adverts.values())
        for limit in limits:
            named = [advert for advert in self._adverts.values() if limit.names(advert)]
            if named or limit.only:
                within = [advert for advert in within if advert in named]
        return within

    def assignment(self, worker: WorkerAdvert, job: AssignedJob) -> Assignment:
        """One job for one of them, as from a dispatcher."""
        self._room[worker.worker] = max(0, self._room.get(worker.worker, 0) - 1)
        return Assignment(
            dispatcher=f"emergency-{self._me}",
            worker=worker.worker,
            epoch=worker.epoch,
            number=next(self._numbers),
            load_subject="",
            jobs=(job,),
        )

    def hear(self, worker: WorkerAdvert, reply: AssignmentReply) -> None:
        """What it says of its room."""
        self._room[worker.worker] = reply.load.room

    def _may_serve(self, advert: WorkerAdvert, found: Resolution) -> bool:
        if advert.worker == self._me or self._room[advert.worker] <= 0:
            return False
        if advert.load.draining or advert.load.paused:
            return False
        if advert.dedicated is not None and advert.dedicated != found.made_of:
            return False
        return found.base_digest in (None, advert.base_digest)


def _holds(advert: WorkerAdvert, digests: Sequence[str]) -> bool:
    here = {advert.dedicated, *(slot.digest for slot in advert.slots)}
    return here.issuperset(digests)


def _composes(advert: WorkerAdvert, found: Resolution) -> bool:
    made = found.composition
    return made is None or (advert.composes and made.slots <= advert.slot_count)
