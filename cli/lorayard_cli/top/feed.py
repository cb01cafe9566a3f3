"""Where the screen's values come from."""

from __future__ import annotations

import asyncio
from typing import Protocol

from lorayard import Letter, LetterPage
from lorayard_cli.top.listed_job import ListedJob, of_ended, of_queued, of_scheduled
from lorayard_cli.top.tenants import TenantClients
from lorayard_schemas.snapshot import QueueRow, YardSnapshot
from lorayard_schemas.subjects import JobAddress

JOBS_OF_A_KIND = 200
"""Listed of those that wait, that are scheduled and that have ended: nobody reads more on a terminal."""

LETTERS = 500
"""Read at once: each may be as large as a message."""


class Feed(Protocol):
    """What a screen reads; every method raises what the client's does."""

    async def snapshot(self, older_seconds: float) -> YardSnapshot:
        """The yard, read at most so long ago."""
        ...

    async def jobs(self, queue: QueueRow | None) -> tuple[ListedJob, ...]:
        """Some of its jobs; only those of a queue, where one is named."""
        ...

    async def letters(self) -> tuple[Letter, ...]:
        """The newest of its dead letters."""
        ...

    async def explain(self, job: ListedJob) -> str:
        """Why it waits, or why it went where it went."""
        ...


class ClientFeed:
    """What the client reads from the bus."""

    def __init__(self, clients: TenantClients) -> None:
        self._clients = clients
        self._letters: LetterPage | None = None

    async def snapshot(self, older_seconds: float) -> YardSnapshot:
        """The yard, read at most so long ago."""
        return await self._clients.yard.snapshot(older_seconds=older_seconds)

    async def jobs(self, queue: QueueRow | None) -> tuple[ListedJob, ...]:
        """Of one queue its oldest; else some that wait, are scheduled, and have just ended."""
        yard = self._clients.yard
        if queue is not None:
            address = JobAddress(lane=queue.lane, tenant=queue.tenant, adapter=queue.adapter)
            return tuple(of_queued(await yard.jobs.queued(address, limit=JOBS_OF_A_KIND)))
        queued, scheduled, ended = await asyncio.gather(
            yard.jobs.queued(limit=JOBS_OF_A_KIND),
            yard.scheduled(all_tenants=True),
            yard.jobs.recent(limit=JOBS_OF_A_KIND),
        )
        listed = (*of_queued(queued), *of_scheduled(scheduled[:JOBS_OF_A_KIND]), *of_ended(ended))
        # A job that has its result may lie in a stream for a while: how it ended counts.
        return tuple({(job.tenant, job.job): job for job in listed}.values())

    async def letters(self) -> tuple[Letter, ...]:
        """The newest dead letters; they are read anew only where one has come or gone."""
        self._letters = await self._clients.yard.dead.newest(limit=LETTERS, known=self._letters)
        return self._letters.letters

    async def explain(self, job: ListedJob) -> str:
        """As `lorayard explain` says it."""
        client = await self._clients.of(job.tenant)
        return (await client.handle(job.job).status()).sentence
