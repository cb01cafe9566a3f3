"""`/ui/api/job`: all that is known of one job, in the words of `lorayard explain`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from lorayard.job_ids import check_job_id
from lorayard.status import read_status
from lorayard_gateway.gateway import Gateway
from lorayard_gateway.page.errors import texts_refused
from lorayard_gateway.page.replies import page_reply
from lorayard_gateway.page.viewer import Viewer
from lorayard_gateway.queries import Query, read_query
from lorayard_schemas.audit import DecisionRecord
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.job import Job
from lorayard_schemas.names import Tenant, subject_token
from lorayard_schemas.plain_job import read_job
from lorayard_schemas.result import JobResult
from lorayard_shared.bus.payloads import PayloadStore
from lorayard_shared.bus.scanning import walk
from lorayard_shared.explaining.evidence import Evidence, JobState
from lorayard_shared.explaining.gather import gather
from lorayard_shared.explaining.timeline import failed_attempts, timeline
from lorayard_shared.logs import Event

Told = dict[str, Any]

SHOWN_CHARACTERS = 20_000
"""Of a prompt or an answer: more is no help on a page."""

LOOKED_AT = 20_000
"""Jobs of its tenant, for one whose prompt is asked for."""


class JobQuery(Query):
    """Which one."""

    tenant: Tenant
    job: str


async def show_job(gateway: Gateway, request: Request, viewer: Viewer) -> Response:
    """Its status, timeline, attempts and decision records.

    Raises:
        ApiError: it is another tenant's.
    """
    query = _query(request, viewer)
    found = await look(gateway, query.tenant, query.job)
    return page_reply(told_of(found))


async def show_texts(gateway: Gateway, request: Request, viewer: Viewer) -> Response:
    """What it asks and what was answered, for who may read that.

    Raises:
        ApiError: this viewer may not, or it is another tenant's.
    """
    query = _query(request, viewer)
    if not viewer.may_read_texts:
        raise texts_refused()
    read = {"tenant": query.tenant, "job": query.job}
    gateway.log.info(Event.PAGE_ACTED, by=viewer.name, deed="texts", done="shown", **read)
    found = await look(gateway, query.tenant, query.job)
    job = await _lying(gateway, query.tenant, query.job) if found.state is not JobState.FINISHED else None
    answer = None if found.result is None else await _answer(gateway, found.result)
    return page_reply({"prompt": None if job is None else _prompt(job), "answer": answer})


async def look(gateway: Gateway, tenant: str, job: str) -> Evidence:
    """As `lorayard explain` looks."""
    client = await gateway.client(tenant)
    workers = frozenset(advert.worker for advert in await client.workers())
    return await gather(gateway.bus, tenant, job, workers)


def told_of(found: Evidence) -> Told:
    """Everything of a job but its texts."""
    status = asdict(read_status(found))
    return {
        "job": found.job,
        "tenant": found.tenant,
        "known": found.state is not JobState.UNKNOWN,
        "at": found.now,
        "status": status,
        "steps": [asdict(step) for step in timeline(found)],
        "attempts": [one.model_dump(mode="json") for one in failed_attempts(found)],
        "decisions": [
            one.model_dump(mode="json", exclude={"v"})
            for one in found.records
            if isinstance(one, DecisionRecord)
        ],
        "result": None if found.result is None else _result(found.result),
    }


def _result(result: JobResult) -> Told:
    """Never its text."""
    return result.model_dump(
        mode="json",
        include={
            "state",
            "finish_reason",
            "error",
            "maker",
            "usage",
            "timings",
            "attempt",
            "correlation_id",
            "trace_id",
            "finished_at",
        },
    )


def _query(request: Request, viewer: Viewer) -> JobQuery:
    query = read_query(JobQuery, request.query_params)
    viewer.check_tenant(query.tenant)
    return query.model_copy(update={"job": check_job_id(query.job)})


async def _lying(gateway: Gateway, tenant: str, job: str) -> Job | None:
    """The job itself, while it has no result."""
    bus, token, named = gateway.bus, subject_token(tenant), job.encode()
    for kind, pattern in (
        ("delayed", f"delayed.{token}.{job}"),
        ("jobs", f"jobs.*.{token}.>"),
        ("delayed", f"due.*.{token}.>"),
    ):
        seen = 0
        async for page in walk(bus, bus.subjects.stream(kind), f"{bus.subjects.prefix}.{pattern}"):
            for lying in page:
                # A job costs a third of a millisecond to read: only one that names the id is.
                if named in lying.body and (found := _read(lying.body)) is not None and found.id == job:
                    return found
            seen += len(page)
            if seen >= LOOKED_AT:
                break
    return None


def _read(body: bytes) -> Job | None:
    try:
        return read_job(body)
    except MalformedMessageError:
        return None


def _prompt(job: Job) -> str:
    if job.prompt_ref is not None:
        return f"[{job.prompt_ref.size_bytes} bytes, kept by reference]"
    if job.messages:
        text = "\n\n".join(f"{turn.role}: {turn.content}" for turn in job.messages)
    else:
        text = job.prompt or ""
    return _cut(text)


async def _answer(gateway: Gateway, result: JobResult) -> str | None:
    if result.text_ref is not None:
        return _cut(await PayloadStore(gateway.bus).get(result.text_ref))
    return None if result.text is None else _cut(result.text)


def _cut(text: str) -> str:
    more = len(text) - SHOWN_CHARACTERS
    return text if more <= 0 else f"{text[:SHOWN_CHARACTERS]}\n[{more} more characters]"
