"""From requests to jobs in the stream: check, name, pack, publish, and say of each what became of it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import fields
from functools import lru_cache, partial

from lorayard.calling_context import Place, in_batch, in_context
from lorayard.conflicts import Claim, find_conflicts
from lorayard.errors import (
    BusUnavailableError,
    InvalidRequestError,
    LorayardError,
    PayloadTooLargeError,
    YardNotReadyError,
)
from lorayard.handle import JobHandle
from lorayard.job_ids import keyed_job_id, random_job_id
from lorayard.job_message import build_job, job_address, pack_job, pack_plain
from lorayard.large_prompts import LargePrompts
from lorayard.later import is_later, schedule_headers, starts_at
from lorayard.link import Link
from lorayard.listener import Slot
from lorayard.publisher import Accepted, Answer, Outgoing
from lorayard.request import GenerateRequest, LaneName
from lorayard.request_digest import request_digest
from lorayard_schemas.job import INLINE_BYTES, MAX_JOB_BYTES, Job, Lane
from lorayard_schemas.subjects import Subjects
from lorayard_shared.bus.topology import kept_seconds
from lorayard_shared.value import value

WINDOW_JOBS = 512
"""In flight at once: one round trip for all of them, and small enough to stay below every buffer."""

WINDOW_BYTES = 8 * 2**20

ENVELOPE_BYTES = 4096
"""What subject and headers, with the history of a retried job, may add to a body."""


@value
class Prepared:
    """A checked request."""

    outgoing: Outgoing
    slot: Slot
    key: str | None
    digest: str | None
    """Of the request, where it has a key."""

    @property
    def keyed(self) -> bool:
        """Whether the yard may have had its job before."""
        return self.key is not None


async def submit_all(
    link: Link, requests: Iterable[GenerateRequest], place: Place = in_batch
) -> list[JobHandle | LorayardError]:
    """One entry per request, in their order; a bad one harms no other. `place` says what is around each."""
    await link.listener.listen()  # before the first publish, so that no result goes by unheard
    await link.door.listen()
    entries: list[JobHandle | LorayardError] = []
    window: list[Prepared | LorayardError] = []
    window_bytes = 0
    prompts = LargePrompts(link)
    source = iter(requests)
    while request := next(source, None):
        prepared = await prepare_or_error(link, prompts, request, place)
        window.append(prepared)
        window_bytes += 0 if isinstance(prepared, LorayardError) else len(prepared.outgoing.body)
        if len(window) >= WINDOW_JOBS or window_bytes >= WINDOW_BYTES:
            entries += await _submit_window(link, window)
            window, window_bytes, prompts = [], 0, LargePrompts(link)
    return entries + await _submit_window(link, window)


submit_single = partial(submit_all, place=in_context)
"""The same of a job that is submitted by itself: it is a part of its caller's trace."""


async def _submit_window(
    link: Link, window: Sequence[Prepared | LorayardError]
) -> list[JobHandle | LorayardError]:
    prepared = [entry for entry in window if isinstance(entry, Prepared)]
    await ask_keyed(link, prepared)
    by_entry: dict[int, Answer] = {**refused_at_the_door(link, prepared)}
    unanswered = [entry for entry in prepared if entry.slot.body is None and id(entry) not in by_entry]
    answers = await link.publisher.send([entry.outgoing for entry in unanswered])
    by_entry |= {id(entry): answer for entry, answer in zip(unanswered, answers, strict=True)}
    handles = await make_handles(link, [(entry, by_entry.get(id(entry))) for entry in prepared])
    found = iter(handles)
    return [entry if isinstance(entry, LorayardError) else next(found) for entry in window]


def refused_at_the_door(link: Link, prepared: Sequence[Prepared]) -> dict[int, LorayardError]:
    """What the yard would refuse anyway, by the `id` of its entry.

    Not what has a key, for the yard may have that job already, nor what is for later.
    """
    refused: dict[int, LorayardError] = {}
    for entry in prepared if link.door.is_shut else ():
        if not entry.keyed and entry.outgoing.schedule is None:
            error = link.door.refusal(entry.outgoing.subject)
            if error is not None:
                refused[id(entry)] = error
    return refused


async def ask_keyed(link: Link, prepared: Sequence[Prepared]) -> None:
    """Beyond the stream's duplicate window a key still holds: what is answered is not run again."""
    if keyed := [entry.slot for entry in prepared if entry.keyed]:
        await link.listener.ask(keyed)


async def make_handles(
    link: Link, answered: Sequence[tuple[Prepared, Answer | None]]
) -> list[JobHandle | LorayardError]:
    """A handle for each that the yard has; no answer means that its result was there."""
    entries = [_handle(link, entry, answer) for entry, answer in answered]
    claims = {
        place: Claim(key=entry.key, digest=entry.digest, slot=entry.slot, place=_place(entry, answer))
        for place, (entry, answer) in enumerate(answered)
        if entry.key is not None and entry.digest is not None and _existing(entries[place])
    }
    if claims:
        conflicts = await find_conflicts(link, list(claims.values()))
        for place, conflict in zip(claims, conflicts, strict=True):
            entries[place] = conflict or entries[place]
    return entries


