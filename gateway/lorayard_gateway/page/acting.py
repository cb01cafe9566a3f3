"""`POST /ui/api/act`: do what an operator has confirmed, in that operator's name."""

from __future__ import annotations

from functools import partial
from typing import Any, assert_never

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from lorayard import CancelOutcome, Client, InvalidRequestError, LetterUnknownError
from lorayard.openai_shapes import BodyError
from lorayard_gateway.gateway import Gateway
from lorayard_gateway.page.deeds import (
    DEEDS,
    Cancel,
    CancelListed,
    CancelMatching,
    Cap,
    Deed,
    Lift,
    Pause,
    Pin,
    Promote,
    Redrive,
    RedriveListed,
    RedriveMatching,
    Resume,
    Rollback,
    Strike,
    Uncap,
)
from lorayard_gateway.page.errors import not_so
from lorayard_gateway.page.many import (
    UNDONE,
    ClientOf,
    Done,
    cancel_listed,
    cancel_matching,
    redrive_listed,
    redrive_matching,
)
from lorayard_gateway.page.replies import page_reply
from lorayard_gateway.page.viewer import Viewer
from lorayard_schemas.control import label_of
from lorayard_schemas.reasons import plain_reason
from lorayard_shared.logs import Event
from lorayard_shared.registry.errors import RegistryError

PRELOAD_SECONDS = 20.0
"""Somebody waits before a page."""

LOGGED = 20
"""Of the things that one deed names; `done` says how many it was done to."""


async def act(gateway: Gateway, request: Request, viewer: Viewer) -> Response:
    """Do one deed.

    Raises:
        ApiError: this viewer may not, or it is not so any more.
        BodyError: it cannot be what is meant.
    """
    viewer.check_acting()
    deed = _deed(await gateway.bodies.json(request))
    client_of = partial(gateway.operator, viewer.name)
    told = "failed"
    try:
        done = await _done(client_of, await client_of(viewer.tenant), deed)
        told = done.text
    except (RegistryError, LetterUnknownError) as error:
        raise not_so(error) from error
    finally:
        _keep(gateway, viewer, deed, told)
    return page_reply({"text": done.text, "count": done.count, "failed": done.failed})


def _keep(gateway: Gateway, viewer: Viewer, deed: Deed, done: str) -> None:
    """Log who did what; what has failed may be done in part."""
    if getattr(deed, "count_only", False):
        return
    gateway.log.info(Event.PAGE_ACTED, by=viewer.name, done=done, **_told(deed))


def _told(deed: Deed) -> dict[str, Any]:
    told = deed.model_dump(mode="json", exclude_none=True)
    return {name: field[:LOGGED] if isinstance(field, list) else field for name, field in told.items()}


def _deed(body: object) -> Deed:
    try:
        return DEEDS.validate_python(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"][1:]) or "deed"
        raise BodyError(field=field, reason=plain_reason(first)) from error


async def _done(client_of: ClientOf, client: Client, deed: Deed) -> Done:
    """`client` is the operator's own."""
    match deed:
        case Cancel():
            return await _cancel(client_of, deed)
        case CancelMatching():
            return await cancel_matching(client_of, client, deed)
        case CancelListed():
            return await cancel_listed(client_of, deed)
        case Redrive():
            return await _redrive(client, deed)
        case RedriveMatching():
            return await redrive_matching(client, deed)
        case RedriveListed():
            return await redrive_listed(client, deed)
        case Pause() | Resume():
            return await _control(client, deed)
        case Cap() | Uncap():
            return await _cap(client, deed)
        case Pin():
            return await _pin(client, deed)
        case Strike() | Lift():
            return await _strike(client, deed)
        case Promote() | Rollback():
            return await _alias(client, deed)
        case _:
            assert_never(deed)


async def _cancel(client_of: ClientOf, deed: Cancel) -> Done:
    client = await client_of(deed.tenant)
    report = await client.cancel_many([deed.job])
    (outcome,) = report.outcomes.values()
    if isinstance(outcome, Exception):
        raise outcome
    return Done(text=_CANCELLED[outcome].format(job=deed.job))


_CANCELLED = {
    CancelOutcome.CANCELLED: "job {job} is cancelled",
    CancelOutcome.FINISHED: "job {job} had ended before",
    CancelOutcome.UNKNOWN: "there is no job {job}",
    CancelOutcome.NOT_HERE: "there is no job {job} any more",
}


async def _redrive(client: Client, deed: Redrive) -> Done:
    report = await client.dead.redrive(deed.number)
    if report.outcome in UNDONE:
        raise InvalidRequestError(field="number", reason=report.reason or report.outcome)
    now = f"queued again as {report.new_job}" if report.new_job is not None else report.reason
    return Done(text=f"letter {deed.number}: {now}")


async def _control(client: Client, deed: Pause | Resume) -> Done:
    label = label_of(deed.kind, deed.name)
    match deed:
        case Resume():
            await client.control.resume(deed.kind, deed.name, reason=deed.reason)
            return Done(text=f"{label} is resumed")
        case Pause(deed="drain"):
            await client.control.begin_drain(deed.kind, deed.name, reason=deed.reason)
            return Done(text=f"{label} is being drained, and stays paused until it is resumed")
        case Pause():
            await client.control.pause(deed.kind, deed.name, reason=deed.reason, for_seconds=deed.for_seconds)
            return Done(text=f"{label} is paused")


async def _cap(client: Client, deed: Cap | Uncap) -> Done:
    label = label_of(deed.kind, deed.name)
    if isinstance(deed, Uncap):
        await client.control.uncap(deed.kind, deed.name, reason=deed.reason)
        return Done(text=f"{label} has no cap any more")
    cap = await client.control.cap(deed.kind, deed.name, deed.most, reason=deed.reason)
    return Done(text=f"{label} is capped at {cap.most}")


async def _pin(client: Client, deed: Pin) -> Done:
    reply = await client.place(deed.adapter, pin=deed.deed == "pin", reason=deed.reason)
    return Done(text="; ".join([f"{deed.adapter} is {deed.deed}ned", *reply.warnings]))


async def _strike(client: Client, deed: Strike | Lift) -> Done:
    if isinstance(deed, Lift):
        await client.strikes.lift(adapter=deed.adapter, tenant=deed.tenant, reason=deed.reason)
        return Done(text="the strike is lifted")
    report = await client.strikes.add(adapter=deed.adapter, tenant=deed.tenant, reason=deed.reason)
    hits = "" if report.registered else "; nothing of that name is registered"
    return Done(text=f"{report.strike.label} is struck{hits}")


async def _alias(client: Client, deed: Promote | Rollback) -> Done:
    if isinstance(deed, Rollback):
        record = await client.aliases.rollback(deed.alias, to=deed.to, reason=deed.reason)
        return Done(text=f"{deed.alias} is rolled back: {record.shares}")
    report = await client.aliases.promote(
        deed.alias, deed.version, preload_seconds=PRELOAD_SECONDS, reason=deed.reason
    )
    warned = f"; {'; '.join(report.warnings)}" if report.warnings else ""
    return Done(text=f"{deed.alias} is promoted: {report.record.shares}{warned}")
