"""Hand jobs to a worker by request, leases included (docs/architecture.md, Leases).

Whoever holds a job renews its lease: until the worker has accepted, that is this dispatcher; from then on it
is the worker. A request that was lost with the server is sent again, and the worker takes what it does not
have. One that nobody answered leaves it open who holds the job, so the dispatcher falls silent on it: the
server gives it out again unless the worker renews.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum

import msgpack
import nats.errors
import structlog
from nats.aio.msg import Msg

from lorayard_dispatcher.fleet import Fleet
from lorayard_dispatcher.held_job import HeldJob
from lorayard_dispatcher.parked_job import BYTES_A_TOKEN, ParkedJob
from lorayard_dispatcher.session import Session
from lorayard_dispatcher.whereabouts import Whereabouts
from lorayard_schemas.assignment import AssignmentReply, Refusal
from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.job import MAX_JOB_BYTES
from lorayard_shared.bus.connection import Bus
from lorayard_shared.lease import LeaseKeeper
from lorayard_shared.logs import Event

REQUEST_SECONDS = 5.0
"""A worker's loop never blocks, so an answer that takes longer is lost."""

RETURN_SECONDS = 3.0
"""As long after the server's return a worker may take to be back, too; one that is not is not there."""

RETURN_LOOK_SECONDS = 0.2

MAX_JOBS = 64
JOB_BYTES = 1024
"""Lease, adapter and the rest of one job's fields, generously; each part of a composition, and what rules
added or left out."""


class Fate(StrEnum):
    """What became of a hand-over."""

    ANSWERED = "answered"
    NOT_DELIVERED = "not_delivered"
    """Nobody listens there: the jobs are still ours."""
    UNKNOWN = "unknown"
    """No answer: the jobs may be there."""


