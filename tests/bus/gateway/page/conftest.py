"""The page of a gateway, as its scripts ask it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from tests.bus.gateway.conftest import Door

from lorayard_schemas.codec import encode
from lorayard_schemas.dead_letter import DeadLetter
from lorayard_schemas.job import Job

MARK = {"x-lorayard-page": "1"}
"""What scripts of the page send, and no form of another page can."""


@dataclass(frozen=True, kw_only=True)
class SentEvent:
    """One server-sent event."""

    name: str
    id: str
    data: dict[str, Any]


async def key_of(door: Door, tenant: str = "acme", role: str = "operator") -> str:
    """A new key that the gateway has heard of."""
    made = await door.admin.keys.add(tenant, role=role)
    await door.yard.wait_until(lambda: door.gateway.keys.find(made.key, 0.0) is not None)
    return made.key


def page(door: Door, key: str | None, **headers: str) -> httpx.AsyncClient:
    """A browser with a key in its cookie."""
    cookies = {} if key is None else {"lorayard_key": key}
    return httpx.AsyncClient(base_url=door.url, headers=MARK | headers, cookies=cookies, timeout=30.0)


@asynccontextmanager
async def events(http: httpx.AsyncClient, **headers: str) -> AsyncGenerator[AsyncGenerator[SentEvent]]:
    """The stream of what changes."""
    async with http.stream("GET", "/ui/api/events", headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _read(answer)


async def _read(answer: httpx.Response) -> AsyncGenerator[SentEvent]:
    told: dict[str, str] = {}
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        if line:
            told[name] = value
        elif "data" in told:
            yield SentEvent(name=told["event"], id=told.get("id", ""), data=json.loads(told["data"]))
            told = {}


async def whole(http: httpx.AsyncClient) -> dict[str, Any]:
    """All that a page is told at first."""
    async with events(http) as stream:
        return (await anext(stream)).data


async def bury(door: Door, number: int, tenant: str = "acme") -> None:
    """Leave the letter of a job, `j` and its number, that was given up."""
    subjects, job = door.yard.bus.subjects, f"j{number}"
    letter = DeadLetter(
        subject=f"{subjects.prefix}.jobs.normal.{tenant}._",
        sequence=1,
        job=job,
        tenant=tenant,
        adapter=None,
        code="engine_error",
        reason="it broke",
        body=encode(Job(id=job, prompt="x")),
        at=float(number),
    )
    await door.yard.bus.js.publish(subjects.dead_letter(tenant, None, job), encode(letter))
