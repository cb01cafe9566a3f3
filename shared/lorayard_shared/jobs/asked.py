"""What is known of a job when its adapter is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from lorayard_schemas.alias import AliasRecord, Sticky
from lorayard_schemas.composition import Composition
from lorayard_schemas.plain_job import read_job
from lorayard_schemas.semantic import SemanticVerdict
from lorayard_schemas.subjects import JobAddress
from lorayard_shared.jobs.bound import read_bound
from lorayard_shared.jobs.taken_job import TakenJob
from lorayard_shared.value import value


@value
class Asked:
    """Who asks for what."""

    tenant: str
    job: str
    adapter: str | None = None
    """As it was named."""
    composition: Composition | None = None
    """Several adapters instead; `adapter` only stands for them then."""
    session: str | None = None
    task: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    bound: Mapping[str, str] | None = None
    """`name@alias` -> the version that an earlier attempt had, or an earlier turn beside its one adapter."""
    body: bytes | None = None
    """The job's message: read only where its prompt has a say."""
    meant: SemanticVerdict | None = None
    """What was said of its prompt, of a job whose message is not kept."""


def asked_of(job: TakenJob, begun: str | None = None, session: Mapping[str, str] | None = None) -> Asked:
    """What a job asks for; `begun` are the versions that an earlier delivery had, as `bound_text` has them,
    `session` those of its session."""
    text, bound = begun or job.bound, session or None
    if text is not None:
        bound = {**(session or {}), **read_bound(text)}
    return Asked(
        tenant=job.address.tenant,
        job=job.job,
        adapter=job.address.adapter,
        composition=job.composition,
        session=job.session,
        task=job.task,
        metadata=job.metadata,
        bound=bound,
        body=job.body or None,
    )


def asked_of_body(address: JobAddress, body: bytes) -> Asked:
    """The same of a job as it was published; nothing is known of earlier attempts.

    Raises:
        MalformedMessageError: it is no job.
    """
    job = read_job(body)
    return Asked(
        tenant=address.tenant,
        job=job.id,
        adapter=address.adapter,
        composition=job.composition,
        session=job.session,
        task=job.task,
        metadata=job.metadata,
        body=body,
    )


def sticky_key(record: AliasRecord, asked: Asked) -> str:
    """What a split is drawn by; tenants never share one."""
    if record.sticky is Sticky.TENANT:
        return f"tenant\0{asked.tenant}"
    user = asked.metadata.get(record.user_field) if record.sticky is Sticky.USER else None
    if user is not None:
        return f"user\0{asked.tenant}\0{user}"
    if record.sticky is not Sticky.JOB and asked.session is not None:
        return f"session\0{asked.tenant}\0{asked.session}"
    return f"job\0{asked.tenant}\0{asked.job}"