class HandOver:
    """Sends assignments and keeps fleet and leases true to what came of them."""

    def __init__(self, bus: Bus, fleet: Fleet, leases: LeaseKeeper, dispatcher: str) -> None:
        self._bus = bus
        self._fleet = fleet
        self._leases = leases
        self._dispatcher = dispatcher
        self.whereabouts = Whereabouts()
        self.on_turn: Callable[[Session, str, float], None] = _forget
        """Told when a worker has accepted a turn of a session: which, where, and how long it is in tokens."""
        self._load_subject = bus.subjects.load(dispatcher)
        self._open = set[asyncio.Timeout]()
        """Requests under way: each ends as lost when the server is back."""
        bus.on_reconnect(self._ask_again)
        self._log = structlog.get_logger()

    def begin(self, worker: str, jobs: Sequence[ParkedJob]) -> int:
        """Lay the hand-over over the fleet view, in the same breath as the plan; returns its number."""
        return self._fleet.give(worker, [_held(parked) for parked in jobs])

    def lose(self, worker: str, number: int) -> None:
        """Nothing more is heard of a hand-over: the room that it took is free, as far as is known."""
        self._fleet.settle(worker, number, refused=None)

    async def send(
        self, worker: str, number: int, jobs: Sequence[ParkedJob]
    ) -> tuple[Fate, tuple[Refusal, ...]]:
        """Send one assignment. On `ANSWERED` the refusals come back and all other jobs are the worker's."""
        if worker not in self._fleet:
            return Fate.NOT_DELIVERED, ()
        epoch = self._fleet.epoch(worker)
        try:
            reply = await self._request(worker, epoch, number, jobs)
        except nats.errors.NoRespondersError:
            self._fleet.settle(worker, number, refused=None)
            self._fleet.on_unreachable(worker)
            return Fate.NOT_DELIVERED, ()
        except (nats.errors.Error, MalformedMessageError) as error:
            self._fleet.doubt(worker, number)
            self._fleet.on_unreachable(worker)
            self._fall_silent(worker, jobs, error)
            return Fate.UNKNOWN, ()
        refused = frozenset(refusal.key for refusal in reply.refusals)
        now = time.monotonic()
        self._fleet.on_load(reply.load, now)
        self._fleet.settle(worker, number, refused=refused)
        self._fleet.on_refusals(worker, frozenset(refusal.reason for refusal in reply.refusals), now)
        accepted = [parked for parked in jobs if parked.key not in refused]
        self.whereabouts.note((parked.key for parked in accepted), worker, epoch)
        for parked in accepted:
            self._leases.release(parked.taken.lease)
            parked.taken.drop_message()
            if parked.session is not None:
                self.on_turn(parked.session, worker, parked.taken.prompt_bytes / BYTES_A_TOKEN)
        return Fate.ANSWERED, reply.refusals

    async def _request(
        self, worker: str, epoch: int, number: int, jobs: Sequence[ParkedJob]
    ) -> AssignmentReply:
        now = time.time()
        assignment = {  # an `Assignment`
            "v": 1,
            "dispatcher": self._dispatcher,
            "worker": worker,
            "epoch": epoch,
            "number": number,
            "load_subject": self._load_subject,
            "jobs": [parked.assigned(now) for parked in jobs],
        }
        subject = self._bus.subjects.assign(worker)
        reply = await self._ask(subject, msgpack.packb(assignment))
        return decode(AssignmentReply, reply.data)

    async def _ask(self, subject: str, assignment: bytes) -> Msg:
        """Until somebody has answered, also over a restart of the server.

        A worker that has the jobs of an assignment already takes them once, so it may hear it twice.
        """
        loop, back_by = asyncio.get_running_loop(), -math.inf
        while True:
            lost = asyncio.timeout(None)
            try:
                async with lost:
                    self._open.add(lost)
                    try:
                        return await self._bus.nc.request(subject, assignment, timeout=REQUEST_SECONDS)
                    finally:
                        self._open.discard(lost)
            except nats.errors.NoRespondersError:
                if loop.time() > back_by:
                    raise
                await asyncio.sleep(RETURN_LOOK_SECONDS)
            except TimeoutError:
                if not lost.expired():
                    raise
                back_by = loop.time() + RETURN_SECONDS

    async def _ask_again(self) -> None:
        for lost in self._open:
            lost.reschedule(asyncio.get_running_loop().time())

    def _fall_silent(self, worker: str, jobs: Sequence[ParkedJob], error: Exception) -> None:
        for parked in jobs:
            self._leases.release(parked.taken.lease)
            parked.taken.drop_message()
        self._log.warning(
            Event.ASSIGNMENT_LOST, worker=worker, jobs=len(jobs), error=str(error) or type(error).__name__
        )


def _forget(_session: Session, _worker: str, _tokens: float) -> None:
    """Nobody keeps sessions."""


def _held(parked: ParkedJob) -> HeldJob:
    taken, made = parked.taken, parked.composition
    return HeldJob(
        key=parked.key,
        lease=taken.lease,
        group=parked.waiting.group,
        tenant=taken.address.tenant,
        job=taken.job,
        parts=made.applied.digests if made is not None and made.applied.summed else (),
        columns=(made.derived_columns or 0) if made is not None else 0,
        parked=parked,
    )


def _bytes(parked: ParkedJob) -> int:
    taken = parked.taken
    parts = 0 if parked.composition is None else len(parked.composition.records)
    told = 0 if parked.additions is None else len(parked.additions.by) + len(parked.additions.left_out)
    return len(taken.subject) + len(taken.body) + len(taken.history or "") + JOB_BYTES * (1 + parts + told)


def batches(jobs: Sequence[ParkedJob]) -> Iterator[list[ParkedJob]]:
    """Cut jobs for one worker into requests that fit a message."""
    batch: list[ParkedJob] = []
    size = 0
    for parked in jobs:
        bytes_ = _bytes(parked)
        if batch and (len(batch) >= MAX_JOBS or size + bytes_ > MAX_JOB_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(parked)
        size += bytes_
    if batch:
        yield batch
