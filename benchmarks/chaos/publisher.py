"""The client process: submits, cancels and reads streams; killed, it goes on where its journal ends.

`python -m benchmarks.chaos.publisher JOURNAL SEED JOBS SECONDS KINDS GATEWAY_PORT`
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, Final

import httpx
from benchmarks.chaos.journal import Entry, Journal, read_journal
from benchmarks.chaos.orders import Kind, Order, draw_orders, tenants_of
from benchmarks.chaos.verdicts import POISON
from benchmarks.chaos.yard import SALT

from lorayard import Client, EventKind, IdempotencyConflictError, JobHandle, LorayardError
from lorayard.job_ids import keyed_job_id
from lorayard_cli.loops import run_service
from lorayard_shared.settings import YardSettings, read_settings

CHUNK: Final = 20
PAUSE_SECONDS: Final = 0.2
"""Before what was not answered is tried again."""
HTTP_SECONDS: Final = 20.0
"""For an answer of the gateway: a cut holds requests up for five seconds."""


@dataclass(slots=True)
class Publisher:
    """One life of the client process."""

    clients: dict[str, Client]
    journal: Journal
    known: dict[str, Entry]
    http: httpx.AsyncClient
    tasks: set[asyncio.Task[object]] = field(default_factory=set[asyncio.Task[object]])

    async def run(self, orders: list[Order], seconds: float) -> None:
        """Everything that is not in the journal yet, spread over so many seconds."""
        for order in orders:
            self._resume(order)
        waiting = [order for order in orders if self._entry(order).accepted_at is None]
        waiting = [order for order in waiting if order.kind is not Kind.GHOST]
        hasty = asyncio.Semaphore(CHUNK)
        pause = seconds / max(1, len(orders)) * CHUNK
        while waiting:
            started = time.monotonic()
            chunk, waiting = waiting[:CHUNK], waiting[CHUNK:]
            for order in chunk:
                if order.kind is Kind.HTTP:
                    self._spawn(self._ask(order, hasty))
            waiting += await self._submit([order for order in chunk if order.kind is not Kind.HTTP])
            await asyncio.sleep(max(0.0, pause - (time.monotonic() - started)))
        await asyncio.gather(*self.tasks)
        for order in orders:
            while order.kind is Kind.TWICE and not await self._again(order):  # noqa: ASYNC110  # it asks
                await asyncio.sleep(PAUSE_SECONDS)
        self.journal.finish()

    def _resume(self, order: Order) -> None:
        entry = self._entry(order)
        if order.kind is Kind.GHOST or entry.accepted_at is not None:
            self._follow_up(order)

    def _entry(self, order: Order) -> Entry:
        return self.known.get(order.key, Entry())

    def _follow_up(self, order: Order) -> None:
        entry = self._entry(order)
        job = keyed_job_id(tenant=order.tenant, salt=SALT, key=order.key)
        handle = self.clients[order.tenant].handle(job)
        if order.cancel_after_seconds is not None and not entry.cancels:
            self._spawn(self._cancel(order, handle, order.cancel_after_seconds))
        if order.kind is Kind.STREAM and entry.streamed is None:
            self._spawn(self._read_stream(order, handle))

    def _spawn(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)

    async def _submit(self, chunk: list[Order]) -> list[Order]:
        """What was not taken."""
        left: list[Order] = []
        for tenant in tenants_of(chunk):
            orders = [order for order in chunk if order.tenant == tenant]
            for order in orders:
                self.journal.write(order.key, submitted_at=time.time())
            try:
                entries = await self.clients[tenant].submit_many([order.request for order in orders])
            except LorayardError:
                left += orders
                continue
            for order, entry in zip(orders, entries, strict=True):
                if isinstance(entry, LorayardError):
                    left.append(order)
                else:
                    self._accepted(order, entry)
        if left:
            await asyncio.sleep(PAUSE_SECONDS)
        return left

    def _accepted(self, order: Order, handle: JobHandle) -> None:
        self.journal.write(order.key, accepted_at=time.time(), existing=handle.existing)
        if order.kind is Kind.TWICE:
            self._spawn(self._again(order))
        self._follow_up(order)

    async def _again(self, order: Order) -> bool:
        """Under its key, and another body under it; whether both were answered."""
        client = self.clients[order.tenant]
        other = replace(order.request, prompt=f"{order.request.prompt} but another")
        try:
            (entry,) = await client.submit_many([order.request])
            if isinstance(entry, JobHandle):
                self.journal.write(order.key, existing=entry.existing)
            (entry,) = await client.submit_many([other])
        except LorayardError:
            return False
        if isinstance(entry, IdempotencyConflictError):
            self.journal.write(order.key, conflict=True)
        return isinstance(entry, JobHandle | IdempotencyConflictError)

    async def _cancel(self, order: Order, handle: JobHandle, seconds: float) -> None:
        await asyncio.sleep(seconds)
        while True:
            try:
                self.journal.write(order.key, cancel=str(await handle.cancel()))
            except LorayardError:
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                return

    async def _ask(self, order: Order, hasty: asyncio.Semaphore) -> None:
        """Over HTTP, until there is an answer."""
        self.journal.write(order.key, submitted_at=time.time())
        body = {"model": order.request.adapter, "prompt": order.request.prompt, "max_tokens": 256}
        async with hasty:
            while True:
                try:
                    answer = await self.http.post(
                        "/v1/completions", json=body, headers={"Idempotency-Key": order.key}
                    )
                except httpx.HTTPError:
                    await asyncio.sleep(PAUSE_SECONDS)
                    continue
                told = answer.json()
                if answer.is_success:
                    text = told["choices"][0]["text"]
                    self.journal.write(order.key, accepted_at=time.time(), text=text)
                    return
                if told.get("error", {}).get("code") == POISON:
                    self.journal.write(order.key, accepted_at=time.time())
                    return
                await asyncio.sleep(PAUSE_SECONDS)

    async def _read_stream(self, order: Order, handle: JobHandle) -> None:
        text, ends = "", 0
        async for event in handle.events():
            text = "" if event.kind is EventKind.RESTARTED else text + event.text
            ends += event.kind is EventKind.ENDED
        result = await handle.outcome()
        wrong = "" if text == result.text else f"told {text!r}, stored {result.text!r}"
        self.journal.write(order.key, streamed=wrong if ends == 1 else f"{ends} ends; {wrong}")


async def _main(path: Path, seed: int, jobs: int, seconds: float, kinds: str, port: int) -> None:
    only = [Kind(kind) for kind in kinds.split(",") if kind]
    orders = draw_orders(Random(seed), jobs, only)
    known, done = read_journal(path)
    if not done:
        async with AsyncExitStack() as stack:
            settings = read_settings(YardSettings)
            clients = {
                tenant: await stack.enter_async_context(
                    Client(settings=settings, tenant=tenant, idempotency_salt=SALT)
                )
                for tenant in tenants_of(orders)
            }
            http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=HTTP_SECONDS)
            await stack.enter_async_context(http)
            publisher = Publisher(clients=clients, journal=Journal(path), known=known, http=http)
            await publisher.run(orders, seconds)
    await asyncio.Event().wait()  # whoever supervises it ends it


if __name__ == "__main__":
    path, seed, jobs, seconds, kinds, port = sys.argv[1:]
    try:
        run_service(_main(Path(path), int(seed), int(jobs), float(seconds), kinds, int(port)))
    except LorayardError as error:  # the bus was away when it started: its supervisor starts it again
        sys.stderr.write(f"error: {error}\n")
        sys.exit(1)
