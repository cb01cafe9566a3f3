"""Try a dead letter's job again, once however often that is asked for.

The job gets an id of its own, `{job}-r1`, since the old one has its one result, which never changes. It is
published first and the letter leaves after that. A crash between the two leaves the letter, and the next
redrive finds the same new id: by its `Nats-Msg-Id`, or by its result.
"""

from __future__ import annotations

import hashlib
import re
import time
from enum import StrEnum
from typing import TYPE_CHECKING

import nats.js.errors

from lorayard.errors import InvalidRequestError, LorayardError
from lorayard.publisher import Accepted, Outgoing
from lorayard.registry.known import is_registered
from lorayard_schemas.codec import decode, encode_given
from lorayard_schemas.composition import COMPOSED
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.job import Job
from lorayard_schemas.names import check_adapter_spec, is_alias, split_version, subject_token
from lorayard_schemas.result import JobResult, ResultState
from lorayard_schemas.subjects import BadSubjectError, JobAddress
from lorayard_shared.bus.deleting import delete_message
from lorayard_shared.bus.payloads import PayloadStore
from lorayard_shared.value import value

if TYPE_CHECKING:
    from lorayard.dead.letter import Letter
    from lorayard.link import Link
    from lorayard_shared.jobs.adapter_registry import AdapterRegistry

_NUMBERED = re.compile(r"(.*)-r([1-9][0-9]{0,8})")
_LONGEST_STEM = 52
"""Of an id of 64: room for the number."""
_HASH_CHARACTERS = 48


class RedriveOutcome(StrEnum):
    """What became of a letter that was to be redriven."""

    REDRIVEN = "redriven"
    """Its job is queued again; the letter is gone."""
    BEFORE = "before"
    """An earlier redrive had queued it; the letter is gone now."""
    ANSWERED = "answered"
    """Its job has had another end than to be given up; the letter is gone."""
    REFUSED = "refused"
    """It cannot be; the letter stays."""
    FAILED = "failed"
    """Not now; the letter stays."""


@value
class Redriven:
    """The report on one letter."""

    number: int
    job: str | None
    outcome: RedriveOutcome
    new_job: str | None = None
    """The id to wait for."""
    reason: str = ""


def next_job_id(job: str) -> str:
    """The id under which a job is tried again: `j` becomes `j-r1`, and that `j-r2`.

    Of an id that leaves no room for the number a hash is taken.
    """
    found = _NUMBERED.fullmatch(job)
    stem, number = (found[1], int(found[2]) + 1) if found is not None else (job, 1)
    if len(stem) > _LONGEST_STEM:
        stem = hashlib.sha256(stem.encode()).hexdigest()[:_HASH_CHARACTERS]
    return f"{stem}-r{number}"


def check_adapter(adapter: str | None) -> str | None:
    """The adapter, if jobs can be sent to it.

    Raises:
        InvalidRequestError: they cannot.
    """
    try:
        return None if adapter is None else check_adapter_spec(adapter)
    except ValueError as error:
        raise InvalidRequestError(field="to_adapter", reason=str(error)) from error


async def redrive(
    link: Link, letter: Letter, to_adapter: str | None, registered: AdapterRegistry
) -> Redriven:
    """Queue its job again and take the letter away; raises where the bus does not answer."""
    report = await _queue(link, letter, to_adapter, registered)
    if report.outcome in (RedriveOutcome.REDRIVEN, RedriveOutcome.BEFORE, RedriveOutcome.ANSWERED):
        await take_away(link, letter)
    return report


async def take_away(link: Link, letter: Letter) -> bool:
    """Delete a letter; whether it was there."""
    return await delete_message(link.bus, link.bus.subjects.stream("dead"), letter.number)


