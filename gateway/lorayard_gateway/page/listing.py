"""`/ui/api/jobs`: jobs as they lie in the streams, a page at a time; never what they ask or answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from datetime import datetime
from typing import Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from lorayard_gateway.gateway import Gateway
from lorayard_gateway.page.replies import page_reply
from lorayard_gateway.page.viewer import Viewer
from lorayard_gateway.queries import Query, read_query
from lorayard_schemas import headers
from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.job import JobStub, Lane
from lorayard_schemas.names import split_version, subject_token
from lorayard_schemas.result import JobResult
from lorayard_schemas.subjects import BadSubjectError
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.scanning import Lying, last_sequence, walk

LOOKED_AT = 20_000
"""Messages for one page of a list: a filter that fits nothing ends there."""

ENDED_LOOKED_AT = 5_000
"""Of results the newest."""

Row = dict[str, Any]


class JobsQuery(Query):
    """Which jobs."""

    state: str = Field(default="waiting", pattern="^(waiting|delayed|ended)$")
    tenant: str = ""
    lane: Lane | None = None
    adapter: str = ""
    """A name (any version), or `name@version`."""
    limit: int = Field(default=500, ge=1, le=2000)


async def list_jobs(gateway: Gateway, request: Request, viewer: Viewer) -> Response:
    """Jobs that have no result yet, those that wait for their time, or those that ended last.

    Raises:
        ApiError: they are another tenant's.
    """
    query = read_query(JobsQuery, request.query_params)
    if query.tenant:
        viewer.check_tenant(query.tenant)
    gateway.check_bus()
    tenant = query.tenant or viewer.scope
    match query.state:
        case "ended":
            rows, more = await _ended(gateway.bus, query, tenant)
        case "delayed":
            rows, more = await _delayed(gateway.bus, query, tenant)
        case _:
            rows, more = await _waiting(gateway.bus, query, tenant)
    return page_reply({"jobs": rows, "more": more})


async def _waiting(bus: Bus, query: JobsQuery, tenant: str | None) -> tuple[list[Row], bool]:
    """The oldest first; those that workers hold among them."""
    whose, lane = _token(tenant), query.lane or "*"
    rows: list[Row] = []
    for kind, pattern in (("jobs", f"jobs.{lane}.{whose}.>"), ("delayed", f"due.{lane}.{whose}.>")):
        pages = walk(bus, bus.subjects.stream(kind), f"{bus.subjects.prefix}.{pattern}")
        if await _take(pages, rows, query, lambda lying: _job(bus, lying)):
            return rows, True
    return rows, False


async def _delayed(bus: Bus, query: JobsQuery, tenant: str | None) -> tuple[list[Row], bool]:
    pattern = f"{bus.subjects.prefix}.delayed.{_token(tenant)}.*"
    rows: list[Row] = []
    pages = walk(bus, bus.subjects.stream("delayed"), pattern)
    more = await _take(pages, rows, query, lambda lying: _scheduled(bus, lying))
    return sorted(rows, key=lambda row: row["at"]), more


async def _ended(bus: Bus, query: JobsQuery, tenant: str | None) -> tuple[list[Row], bool]:
    """The newest first, of the last some thousand results of all tenants."""
    stream = bus.subjects.stream("results")
    last = await last_sequence(bus, stream)
    pattern = f"{bus.subjects.prefix}.results.{_token(tenant)}.*"
    rows: list[Row] = []
    pages = walk(bus, stream, pattern, after=max(0, last - ENDED_LOOKED_AT), until=last)
    unbound = query.model_copy(update={"limit": ENDED_LOOKED_AT})
    await _take(pages, rows, unbound, _result)
    return rows[: -query.limit - 1 : -1], len(rows) > query.limit


async def _take(
    pages: AsyncGenerator[list[Lying]], rows: list[Row], query: JobsQuery, read: Callable[[Lying], Row]
) -> bool:
    """Read until there are enough; whether there may be more."""
    seen = 0
    async with aclosing(pages):
        async for page in pages:
            for lying in page:
                with suppress(BadSubjectError, MalformedMessageError, ValueError, KeyError):
                    row = read(lying)
                    if _fits(row, query):
                        rows.append(row)
                if len(rows) >= query.limit:
                    return True
            seen += len(page)
            if seen >= LOOKED_AT:
                return True
    return False


def _job(bus: Bus, lying: Lying) -> Row:
    address = bus.subjects.parse_job(lying.subject)
    attempt = lying.headers.get(headers.ATTEMPT, "1")
    return {
        "job": decode(JobStub, lying.body).id,
        "tenant": address.tenant,
        "lane": address.lane,
        "adapter": address.adapter,
        "at": _stored_at(lying),
        "attempt": int(attempt) if attempt.isdecimal() else 1,
    }


def _scheduled(bus: Bus, lying: Lying) -> Row:
    address = bus.subjects.parse_job(lying.headers[headers.SCHEDULE_TARGET])
    at = datetime.fromisoformat(lying.headers[headers.SCHEDULE].removeprefix("@at ").strip())
    return {
        "job": lying.subject.rpartition(".")[2],
        "tenant": address.tenant,
        "lane": address.lane,
        "adapter": address.adapter,
        "at": at.timestamp(),
        "attempt": int(lying.headers.get(headers.ATTEMPT, "1")),
    }


def _result(lying: Lying) -> Row:
    result = decode(JobResult, lying.body)
    maker = result.maker
    adapter = None if maker is None or maker.adapter is None else f"{maker.adapter}@{maker.version}"
    return {
        "job": result.job,
        "tenant": result.tenant,
        "lane": None,
        "adapter": adapter,
        "at": result.finished_at,
        "attempt": result.attempt,
        "state": result.state,
        "code": result.error.code if result.error is not None else "",
        "worker": maker.worker if maker is not None else None,
        "took_ms": round(result.timings.waited_ms + result.timings.total_ms, 1),
    }


def _fits(row: Row, query: JobsQuery) -> bool:
    if query.lane is not None and row["lane"] not in (None, query.lane):
        return False
    named = row["adapter"] or ""
    return not query.adapter or query.adapter in (named, split_version(named)[0])


def _token(tenant: str | None) -> str:
    return "*" if tenant is None else subject_token(tenant)


def _stored_at(lying: Lying) -> float:
    return datetime.fromisoformat(lying.headers["Nats-Time-Stamp"]).timestamp()
