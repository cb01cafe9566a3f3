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


async def cancel_unheld(bus: Bus, wish: CancelJob, store: Store) -> CancelOutcome:
    """Cancel a job that nobody has; `store` takes its result, given what its caller knows it by, and
    withdraws its schedule.

    What is neither in a stream nor has a result is `unknown`; where there is too much to look through in a
    moment it counts as cancelled.
    """
    found = await _find(bus, wish)
    if await store(found or UNTRACED) is Stored.BEFORE:
        return CancelOutcome.FINISHED
    return CancelOutcome.UNKNOWN if found is None else CancelOutcome.CANCELLED


async def _find(bus: Bus, wish: CancelJob) -> Mapping[str, str] | None:
    """What the caller knows the job by, if it is in a stream, or may be; None: it is nowhere."""
    if wish.seen:
        return UNTRACED
    subjects, tenant = bus.subjects, subject_token(wish.tenant)
    places = (
        ("delayed", subjects.delayed_job(wish.tenant, wish.job)),
        ("jobs", f"{subjects.prefix}.jobs.*.{tenant}.>"),
        ("delayed", f"{subjects.prefix}.due.*.{tenant}.>"),
    )
    with suppress(nats.errors.Error, ApiError, TimeoutError):
        async with asyncio.timeout(LOOK_SECONDS):
            for kind, subject in places:
                found = await _find_under(bus, kind, subject, wish.job)
                if found is not None:
                    return found
            return None
    return UNTRACED


async def _find_under(bus: Bus, kind: str, subject: str, job: str) -> Mapping[str, str] | None:
    """The same of one subject; one among very many counts as there."""
    count = await _count(bus, kind, subject)
    if not 0 < count <= PAGE_MESSAGES:
        return UNTRACED if count else None
    found: list[Mapping[str, str]] = []

    def look(_: str, __: dict[str, str], body: bytes) -> None:
        with suppress(MalformedMessageError):
            stub = decode(JobStub, body)
            if stub.id == job:
                found.append(trace_fields(stub))

    await scan(bus, bus.subjects.stream(kind), subject, look, seconds=LOOK_SECONDS)
    if found:
        return found[0]
    return None if subject.endswith(">") else UNTRACED  # the subject itself names the job


async def _count(bus: Bus, kind: str, subject: str) -> int:
    info = await bus.api(f"STREAM.INFO.{bus.subjects.stream(kind)}", {"subjects_filter": subject})
    counts: dict[str, int] = info["state"].get("subjects") or {}
    return sum(counts.values())
