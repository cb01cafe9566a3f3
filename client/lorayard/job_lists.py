"""Jobs as lists: those that are unfinished, and those that have just ended."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from lorayard.answering import Answering
from lorayard.errors import InvalidRequestError
from lorayard.registry.calls import Calls
from lorayard.yard_view import list_workers
from lorayard_schemas import headers
from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.plain_job import read_job
from lorayard_schemas.result import JobResult, ResultState
from lorayard_schemas.subjects import BadSubjectError, JobAddress, Subjects
from lorayard_shared.bus.scanning import Lying, last_sequence, walk

if TYPE_CHECKING:
    from lorayard.link import Link

LISTED = 100
"""Where no limit is named: each of them is read with its whole prompt, or its whole text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedJob:
    """One job without a result."""

    job_id: str
    address: JobAddress
    since: float
    """In the queue, unix seconds by the server's clock; for one that was scheduled since it was due."""
    attempt: int
    worker: str | None = None
    """That says it has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedJob:
    """How one job ended."""

    job_id: str
    tenant: str
    state: ResultState
    at: float
    """Unix seconds."""
    adapter: str | None
    """`name@version`; None: the base model, a composition, or nobody has run it."""
    worker: str | None
    total_ms: float
    """From publish to the whole text; 0: nobody has run it."""
    code: str | None
    """Why it failed."""


class Jobs:
    """Lists of one yard's jobs, of all tenants whose jobs this connection may read.

    Every method raises InvalidRequestError for a limit below 1, and YardNotReadyError or BusUnavailableError
    where there is no yard, or no bus.
    """

    def __init__(self, link: Callable[[], Link]) -> None:
        self._open_link = link

    async def queued(self, address: JobAddress | None = None, *, limit: int = LISTED) -> list[QueuedJob]:
        """The oldest jobs without a result of one lane, tenant and adapter; None: of all."""
        link = self._open_link()
        _check(limit)
        found: dict[str, QueuedJob] = {}
        await link.delayed.now()  # says so where there is no yard
        async with Answering(link):
            held = {key: advert.worker for advert in await list_workers(link) for key in advert.load.holding}
            for kind, subject in _places(link.bus.subjects, address):
                for one in await _oldest(link, kind, subject, limit, held):
                    found.setdefault(one.job_id, one)
        return sorted(found.values(), key=lambda one: (one.since, one.job_id))[:limit]

    async def recent(self, *, limit: int = LISTED) -> list[EndedJob]:
        """The jobs that ended last, the newest first."""
        link = self._open_link()
        _check(limit)
        found: list[EndedJob] = []
        await link.delayed.now()  # says so where there is no yard
        async with Answering(link):
            subjects = link.bus.subjects
            stream = subjects.stream("results")
            end = await last_sequence(link.bus, stream)
            pages = walk(link.bus, stream, subjects.results, after=max(0, end - limit), until=end)
            async with aclosing(pages):
                async for lying in _each(pages):
                    with suppress(MalformedMessageError):
                        found.append(_ended(decode(JobResult, lying.body)))
        return sorted(found, key=lambda one: (-one.at, one.job_id))[:limit]


class SyncJobs:
    """`Jobs`, blocking; every method raises as that of `Jobs` does."""

    def __init__(self, jobs: Jobs, thread: Callable[[], Calls]) -> None:
        self._jobs = jobs
        self._thread = thread

    def queued(self, address: JobAddress | None = None, *, limit: int = LISTED) -> list[QueuedJob]:
        """The oldest jobs without a result of one lane, tenant and adapter; None: of all."""
        return self._thread().call(self._jobs.queued(address, limit=limit))

    def recent(self, *, limit: int = LISTED) -> list[EndedJob]:
        """The jobs that ended last, the newest first."""
        return self._thread().call(self._jobs.recent(limit=limit))


async def _oldest(
    link: Link, kind: str, subject: str, limit: int, held: Mapping[str, str]
) -> list[QueuedJob]:
    stream = link.bus.subjects.stream(kind)
    end = await last_sequence(link.bus, stream)
    found: list[QueuedJob] = []
    async with aclosing(walk(link.bus, stream, subject, until=end)) as pages:
        async for page in pages:
            for lying in page:
                with suppress(BadSubjectError, MalformedMessageError, ValueError):
                    worker = held.get(f"{stream}-{lying.sequence}")
                    found.append(_queued(link.bus.subjects, lying, worker))
            if len(found) >= limit:
                break
    return found


def _check(limit: int) -> None:
    if limit < 1:
        raise InvalidRequestError(field="limit", reason=f"a number from 1 up is needed, got {limit}")


def _places(subjects: Subjects, address: JobAddress | None) -> list[tuple[str, str]]:
    """Streams and what to look for there; in a yard with partitions a job's stands behind its subject."""
    if address is None:
        return [("delayed", subjects.due), ("jobs", subjects.jobs)]
    job, due = subjects.job(address), subjects.due_job(address)
    return [(kind, f"{one}{tail}") for tail in ("", ".*") for kind, one in (("delayed", due), ("jobs", job))]


async def _each(pages: AsyncGenerator[list[Lying]]) -> AsyncGenerator[Lying]:
    async for page in pages:
        for lying in page:
            yield lying


def _queued(subjects: Subjects, lying: Lying, worker: str | None) -> QueuedJob:
    return QueuedJob(
        job_id=read_job(lying.body).id,
        address=subjects.parse_job(lying.subject),
        since=datetime.fromisoformat(lying.headers["Nats-Time-Stamp"]).timestamp(),
        attempt=int(lying.headers.get(headers.ATTEMPT, "1")),
        worker=worker,
    )


def _ended(result: JobResult) -> EndedJob:
    maker = result.maker
    named = maker is not None and maker.adapter is not None
    return EndedJob(
        job_id=result.job,
        tenant=result.tenant,
        state=result.state,
        at=result.finished_at,
        adapter=f"{maker.adapter}@{maker.version}" if maker is not None and named else None,
        worker=maker.worker if maker is not None else None,
        total_ms=result.timings.waited_ms + result.timings.total_ms if maker is not None else 0.0,
        code=result.error.code if result.error is not None else None,
    )
