"""What the yard has stored, read from its streams by sequence: nobody's memory is asked."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

import nats.errors

from lorayard_schemas.codec import decode
from lorayard_schemas.dead_letter import DeadLetter
from lorayard_schemas.result import JobResult
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.scanning import read_page, walk

LOOK_SECONDS: Final = 0.2
SHOWN: Final = 40
"""Records about one job in the report of a violation."""


@dataclass(slots=True, kw_only=True)
class Records:
    """By job."""

    results: dict[str, list[JobResult]] = field(default_factory=lambda: defaultdict(list))
    letters: dict[str, list[DeadLetter]] = field(default_factory=lambda: defaultdict(list))
    left: dict[str, int] = field(default_factory=dict[str, int])
    """Messages that still lie in the streams of unfinished jobs."""
    gaps: int = 0
    """Results that were stored once and are gone."""
    misfiled: list[str] = field(default_factory=list[str])
    """Subjects under which another job's result lies."""
    again: int = 0
    """Deliveries beyond the first of each message."""


async def read_records(bus: Bus) -> Records:
    """All of them."""
    records = Records()
    stream = bus.subjects.stream("results")
    async for page in walk(bus, stream, bus.subjects.results):
        for lying in page:
            result = decode(JobResult, lying.body)
            records.results[result.job].append(result)
            if bus.subjects.result(result.tenant, result.job) != lying.subject:
                records.misfiled.append(lying.subject)
    async for page in walk(bus, bus.subjects.stream("dead"), bus.subjects.dead):
        for lying in page:
            letter = decode(DeadLetter, lying.body)
            records.letters[letter.job or lying.subject].append(letter)
    state = (await bus.api(f"STREAM.INFO.{stream}"))["state"]
    records.gaps = state["last_seq"] - state["messages"]
    records.left = await unfinished(bus)
    records.again = await _delivered_again(bus)
    return records


async def _delivered_again(bus: Bus) -> int:
    """Over all consumers of jobs. A message that was taken out before anybody got it hides one."""
    stream = bus.subjects.stream("jobs")
    told = await bus.api(f"CONSUMER.LIST.{stream}", {"offset": 0})
    given = sum(consumer["delivered"]["consumer_seq"] for consumer in told.get("consumers") or ())
    return int(given - (await bus.api(f"STREAM.INFO.{stream}"))["state"]["last_seq"])


async def unfinished(bus: Bus) -> dict[str, int]:
    """How many messages lie in the streams of jobs."""
    names = [bus.subjects.stream(kind) for kind in ("jobs", "delayed")]
    return {name: (await bus.api(f"STREAM.INFO.{name}"))["state"]["messages"] for name in names}


async def settled(bus: Bus, results: int, *, seconds: float) -> bool:
    """Whether so many results are stored, and no job is left, before the time is over."""
    end = time.monotonic() + seconds
    stream = bus.subjects.stream("results")
    while time.monotonic() < end:
        try:
            state = (await bus.api(f"STREAM.INFO.{stream}"))["state"]
            if state["messages"] >= results and not any((await unfinished(bus)).values()):
                return True
        except (nats.errors.Error, TimeoutError):
            pass  # it is starting again
        await asyncio.sleep(LOOK_SECONDS)
    return False


async def told_of(bus: Bus, tenant: str, job: str) -> list[dict[str, Any]]:
    """Everything that lies in any stream under a job's own subject, the oldest first."""
    subjects = bus.subjects
    places = {
        "audit": subjects.job_audit("*", tenant, job),
        "delayed": subjects.delayed_job(tenant, job),
        "results": subjects.result(tenant, job),
        "dead": f"{subjects.prefix}.dead.*.*.{job}",
        "tokens": subjects.token_events(tenant, job),
    }
    told: list[dict[str, Any]] = []
    for kind, subject in places.items():
        for message in (await read_page(bus, subjects.stream(kind), subject, 1))[:SHOWN]:
            headers = dict(message.headers or {})
            told.append({"stream": kind, "headers": headers, "body": repr(message.data)[:600]})
    return told


def kills_in(hits: Counter[str]) -> dict[str, int]:
    """By target and signal, in alphabetical order."""
    return dict(sorted(hits.items()))