async def _queue(link: Link, letter: Letter, to_adapter: str | None, registered: AdapterRegistry) -> Redriven:
    work = letter.work()
    if work is None or letter.job is None or letter.tenant is None:
        why = "only the start of it was kept" if letter.told.truncated else f"it is no job: {letter.reason}"
        return _report(letter, RedriveOutcome.REFUSED, reason=why)
    try:
        address = link.bus.subjects.parse_job(letter.told.subject)
    except BadSubjectError as error:
        return _report(letter, RedriveOutcome.REFUSED, reason=str(error))
    ended = await _result(link, letter.tenant, letter.job)
    if ended is not None and ended.state is not ResultState.FAILED:
        return _report(letter, RedriveOutcome.ANSWERED, reason=f"job {letter.job} is {ended.state}")
    new, is_old = await _free_id(link, letter, letter.tenant, letter.job)
    if is_old:
        return _report(letter, RedriveOutcome.BEFORE, new)
    if work.prompt_ref is not None and not await PayloadStore(link.bus).has(work.prompt_ref):
        why = "its prompt was kept by reference and is gone: submit it anew"
        return _report(letter, RedriveOutcome.REFUSED, reason=why)
    aimed = _aimed(address, to_adapter)
    if aimed.adapter is not None and not _is_known(registered, aimed.adapter):
        # It would fail for good, and that leaves no letter: the job would be lost.
        return _report(letter, RedriveOutcome.REFUSED, reason=f"adapter {aimed.adapter!r} is not registered")
    return await _publish(link, letter, aimed, _anew(work, new, to_adapter))


def _is_known(registered: AdapterRegistry, adapter: str) -> bool:
    """Whether its name is registered; where no adapter is, nobody can say yet."""
    if adapter.startswith(COMPOSED) or not registered.known:
        return True
    name, version = split_version(adapter)
    named = name if version is None or is_alias(version) else adapter
    return is_registered(registered, named)


async def _free_id(link: Link, letter: Letter, tenant: str, job: str) -> tuple[str, bool]:
    """The id for the job's next life, and whether this letter has had it already."""
    new = next_job_id(job)
    while (known := await _result(link, tenant, new)) is not None:
        if known.finished_at >= letter.at:
            return new, True
        new = next_job_id(new)  # of an earlier life of this id
    return new, False


def _aimed(address: JobAddress, to_adapter: str | None) -> JobAddress:
    adapter = address.adapter if to_adapter is None else to_adapter
    return JobAddress(lane=address.lane, tenant=address.tenant, adapter=adapter)


def _anew(work: Job, new: str, to_adapter: str | None) -> Job:
    """As it was asked for, but for its deadline, which is past: whoever redrives it wants an answer."""
    changed: dict[str, object] = {"id": new, "created_at": time.time(), "deadline": None}
    if to_adapter is not None:
        changed["composition"] = None
    return work.model_copy(update=changed)


async def _publish(link: Link, letter: Letter, address: JobAddress, job: Job) -> Redriven:
    name = f"{subject_token(address.tenant)}-{job.id}"
    outgoing = Outgoing(job=name, subject=link.bus.subjects.job(address), body=encode_given(job))
    (answer,) = await link.publisher.send([outgoing])
    if not isinstance(answer, Accepted):
        return _report(letter, RedriveOutcome.FAILED, reason=str(answer))
    outcome = RedriveOutcome.BEFORE if answer.duplicate else RedriveOutcome.REDRIVEN
    return _report(letter, outcome, job.id)


async def _result(link: Link, tenant: str, job: str) -> JobResult | None:
    subjects = link.bus.subjects
    try:
        found = await link.bus.js.get_msg(
            subjects.stream("results"), subject=subjects.result(tenant, job), direct=True
        )
        return decode(JobResult, found.data or b"")
    except (nats.js.errors.NotFoundError, MalformedMessageError):
        return None


def _report(
    letter: Letter, outcome: RedriveOutcome, new_job: str | None = None, *, reason: str = ""
) -> Redriven:
    return Redriven(number=letter.number, job=letter.job, outcome=outcome, new_job=new_job, reason=reason)


def failed(letter: Letter, error: LorayardError) -> Redriven:
    """Nobody has taken it now."""
    return _report(letter, RedriveOutcome.FAILED, reason=str(error))