def _existing(entry: JobHandle | LorayardError) -> bool:
    return isinstance(entry, JobHandle) and entry.existing


def _place(entry: Prepared, answer: Answer | None) -> str | int | None:
    if entry.outgoing.schedule is not None:
        return entry.outgoing.subject
    return answer.sequence if isinstance(answer, Accepted) else None


def _handle(link: Link, prepared: Prepared, answer: Answer | None) -> JobHandle | LorayardError:
    if isinstance(answer, LorayardError):
        return answer
    # Without a key a duplicate is our own second try.
    existing = prepared.keyed and (answer is None or answer.duplicate)
    return JobHandle(link, prepared.slot, existing=existing)


async def prepare_or_error(
    link: Link, prompts: LargePrompts, request: GenerateRequest, place: Place
) -> Prepared | LorayardError:
    """The request as it goes out, or what is wrong with it."""
    try:
        return await _prepare(link, prompts, place(request))
    except LorayardError as error:
        return error


async def _prepare(link: Link, prompts: LargePrompts, request: GenerateRequest) -> Prepared:
    subject = _subject(link, request)
    keyed = request.idempotency_key is not None
    job_id = _job_id(link, request)
    now = await _now(link, request)
    at = starts_at(request, now=now) if is_later(request) else None
    digest = request_digest(request) if keyed else None
    body = pack_plain(request, job_id=job_id, now=now, digest=digest)
    if body is None or len(body) > INLINE_BYTES:
        job = build_job(request, job_id=job_id, now=now, digest=digest, start=at)
        body = await _packed(link, prompts, job, delay_seconds=None if at is None else at - now)
    limit = min(MAX_JOB_BYTES, link.bus.nc.max_payload) - ENVELOPE_BYTES
    if len(body) > limit:
        raise PayloadTooLargeError(field=_largest_field(request), size_bytes=len(body), limit_bytes=limit)
    outgoing = Outgoing(job=job_id, subject=subject, body=body)
    return Prepared(
        outgoing=outgoing if at is None else await _later(link, outgoing, at),
        slot=link.listener.slot(job_id, fresh=not keyed),
        key=request.idempotency_key,
        digest=digest,
    )


async def _now(link: Link, request: GenerateRequest) -> float:
    """Unix seconds; by the server's clock where the job has a time, for ours may be wrong, or jump."""
    if is_later(request):
        return await link.delayed.now()
    if request.deadline_seconds is not None or request.start_within_seconds is not None:
        with suppress(BusUnavailableError, YardNotReadyError):  # the publish waits for it, or says so
            return await link.delayed.now()
    return time.time()


async def _later(link: Link, outgoing: Outgoing, at: float) -> Outgoing:
    """The same as a schedule."""
    subjects = link.bus.subjects
    await link.delayed.enter(len(outgoing.body) + ENVELOPE_BYTES)
    return Outgoing(
        job=outgoing.job,
        subject=subjects.delayed_job(link.tenant, outgoing.job),
        body=outgoing.body,
        schedule=schedule_headers(subjects, outgoing.subject, at),
    )


def _check_kept(link: Link, delay_seconds: float) -> None:
    """A prompt beside its job is removed by age, and has to be there when the job runs."""
    longest = kept_seconds(link.settings) / 2
    if delay_seconds > longest:
        reason = (
            f"with one over {INLINE_BYTES} bytes a job starts within {longest / 3600:g} hours: shorten it"
        )
        raise InvalidRequestError(field="prompt", reason=reason)


async def _packed(link: Link, prompts: LargePrompts, job: Job, *, delay_seconds: float | None) -> bytes:
    body = pack_job(job)
    if len(body) > INLINE_BYTES and job.prompt is not None:
        if delay_seconds is not None:
            _check_kept(link, delay_seconds)
        body = pack_job(await prompts.by_reference(job, job.prompt))
    return body


def _largest_field(request: GenerateRequest) -> str:
    # A long text is not in the body any more, so it is not what is too long.
    names = {field.name: field.name for field in fields(request)} | {"prompt": "messages"}
    if isinstance(request.prompt, str):
        del names["prompt"]
    return names[max(names, key=lambda name: len(repr(getattr(request, name))))]


def _subject(link: Link, request: GenerateRequest) -> str:
    if request.composition is not None:
        address = job_address(
            lane=request.lane, tenant=link.tenant, adapter=request.adapter, composition=request.composition
        )
        return link.bus.subjects.job(address)
    place = (link.bus.subjects, link.tenant, request.lane, request.adapter)
    try:
        return _checked_subject(*place)
    except TypeError:  # not even hashable: the check itself names the field
        return _checked_subject.__wrapped__(*place)


@lru_cache(maxsize=4096)
def _checked_subject(subjects: Subjects, tenant: str, lane: Lane | LaneName, adapter: str | None) -> str:
    return subjects.job(job_address(lane=lane, tenant=tenant, adapter=adapter))


def _job_id(link: Link, request: GenerateRequest) -> str:
    if request.idempotency_key is None:
        return random_job_id()
    salt = link.settings.idempotency_salt.get_secret_value()
    return keyed_job_id(tenant=link.tenant, salt=salt, key=request.idempotency_key)
