"""`POST /ui/api/act`: do what an operator has confirmed, in that operator's name."""

from __future__ import annotations

from typing import assert_never

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from lorayard import CancelOutcome, CancelQuery, Client, InvalidRequestError, RedriveOutcome
from lorayard.openai_shapes import BodyError
from lorayard_gateway.gateway import Gateway
from lorayard_gateway.page.deeds import (
    DEEDS,
    Cancel,
    CancelMatching,
    Deed,
    Lift,
    Pause,
    Promote,
    Redrive,
    RedriveMatching,
    Resume,
    Rollback,
    Strike,
)
from lorayard_gateway.page.errors import nothing_meant
from lorayard_gateway.page.letters import dead_query
from lorayard_gateway.page.replies import page_reply
from lorayard_gateway.page.viewer import Viewer
from lorayard_schemas.control import label_of
from lorayard_schemas.reasons import plain_reason
from lorayard_shared.logs import Event
from lorayard_shared.value import value

PRELOAD_SECONDS = 20.0
"""Somebody waits before a page."""


@value
class Done:
    """What came of it."""

    text: str
    count: int = 1
    """Things that it was done to, or would be."""
    failed: int = 0


async def act(gateway: Gateway, request: Request, viewer: Viewer) -> Response:
    """Do one deed.

    Raises:
        ApiError: this viewer may not.
        BodyError: it cannot be what is meant.
    """
    viewer.check_acting()
    deed = _deed(await gateway.bodies.json(request))
    client = await gateway.operator(viewer.name, viewer.tenant)
    done = await _done(gateway, client, deed)
    if not getattr(deed, "count_only", False):
        gateway.log.info(
            Event.PAGE_ACTED,
            by=viewer.name,
            done=done.text,
            **deed.model_dump(mode="json", exclude_none=True),
        )
    return page_reply({"text": done.text, "count": done.count, "failed": done.failed})


def _deed(body: object) -> Deed:
    try:
        return DEEDS.validate_python(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"][1:]) or "deed"
        raise BodyError(field=field, reason=plain_reason(first)) from error


async def _done(gateway: Gateway, client: Client, deed: Deed) -> Done:
    match deed:
        case Cancel():
            return await _cancel(gateway, deed)
        case CancelMatching():
            return await _cancel_matching(gateway, client, deed)
        case Redrive():
            return await _redrive(client, deed)
        case RedriveMatching():
            return await _redrive_matching(client, deed)
        case Pause() | Resume():
            return await _control(client, deed)
        case Strike() | Lift():
            return await _strike(client, deed)
        case Promote() | Rollback():
            return await _alias(client, deed)
        case _:
            assert_never(deed)


async def _cancel(gateway: Gateway, deed: Cancel) -> Done:
    client = await gateway.client(deed.tenant)
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


async def _cancel_matching(gateway: Gateway, client: Client, deed: CancelMatching) -> Done:
    if all(one is None for one in (deed.tenant, deed.lane, deed.adapter, deed.older_than_seconds)):
        raise nothing_meant()
    query = CancelQuery(adapter=deed.adapter, lane=deed.lane, older_than_seconds=deed.older_than_seconds)
    tenants = [deed.tenant] if deed.tenant is not None else await _tenants(client)
    count = failed = 0
    for tenant in tenants:
        if count + failed >= deed.most:
            break
        of_tenant = await gateway.client(tenant)
        report = await of_tenant.cancel_where(query, most=deed.most - count - failed, dry_run=deed.count_only)
        failed += len(report.errors)
        count += len(report.outcomes) - len(report.errors) + (report.beyond if deed.count_only else 0)
    if deed.count_only:
        return Done(text=f"{count} jobs fit", count=count)
    return Done(text=f"{count} jobs cancelled{_but(failed)}", count=count, failed=failed)


async def _tenants(client: Client) -> list[str]:
    """Those that have unfinished jobs."""
    depth, scheduled = await client.queue_depth(), await client.scheduled(all_tenants=True)
    return sorted({one.tenant for one in depth.unfinished} | {one.address.tenant for one in scheduled})


async def _redrive(client: Client, deed: Redrive) -> Done:
    report = await client.dead.redrive(deed.number)
    if report.outcome in (RedriveOutcome.REFUSED, RedriveOutcome.FAILED):
        raise InvalidRequestError(field="number", reason=report.reason or report.outcome)
    now = f"queued again as {report.new_job}" if report.new_job is not None else report.reason
    return Done(text=f"letter {deed.number}: {now}")


async def _redrive_matching(client: Client, deed: RedriveMatching) -> Done:
    query = dead_query(deed.tenant, deed.adapter, deed.code, limit=deed.most)
    count = failed = 0
    if deed.count_only:
        async for _ in client.dead.all(**query):
            count += 1
        return Done(text=f"{count} dead letters fit", count=count)
    async for report in client.dead.redrive_all(**query):
        if report.outcome in (RedriveOutcome.REFUSED, RedriveOutcome.FAILED):
            failed += 1
        else:
            count += 1
    return Done(text=f"{count} jobs queued again{_but(failed)}", count=count, failed=failed)


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


def _but(failed: int) -> str:
    return f", {failed} could not be" if failed else ""
