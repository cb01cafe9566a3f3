"""What a dispatcher answers on the bus, as a NATS micro service: `nats micro ls` shows it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import nats.errors
import nats.js.errors
import nats.micro
from nats.micro.request import Request
from nats.micro.service import EndpointConfig, Service, ServiceConfig

from lorayard_dispatcher.cancels import CANCEL_PARKED, Cancels
from lorayard_dispatcher.dispatcher import Dispatcher
from lorayard_dispatcher.explain import explain_job
from lorayard_dispatcher.health import DispatcherHealth
from lorayard_dispatcher.limit_status import limit_status
from lorayard_dispatcher.own_desk import Handler, OwnReads, TenantWish, own_only
from lorayard_dispatcher.parked_groups import held_groups, parked_groups
from lorayard_dispatcher.placement_report import report
from lorayard_dispatcher.placing import place_adapter
from lorayard_dispatcher.seats import Seats
from lorayard_dispatcher.semantic_status import semantic_status
from lorayard_dispatcher.shared_status import SharedStatus
from lorayard_dispatcher.upkeep import Upkeep
from lorayard_schemas.assignment import CancelJob, CancelReply
from lorayard_schemas.cancel_many import CANCEL_MANY, CancelMany, CancelManyReply
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.explanation import ExplainJob
from lorayard_schemas.health import HealthReport
from lorayard_schemas.limit import AskLimits, LimitsReport
from lorayard_schemas.placement import AskPlacements, PlaceAdapter
from lorayard_schemas.status import DispatcherStatus
from lorayard_shared.bus.service import read_request
from lorayard_shared.jobs.cancelling_many import CANCEL_MANY_PARKED, Outcomes

EXPLAIN = "explain"
MOST_MISPLACED = 8
"""Adapters named in a status; `placements` tells of more."""
SERVICE_VERSION = "1.0.0"


async def serve(dispatcher: Dispatcher, seats: Seats, upkeep: Upkeep, health: DispatcherHealth) -> Service:
    """Start answering."""
    service = await nats.micro.add_service(
        dispatcher.bus.nc,
        ServiceConfig(
            name="lorayard-dispatcher",
            version=SERVICE_VERSION,
            description="Groups jobs by adapter and hands them to workers",
            metadata={"dispatcher": dispatcher.name},
        ),
    )
    desk = _Desk(dispatcher, seats, upkeep, health)
    for verb, handler in _verbs(desk):
        subject = dispatcher.bus.subjects.dispatcher(verb)
        await service.add_endpoint(EndpointConfig(name=verb, subject=subject, handler=handler))
    # And of this one alone: who stands by knows little of what waits.
    own = dispatcher.bus.subjects.dispatcher_status(dispatcher.name)
    await service.add_endpoint(EndpointConfig(name="own-status", subject=own, handler=desk.own_status))
    await service.add_endpoint(
        EndpointConfig(
            name="health",
            subject=dispatcher.bus.subjects.dispatcher_health(dispatcher.name),
            handler=partial(_health, dispatcher.name, health),
        )
    )
    # A queue group of its own, so that every dispatcher hears it: only one has the job.
    for verb, handler in (
        (CANCEL_PARKED, desk.cancel_parked),
        (CANCEL_MANY_PARKED, desk.cancel_many_parked),
        (EXPLAIN, desk.explain),
    ):
        alone = EndpointConfig(
            name=verb,
            subject=dispatcher.bus.subjects.dispatcher(verb),
            handler=handler,
            queue_group=uuid.uuid4().hex,
        )
        await service.add_endpoint(alone)
    await _serve_tenants(service, dispatcher, desk)
    return service


async def _serve_tenants(service: Service, dispatcher: Dispatcher, desk: _Desk) -> None:
    """The same for tenants in accounts of their own, who may ask about what is theirs."""
    own = f"{dispatcher.bus.subjects.prefix}.own.*"
    reads = OwnReads(dispatcher.bus, dispatcher.spawn)
    asked: tuple[tuple[str, TenantWish, Handler], ...] = (
        ("cancel", CancelJob, desk.cancel),
        (CANCEL_MANY, CancelMany, desk.cancel_many),
        ("limits", AskLimits, desk.limits),
    )
    ends = [(f"own-{verb}", f"{own}.ask.{verb}", own_only(kind, handler)) for verb, kind, handler in asked]
    ends += [("own-get", f"{own}.get.*", reads.get), ("own-info", f"{own}.info.*", reads.info)]
    for name, subject, handler in ends:
        await service.add_endpoint(EndpointConfig(name=name, subject=subject, handler=handler))
    explain = EndpointConfig(
        name=f"own-{EXPLAIN}",
        subject=f"{own}.ask.{EXPLAIN}",
        handler=own_only(ExplainJob, desk.explain),
        queue_group=uuid.uuid4().hex,
    )
    await service.add_endpoint(explain)


def _verbs(desk: _Desk) -> tuple[tuple[str, Callable[[Request], Awaitable[None]]], ...]:
    """What any one dispatcher answers for all."""
    return (
        ("cancel", desk.cancel),
        (CANCEL_MANY, desk.cancel_many),
        ("status", desk.status),
        ("limits", desk.limits),
        ("place", desk.place),
        ("placements", desk.placements),
    )


class _Desk:
    """Handlers of the endpoints."""

    def __init__(
        self, dispatcher: Dispatcher, seats: Seats, upkeep: Upkeep, health: DispatcherHealth
    ) -> None:
        self._dispatcher = dispatcher
        self._seats = seats
        self._upkeep = upkeep
        self._health = health
        self._shared = SharedStatus(self._made, health.faults)
        self._cancels = Cancels(
            dispatcher.bus,
            dispatcher.results,
            departures=dispatcher.departures,
            fleet=dispatcher.fleet,
            living=lambda: seats.living,
        )

    async def cancel(self, request: Request) -> None:
        """End a job: parked here, at a worker, or not yet seen by anyone."""
        wish = await read_request(CancelJob, request)
        if wish is None:
            return
        # As a task of its own: an endpoint takes one request at a time, and asking around takes a while.
        self._dispatcher.spawn(self._answer(request, wish), f"cancel-{wish.job}")

    async def _answer(self, request: Request, wish: CancelJob) -> None:
        await request.respond(encode(CancelReply(outcome=await self._cancels.one(wish))))

    async def cancel_parked(self, request: Request) -> None:
        """End a job that waits here, for a dispatcher that does not have it; silent when it is not here."""
        with suppress(MalformedMessageError):
            wish = decode(CancelJob, request.data)
            self._dispatcher.spawn(self._answer_parked(request, wish), f"cancel-parked-{wish.job}")

    async def _answer_parked(self, request: Request, wish: CancelJob) -> None:
        outcome = await self._cancels.parked(wish)
        if outcome is not None:
            await request.respond(encode(CancelReply(outcome=outcome)))
        else:
            # Whoever asks may stand by, and the job comes here.
            self._dispatcher.departures.remember(wish.tenant, wish.job)

    async def cancel_many(self, request: Request) -> None:
        """End many jobs of a tenant, wherever they are."""
        await self._end_many(request, self._cancels.many)

    async def cancel_many_parked(self, request: Request) -> None:
        """Those that wait here, for a dispatcher or a client that does not have them."""
        await self._end_many(request, self._cancels.parked_many)

    async def _end_many(self, request: Request, end: Callable[[CancelMany], Awaitable[Outcomes]]) -> None:
        order = await read_request(CancelMany, request)
        if order is None:
            return

        async def answer() -> None:
            await request.respond(encode(CancelManyReply(outcomes=await end(order))))

        self._dispatcher.spawn(answer(), "cancel-many")

    async def explain(self, request: Request) -> None:
        """What is known here of one job; a dispatcher that knows nothing of it says so."""
        wish = await read_request(ExplainJob, request)
        if wish is None:
            return
        await request.respond(encode(explain_job(self._dispatcher, wish)))

    async def place(self, request: Request) -> None:
        """Declare where an adapter shall be."""
        wish = await read_request(PlaceAdapter, request)
        if wish is None:
            return
        self._dispatcher.spawn(self._place(request, wish), "place")

    async def _place(self, request: Request, wish: PlaceAdapter) -> None:
        dispatcher = self._dispatcher
        try:
            reply = await place_adapter(
                dispatcher.bus,
                wish,
                registry=dispatcher.registry,
                keeping=dispatcher.keeping,
                catch_up=dispatcher.late_news.catch_up,
            )
        except (nats.errors.Error, nats.js.errors.Error, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            await request.respond_error(code="503", description=f"nothing was declared; try again: {reason}")
            return
        await request.respond(encode(reply))

    async def placements(self, request: Request) -> None:
        """Where adapters should be, and are."""
        wish = await read_request(AskPlacements, request) if request.data else AskPlacements()
        if wish is not None:
            self._dispatcher.spawn(self._report(request, wish), "placements")

    async def _report(self, request: Request, wish: AskPlacements) -> None:
        dispatcher = self._dispatcher
        told = report(dispatcher.name, dispatcher.keeping, dispatcher.registry, wish.adapter)
        if wish.adapter is not None and not told.adapters:  # it may have been registered just now
            await dispatcher.late_news.catch_up()
            told = report(dispatcher.name, dispatcher.keeping, dispatcher.registry, wish.adapter)
        with suppress(nats.errors.Error):  # whoever asked has gone
            await request.respond(encode(told))

    async def limits(self, request: Request) -> None:
        """What is used of limits."""
        wish = await read_request(AskLimits, request) if request.data else AskLimits()
        if wish is None:
            return
        dispatcher = self._dispatcher
        drain = dispatcher.limits.drain
        uses = dispatcher.limits.report(wish.tenant, wish.adapter)
        await request.respond(
            encode(
                LimitsReport(
                    dispatcher=dispatcher.name,
                    limits=uses,
                    drain_per_second=drain.per_second,
                    room_in_seconds=drain.room_in_seconds,
                )
            )
        )

    async def status(self, request: Request) -> None:
        """Counts and what waits."""
        told = self._made().model_copy(update={"faults": self._health.faults()})
        await request.respond(encode(told))

    async def own_status(self, request: Request) -> None:
        """The same, for those who look again and again: they share it."""
        await request.respond(self._shared.told())

    def _made(self) -> DispatcherStatus:
        return _status(self._dispatcher, self._seats, self._upkeep, time.time())


async def _health(name: str, health: DispatcherHealth, request: Request) -> None:
    missing = health.missing()
    await request.respond(encode(HealthReport(process=name, ready=not missing, missing=missing)))


def _status(dispatcher: Dispatcher, seats: Seats, upkeep: Upkeep, now: float) -> DispatcherStatus:
    placed = report(dispatcher.name, dispatcher.keeping, dispatcher.registry, None, most=MOST_MISPLACED)
    struck, paused, capped = dispatcher.unresolved.counts()
    return DispatcherStatus(
        dispatcher=dispatcher.name,
        started_at=dispatcher.started_at,
        seats=seats.held,
        dispatchers=seats.living,
        seats_elsewhere={
            str(partition): holder.dispatcher
            for partition, holder in sorted(seats.holders.items())
            if partition not in seats.held
        },
        parked=parked_groups(dispatcher, now),
        held=held_groups(dispatcher, now),
        struck=struck,
        paused=paused,
        capped=capped,
        handing_over=dispatcher.sending.under_way,
        workers=dispatcher.fleet.workers,
        taken=dispatcher.taken,
        handed_over=dispatcher.plans.handed_over,
        answered=dispatcher.answers.count,
        warm=dispatcher.plans.warm,
        cold=dispatcher.plans.cold,
        refused=dispatcher.sending.refused,
        refused_for=dict(dispatcher.setbacks.refused_for),
        forced=dispatcher.setbacks.forced,
        lapsed=dispatcher.setbacks.lapsed,
        blind=dispatcher.lookout.blind,
        stale=dispatcher.fleet.stale(time.monotonic())[0],
        unread_adverts=dispatcher.news.adverts.trouble,
        prefetches=dispatcher.orders.sent,
        prefetches_arrived=dispatcher.orders.arrived,
        prefetches_failed=dispatcher.orders.failed,
        loads_in_arrival_order=dispatcher.arrival_order.loads,
        placements=placed.total,
        placements_kept=placed.kept,
        misplaced=tuple(one.adapter for one in placed.adapters if not one.kept),
        sessions=dispatcher.sessions.count,
        session_turns_kept=dispatcher.sessions.kept,
        session_turns_moved=dispatcher.sessions.moved,
        sessions_failed=dispatcher.sessions.failed,
        **limit_status(dispatcher.limits, dispatcher.shedding),
        semantic=semantic_status(dispatcher),
        audit_lost=dispatcher.audit.lost,
        missing=upkeep.missing,
        failures=dispatcher.failures,
    )
