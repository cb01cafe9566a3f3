"""End a job that nobody holds who can be asked: a dispatcher, a worker without one, or a client alone (E4).

Its one result is taken first, so that no later run can answer; then it is looked for, to say what was found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress

import nats.errors

from lorayard_schemas.assignment import CancelJob, CancelOutcome, CancelReply
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.job import JobStub
from lorayard_schemas.names import subject_token
from lorayard_schemas.trace_context import UNTRACED, trace_fields
from lorayard_shared.bus.connection import ApiError, Bus
from lorayard_shared.bus.result_store import Stored
from lorayard_shared.bus.scanning import PAGE_MESSAGES, scan

Store = Callable[[Mapping[str, str]], Awaitable[Stored]]

Known = Mapping[str, Mapping[str, str]]
"""Jobs that are there, or may be, by id: with what their callers know them by."""

WORKER_SECONDS = 0.5
"""A worker's loop never blocks. One that is silent for longer keeps the job, and its answer will be void: the
cancelled result is stored meanwhile."""

LOOK_SECONDS = 0.2
"""To look for a job in its streams. A cancel is answered within a second, whatever is slow."""


async def end_at_workers(bus: Bus, workers: Iterable[str], wish: CancelJob) -> bool:
    """End a job at whichever of these workers holds it; whether one does."""
    asked = [asyncio.ensure_future(_ask(bus, worker, wish)) for worker in workers]
    try:
        for answer in asyncio.as_completed(asked):
            if await answer:
                return True
    finally:
        for one in asked:
            one.cancel()
    return False


async def _ask(bus: Bus, worker: str, wish: CancelJob) -> bool:
    subject = bus.subjects.control(worker, "cancel")
    try:
        reply = await bus.nc.request(subject, encode(wish), timeout=WORKER_SECONDS)
        return decode(CancelReply, reply.data).outcome is CancelOutcome.CANCELLED
    except (nats.errors.Error, MalformedMessageError):
        return False


async def cancel_unheld(
    bus: Bus, wish: CancelJob, store: Store, *, known: Known | None = None
) -> CancelOutcome:
    """Cancel a job that nobody has; `store` takes its result, given what its caller knows it by, and
    withdraws its schedule. `known` is what `find` says, where somebody has looked.

    What is neither in a stream nor has a result is `unknown`; where there is too much to look through in a
    moment it counts as cancelled.
    """
    known = await find(bus, wish) if known is None else known
    if await store(known.get(wish.job, UNTRACED)) is Stored.BEFORE:
        return CancelOutcome.FINISHED
    return CancelOutcome.CANCELLED if wish.job in known else CancelOutcome.UNKNOWN


async def find(bus: Bus, wish: CancelJob) -> Known:
    """The job, if it is in a stream, or may be."""
    if wish.seen:
        return {wish.job: UNTRACED}
    return await find_among(bus, wish.tenant, frozenset({wish.job}))


async def find_among(bus: Bus, tenant: str, jobs: frozenset[str]) -> Known:
    """Those of a tenant's jobs that are in a stream, or may be."""
    if not jobs:
        return {}
    subjects, token = bus.subjects, subject_token(tenant)
    named = next(iter(jobs)) if len(jobs) == 1 else None
    places = (
        ("delayed", subjects.delayed_job(tenant, named or "*")),
        ("jobs", f"{subjects.prefix}.jobs.*.{token}.>"),
        ("delayed", f"{subjects.prefix}.due.*.{token}.>"),
    )
    found = dict[str, Mapping[str, str]]()
    with suppress(nats.errors.Error, ApiError, TimeoutError):
        async with asyncio.timeout(LOOK_SECONDS):
            for kind, subject in places:
                if len(found) < len(jobs):
                    found |= await _find_under(bus, kind, subject, jobs)
            return found
    return dict.fromkeys(jobs, UNTRACED) | found


async def _find_under(bus: Bus, kind: str, subject: str, jobs: frozenset[str]) -> Known:
    """Which of the jobs are under a subject; among very many all count as there."""
    count = await _count(bus, kind, subject)
    if not 0 < count <= PAGE_MESSAGES:
        return dict.fromkeys(jobs, UNTRACED) if count else {}
    names_one = not subject.endswith((">", "*"))
    found: dict[str, Mapping[str, str]] = dict.fromkeys(jobs, UNTRACED) if names_one else {}

    def look(_: str, __: dict[str, str], body: bytes) -> None:
        with suppress(MalformedMessageError):
            stub = decode(JobStub, body)
            if stub.id in jobs:
                found[stub.id] = trace_fields(stub)

    await scan(bus, bus.subjects.stream(kind), subject, look, seconds=LOOK_SECONDS)
    return found


async def _count(bus: Bus, kind: str, subject: str) -> int:
    info = await bus.api(f"STREAM.INFO.{bus.subjects.stream(kind)}", {"subjects_filter": subject})
    counts: dict[str, int] = info["state"].get("subjects") or {}
    return sum(counts.values())
