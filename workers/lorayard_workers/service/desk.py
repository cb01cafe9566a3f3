"""What a worker answers on the bus: assignments and orders, as a NATS micro service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import nats.micro
import structlog
from nats.micro.request import Request
from nats.micro.service import EndpointConfig, Service, ServiceConfig

from lorayard_schemas.assignment import (
    AssignedJob,
    Assignment,
    AssignmentReply,
    CancelJob,
    CancelOutcome,
    CancelReply,
    Refusal,
    RefusalReason,
)
from lorayard_schemas.cancel_many import CANCEL_MANY, CancelMany, CancelManyReply
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.give_back import GIVE_BACK, GiveBack, GiveBackReply
from lorayard_schemas.health import HealthReport
from lorayard_schemas.job import JobStub
from lorayard_schemas.order import AdapterOrder, OrderReply, OrderVerb
from lorayard_schemas.subjects import BadSubjectError
from lorayard_schemas.validation import VALIDATE
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.service import read_request
from lorayard_shared.logs import Event
from lorayard_workers.service.execution import Execution
from lorayard_workers.service.held_jobs import HeldJob, HeldJobs, adapters_of
from lorayard_workers.service.orders import Orders
from lorayard_workers.service.presence import Presence
from lorayard_workers.service.returns import Returns
from lorayard_workers.service.shelf import Shelf
from lorayard_workers.service.validation import Validation

SERVICE_VERSION = "1.0.0"

Handler = Callable[[Request], Awaitable[None]]


class Desk:
    """Accepts or refuses, job by job. A dispatcher's wrong view costs a message, never a job."""

    def __init__(
        self,
        bus: Bus,
        execution: Execution,
        held: HeldJobs,
        presence: Presence,
        orders: Orders,
        *,
        returns: Returns,
        shelf: Shelf,
        composes: Callable[[], bool],
        validation: Validation,
        is_held: Callable[[HeldJob], bool],
    ) -> None:
        """`is_held`: whether somebody keeps a job from starting."""
        self.missing: Callable[[], tuple[str, ...]] = tuple
        """What keeps the worker from its work."""
        self._bus = bus
        self._execution = execution
        self._held = held
        self._presence = presence
        self._orders = orders
        self._returns = returns
        self._shelf = shelf
        self._composes = composes
        self._validation = validation
        self._is_held = is_held
        self._log = structlog.get_logger().bind(worker=presence.worker)

    async def serve(self) -> Service:
        """Start answering."""
        service = await nats.micro.add_service(
            self._bus.nc,
            ServiceConfig(
                name="lorayard-worker",
                version=SERVICE_VERSION,
                description="Runs jobs of many LoRA adapters over one base model",
                metadata={"worker": self._presence.worker},
            ),
        )
        subjects = self._bus.subjects
        name = self._presence.worker
        await service.add_endpoint(
            EndpointConfig(name="assign", subject=subjects.assign(name), handler=self.assign)
        )
        handlers: dict[str, Handler] = {
            "cancel": self.cancel,
            CANCEL_MANY: self.cancel_many,
            GIVE_BACK: self.give_back,
            VALIDATE: self._validation.asked,
            "health": self.health,
            **{verb: partial(self.order, verb) for verb in OrderVerb},
        }
        for verb, handler in handlers.items():
            await service.add_endpoint(
                EndpointConfig(name=verb, subject=subjects.control(name, verb), handler=handler)
            )
        return service

    async def assign(self, request: Request) -> None:
        """Take jobs with their leases."""
        assignment = await read_request(Assignment, request)
        if assignment is None:
            return
        self._presence.saw(assignment)
        await self._shelf.look_up(ref for job in assignment.jobs for ref in adapters_of(job))
        refused = self._reason_against_all(assignment)
        serves_only = self._orders.serves_only
        refusals = tuple(
            refusal
            for job in assignment.jobs
            if (refusal := self._take(job, refused or self._reason_against(job, serves_only))) is not None
        )
        await request.respond(encode(AssignmentReply(refusals=refusals, load=self._presence.load())))
        self._presence.answered(assignment.dispatcher)

    async def health(self, request: Request) -> None:
        """Whether it does its work."""
        missing = self.missing()
        told = HealthReport(process=self._presence.worker, ready=not missing, missing=missing)
        await request.respond(encode(told))

    async def cancel(self, request: Request) -> None:
        """End a job if it is held here."""
        wish = await read_request(CancelJob, request)
        if wish is None:
            return
        here = self._execution.cancel(wish.tenant, wish.job)
        outcome = CancelOutcome.CANCELLED if here else CancelOutcome.NOT_HERE
        await request.respond(encode(CancelReply(outcome=outcome)))

    async def cancel_many(self, request: Request) -> None:
        """End those that are held here; the others are not told of."""
        order = await read_request(CancelMany, request)
        if order is None:
            return
        meant, tenant = order.ids, order.tenant
        here = {held.job for held in self._held if held.job in meant and held.address.tenant == tenant}
        ended = [job for job in here if self._execution.cancel(tenant, job)]
        await request.respond(encode(CancelManyReply(outcomes=dict.fromkeys(ended, CancelOutcome.CANCELLED))))

    async def give_back(self, request: Request) -> None:
        """Begin some jobs no more: what led them here leads elsewhere."""
        order = await read_request(GiveBack, request)
        if order is None:
            return
        await request.respond(encode(GiveBackReply(asked=self.withdraw(order))))

    async def order(self, verb: OrderVerb, request: Request) -> None:
        """Follow an order about adapters, or say for each why not."""
        order = await read_request(AdapterOrder, request)
        if order is None:
            return
        await self._shelf.hear_of(order.digests)
        reply = OrderReply(
            worker=self._presence.worker,
            epoch=self._presence.epoch,
            sequence=self._presence.sequence,
            answers=self._orders.follow(verb, order),
        )
        await request.respond(encode(reply))
        self._presence.changed()

    def withdraw(self, order: GiveBack) -> int:
        """Begin none of these jobs any more; how many of them are held."""
        return self._returns.withdraw(order)

    def take(self, assigned: AssignedJob) -> bool:
        """Take a job that this worker has pulled by itself; whether it serves it and has room."""
        if not self._presence.takes_jobs:
            return False
        # Pulls of several lanes may bring a few too many.
        forced = assigned.model_copy(update={"force": True})
        return self._take(assigned, self._reason_against(forced, self._orders.serves_only)) is None

    def _take(self, assigned: AssignedJob, refused: RefusalReason | None) -> Refusal | None:
        if refused is not None:
            return Refusal(key=assigned.key, reason=refused, detail=self._missing(assigned) or "")
        try:
            address = self._bus.subjects.parse_job(assigned.subject)
            job = assigned.job or decode(JobStub, assigned.body).id
        except (BadSubjectError, MalformedMessageError) as error:
            # The dispatcher has read it before: this is a defect, and the lease brings it back.
            self._log.error(Event.MESSAGE_MALFORMED, key=assigned.key, reason=str(error))
            return Refusal(key=assigned.key, reason=RefusalReason.NO_ROOM, detail=str(error))
        known = self._held.get(assigned.key)
        if known is not None and (known.address.tenant, known.job) != (address.tenant, job):
            # Of a stream that was deleted and made anew: the end of the one would be that of the other.
            detail = f"job {known.job} of the same number in an older stream still runs"
            return Refusal(key=assigned.key, reason=RefusalReason.NO_ROOM, detail=detail)
        held = HeldJob(assigned=assigned, address=address, job=job)
        # Whoever has given it had not heard yet that it is paused: it goes straight back.
        held.withdrawn = self._is_held(held)
        self._execution.accept(held)
        return None

    def _reason_against_all(self, assignment: Assignment) -> RefusalReason | None:
        if assignment.epoch != self._presence.epoch:
            return RefusalReason.STALE_EPOCH
        return RefusalReason.DRAINING if not self._presence.is_well else None

    def _missing(self, assigned: AssignedJob) -> str | None:
        """The first adapter of the job that cannot be had here."""
        digests = (ref.digest for ref in adapters_of(assigned))
        return next((digest for digest in digests if not self._shelf.knows(digest)), None)

    def _reason_against(self, assigned: AssignedJob, serves_only: str | None) -> RefusalReason | None:
        if self._held.get(assigned.key) is not None:
            return None  # the same job under a new lease needs no room
        if not self._presence.takes_jobs:
            return RefusalReason.DRAINING
        digest = assigned.adapter.digest if assigned.adapter is not None else None
        if self._missing(assigned) is not None:
            return RefusalReason.UNKNOWN_ADAPTER
        if assigned.composition is not None and not self._composes():
            return RefusalReason.UNKNOWN_ADAPTER
        if serves_only is not None and serves_only != digest:
            return RefusalReason.DEDICATED
        return None if self._held.takes(forced=assigned.force) else RefusalReason.NO_ROOM
