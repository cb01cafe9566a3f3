"""Many requests that become jobs together, or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from lorayard.batch_publisher import MAX_BATCH_JOBS, BatchPublisher
from lorayard.calling_context import in_batch
from lorayard.errors import IdempotencyConflictError, InvalidRequestError, LorayardError, NotSentError
from lorayard.handle import JobHandle
from lorayard.large_prompts import LargePrompts
from lorayard.later import is_later
from lorayard.link import Link
from lorayard.publisher import Answer
from lorayard.request import GenerateRequest
from lorayard.submitter import (
    Prepared,
    ask_keyed,
    make_handles,
    prepare_or_error,
    refused_at_the_door,
)


async def submit_together(link: Link, requests: Iterable[GenerateRequest]) -> list[JobHandle | LorayardError]:
    """One entry per request, in their order: all are handles, or none is.

    A request whose idempotency key the yard has counts as taken: its handle is that of the job there is.

    Raises:
        InvalidRequestError: more requests than a batch holds.
    """
    asked = list(islice(requests, MAX_BATCH_JOBS + 1))
    if len(asked) > MAX_BATCH_JOBS:
        reason = f"an atomic batch holds at most {MAX_BATCH_JOBS}: submit several, or without atomic"
        raise InvalidRequestError(field="requests", reason=reason)
    if not asked:
        return []
    await link.listener.listen()  # before the publish, so that no result goes by unheard
    await link.door.listen()
    prompts = LargePrompts(link)
    checked = _first_of_each_key([await _prepare(link, prompts, request) for request in asked])
    prepared = [entry for entry in checked if isinstance(entry, Prepared)]
    if len(prepared) < len(checked):
        return _not_sent(checked)
    await ask_keyed(link, prepared)
    if refused := refused_at_the_door(link, prepared):
        return _not_sent([refused.get(id(entry), entry) for entry in prepared])
    before: list[tuple[Prepared, Answer | None]] = [(e, None) for e in prepared if e.slot.body is not None]
    return await _send(link, prepared, before)


async def _prepare(link: Link, prompts: LargePrompts, request: GenerateRequest) -> Prepared | LorayardError:
    if is_later(request):
        field = "at" if request.delay_seconds is None else "delay_seconds"
        reason = "a job that starts later cannot be part of an atomic batch"
        return InvalidRequestError(field=field, reason=reason)
    return await prepare_or_error(link, prompts, request, in_batch)


async def _send(
    link: Link, prepared: Sequence[Prepared], before: Sequence[tuple[Prepared, Answer | None]]
) -> list[JobHandle | LorayardError]:
    """`before` are those that the yard had; a conflict among them ends it all."""
    publisher = BatchPublisher(link.bus)
    entries: dict[str, JobHandle | LorayardError] = {}
    while True:
        for (entry, _), made in zip(before, await make_handles(link, before), strict=True):
            entries[entry.outgoing.job] = made
        if any(isinstance(entry, LorayardError) for entry in entries.values()):
            return _not_sent([entries.get(entry.outgoing.job, entry) for entry in prepared])
        left = {e.outgoing.job: e for e in prepared if e.outgoing.job not in entries}
        if not left:
            return _each(link, prepared, entries)
        answer = await publisher.send([entry.outgoing for entry in left.values()])
        if isinstance(answer, LorayardError):
            return [answer] * len(prepared)
        known = answer if isinstance(answer, dict) else dict.fromkeys(left, answer)
        before = [(left[job], accepted) for job, accepted in known.items()]


def _each(
    link: Link, prepared: Sequence[Prepared], entries: Mapping[str, JobHandle | LorayardError]
) -> list[JobHandle | LorayardError]:
    """A handle for each; a key that comes again has its job from the first."""
    seen = set[str]()
    told: list[JobHandle | LorayardError] = []
    for entry in prepared:
        job = entry.outgoing.job
        told.append(JobHandle(link, entry.slot, existing=True) if job in seen else entries[job])
        seen.add(job)
    return told


def _first_of_each_key(entries: Sequence[Prepared | LorayardError]) -> list[Prepared | LorayardError]:
    """A key that comes again with another request is refused before anything is sent."""
    digests: dict[str, str | None] = {}
    checked: list[Prepared | LorayardError] = []
    for entry in entries:
        if isinstance(entry, Prepared) and entry.key is not None:
            job = entry.outgoing.job
            if digests.setdefault(job, entry.digest) != entry.digest:
                checked.append(IdempotencyConflictError(key=entry.key, job_id=job))
                continue
        checked.append(entry)
    return checked


def _not_sent(entries: Sequence[Prepared | JobHandle | LorayardError]) -> list[JobHandle | LorayardError]:
    index, cause = next((i, entry) for i, entry in enumerate(entries) if isinstance(entry, LorayardError))
    return [
        entry if isinstance(entry, LorayardError) else NotSentError(index=index, cause=cause)
        for entry in entries
    ]
