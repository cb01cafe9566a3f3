"""Send lines to the yard, or find their jobs there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Protocol

from lorayard.batch.line import BadLine
from lorayard.batch.work import Work
from lorayard.cancel_many import CancelQuery
from lorayard.client import Client
from lorayard.errors import (
    BusRefusedError,
    BusUnavailableError,
    ClientClosedError,
    IdempotencyConflictError,
    LimitReachedError,
    LorayardError,
    NoDispatcherError,
    SubmitUnconfirmedError,
    YardFullError,
    YardNotReadyError,
)
from lorayard.handle import JobHandle
from lorayard.request import GenerateRequest
from lorayard_shared.value import value

ROOM_SECONDS = 2.0
"""A full yard is waited for inside one call so long; then a cancel is looked for."""

AGAIN_SECONDS = 1.0
"""Before something is sent again of which nobody says when there is room."""

MOST_GROUPS = 16

_PASSING = (
    YardFullError,
    BusUnavailableError,
    YardNotReadyError,
    SubmitUnconfirmedError,
    NoDispatcherError,
    BusRefusedError,
)


@value
class Again:
    """To be sent once more, at these places under other keys."""

    after_seconds: float
    reason: str
    places: frozenset[int] = frozenset()


@value
class Refused:
    """The yard will never take it."""

    error: LorayardError


Sent = Again | Refused | BadLine | Sequence[JobHandle]
"""A bad line: it is to be asked no more."""

Entry = JobHandle | LorayardError


class LineSender(Protocol):
    """How lines come to the yard."""

    async def look_for_unfinished(self) -> None:
        """Know what an earlier run has left there."""
        ...

    def forget(self, jobs: Iterable[str]) -> None:
        """These are not in the yard any more."""
        ...

    async def groups_at_once(self) -> int:
        """How many adapters are sent beside each other."""
        ...

    async def send(self, works: Sequence[Work]) -> list[Sent]:
        """For each what came of it, in their order."""
        ...


class Sender:
    """Publishes under the keys of one batch."""

    def __init__(self, yard: Client, batch: str) -> None:
        self._yard = yard
        self._batch = batch
        self.unfinished: frozenset[str] = frozenset()
        """Jobs of the tenant without a result, as `look_for_unfinished` found them."""

    async def look_for_unfinished(self) -> None:
        """Know which jobs an earlier run has left in the yard.

        A key alone is not enough: the bus knows it for two minutes, and then again once there is a result.

        Raises:
            BusUnavailableError, YardNotReadyError: nobody can tell.
        """
        report = await self._yard.cancel_where(CancelQuery(), most=10**9, dry_run=True)
        self.unfinished = frozenset(report.outcomes)

    def forget(self, jobs: Iterable[str]) -> None:
        """These are not in the yard any more, whatever was found at the start."""
        self.unfinished -= frozenset(jobs)

    async def groups_at_once(self) -> int:
        """How many adapters are sent beside each other: one for each worker."""
        try:
            return min(MOST_GROUPS, max(1, len(await self._yard.workers())))
        except YardNotReadyError:
            return 1

    async def send(self, works: Sequence[Work]) -> list[Sent]:
        """For each what came of it, in their order."""
        requests = [work.requests(self._batch) for work in works]
        entries = iter(await self._entries([one for some in requests for one in some]))
        return [_sent(list(islice(entries, len(some)))) for some in requests]

    async def _entries(self, requests: Sequence[GenerateRequest]) -> list[Entry]:
        known = [self._known(request) for request in requests]
        new = [request for request, handle in zip(requests, known, strict=True) if handle is None]
        submitted = iter(await self._submit(new))
        return [next(submitted) if handle is None else handle for handle in known]

    def _known(self, request: GenerateRequest) -> JobHandle | None:
        if not self.unfinished or request.idempotency_key is None:
            return None
        job = self._yard.job_id(request.idempotency_key)
        return self._yard.handle(job) if job in self.unfinished else None

    async def _submit(self, requests: Sequence[GenerateRequest]) -> Sequence[Entry]:
        if not requests:
            return []
        try:
            return (await self._yard.submit_many(requests, wait_for_room_seconds=ROOM_SECONDS)).entries
        except ClientClosedError:
            raise
        except LorayardError as error:
            await asyncio.sleep(0)
            return [error] * len(requests)


def _sent(entries: Sequence[Entry]) -> Sent:
    """A line is sent when all its choices are; what was taken of it is found again under its keys."""
    errors = [entry for entry in entries if isinstance(entry, LorayardError)]
    if not errors:
        return [entry for entry in entries if isinstance(entry, JobHandle)]
    for error in errors:
        if not _passes(error):
            return Refused(error=error)
    taken = frozenset(i for i, entry in enumerate(entries) if isinstance(entry, IdempotencyConflictError))
    after = max(getattr(error, "retry_after_seconds", None) or AGAIN_SECONDS for error in errors)
    return Again(after_seconds=after, reason=str(errors[0]), places=taken)


def _passes(error: LorayardError) -> bool:
    if isinstance(error, LimitReachedError):
        return error.retry_after_seconds is not None
    return isinstance(error, (*_PASSING, IdempotencyConflictError))
