"""The other workers, as their adverts show them: who gets a job when no dispatcher decides."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.assignment import AssignedJob, Assignment, AssignmentReply
from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
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
        """Workers that may hold a job, this one included."""
        return [
            self._me,
            *(name for name, one in self._adverts.items() if one.load.holding and name != self._me),
        ]

    def in_order(self, record: AdapterRecord | None, limit: Limit) -> Sequence[WorkerAdvert | None]:
        """Whom to offer a job, the best first; None is this worker. A record of None is the base model.

        Who holds the adapter in a slot comes first, this worker before others; then this worker; then whoever
        may serve it, by room.
        """
        digest, base_digest = (record.digest, record.base_digest) if record is not None else (None, None)
        named = self._within(limit)
        others = sorted(
            (advert for advert in named if self._may_serve(advert, digest, base_digest)),
            key=lambda advert: (-self._room[advert.worker], advert.worker),
        )
        warm = [advert for advert in others if digest is not None and _holds(advert, digest)]
        me = self._adverts.get(self._me)
        warm_here = digest is None or (me is not None and _holds(me, digest))
        cold = [advert for advert in others if advert not in warm]
        if me is not None and me not in named:
            return [*warm, *cold][:MOST_ASKED]
        order = [None, *warm, *cold] if warm_here and self._has_room() else [*warm, None, *cold]
        asked = order[: MOST_ASKED + 1]
        return asked if None in asked else [*asked[:-1], None]

    def _within(self, limit: Limit) -> list[WorkerAdvert]:
        """Those that it names, or all where it names nobody that lives, and does not insist."""
        named = [advert for advert in self._adverts.values() if limit.names(advert)]
        return named if named or limit.only else list(self._adverts.values())

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

    def _may_serve(self, advert: WorkerAdvert, digest: str | None, base_digest: str | None) -> bool:
        if advert.worker == self._me or advert.load.draining or self._room[advert.worker] <= 0:
            return False
        if advert.dedicated is not None and advert.dedicated != digest:
            return False
        return base_digest is None or base_digest == advert.base_digest


def _holds(advert: WorkerAdvert, digest: str) -> bool:
    return advert.dedicated == digest or any(slot.digest == digest for slot in advert.slots)
