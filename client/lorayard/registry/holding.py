"""Who counts on a version without naming it where that is seen at once: sessions, and jobs that wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorayard_schemas import headers
from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.plain_job import read_job
from lorayard_schemas.session import SessionRecord
from lorayard_schemas.subjects import BadSubjectError
from lorayard_shared.bus.scanning import scan
from lorayard_shared.jobs.bound import binds, read_bound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorayard.link import Link
    from lorayard_schemas.subjects import Subjects

SCAN_SECONDS = 30.0
"""For the sessions, and for the jobs: some 100,000 a second are read of the one, on a machine of today."""

_COMPOSITION = b"composition"
"""As it stands in a job's body, whichever encoding that has."""


@dataclass(slots=True)
class _Found:
    """How many, and one of them."""

    count: int = 0
    first: str = ""

    def add(self, label: str) -> None:
        self.count += 1
        self.first = self.first or label


async def find_holders(link: Link, record: AdapterRecord) -> list[str]:
    """Sessions that go on with this version, and jobs to be tried again or later that get it; for people.

    What cannot be looked through in time counts as a holder, for nobody knows. Jobs of several adapters name
    their parts in their bodies, which are read for that.

    Raises:
        nats.errors.Error: the bus did not answer.
    """
    return [*await _sessions(link, record), *await _jobs(link, record), *await _parts(link, record)]


async def _sessions(link: Link, record: AdapterRecord) -> list[str]:
    found, version = _Found(), record.version.encode()

    def look(_subject: str, _headers: Mapping[str, str], body: bytes) -> None:
        if version not in body:
            return  # nearly all, and faster than reading them
        try:
            session = decode(SessionRecord, body)
        except MalformedMessageError:
            return  # none that anybody goes on with
        kept = session.adapter
        alone = kept is not None and (kept.name, kept.version) == (record.name, record.version)
        if alone or binds(session.bound, record.name, record.version):
            found.add(f"{session.session!r} of tenant {session.tenant!r}")

    bucket = link.bus.subjects.bucket("sessions")
    all_seen = await scan(link.bus, f"KV_{bucket}", f"$KV.{bucket}.>", look, seconds=SCAN_SECONDS)
    told = _unseen(all_seen, "sessions")
    if found.count:
        ttl = link.bus.settings.session_ttl_seconds
        told.append(
            f"{found.count} sessions go on with it, as {found.first}; one ends {ttl} s after its last turn"
        )
    return told


async def _jobs(link: Link, record: AdapterRecord) -> list[str]:
    subjects, found = link.bus.subjects, _Found()

    def look_delayed(subject: str, given: Mapping[str, str], body: bytes) -> None:
        named = _target(subjects, given) == record.label or _names_part(body, record)
        if named or _is_bound(given, record):
            tenant, _, job = subject.removeprefix(subjects.delayed.removesuffix(">")).rpartition(".")
            found.add(f"{job} of tenant {tenant!r}")

    def look_due(subject: str, given: Mapping[str, str], body: bytes) -> None:
        # Those that name it alone are counted with the others.
        if _is_bound(given, record) or _names_part(body, record):
            found.add(f"one under {subject}")

    stream = subjects.stream("delayed")
    all_seen = await scan(link.bus, stream, subjects.delayed, look_delayed, seconds=SCAN_SECONDS)
    all_seen &= await scan(link.bus, stream, subjects.due, look_due, seconds=SCAN_SECONDS)
    told = _unseen(all_seen, "delayed jobs")
    if found.count:
        told.append(f"{found.count} delayed jobs name it or are bound to it, as {found.first}")
    return told


async def _parts(link: Link, record: AdapterRecord) -> list[str]:
    """Jobs that wait or run, and are composed of it."""
    subjects, found = link.bus.subjects, _Found()

    def look(subject: str, _given: Mapping[str, str], body: bytes) -> None:
        if _names_part(body, record):
            found.add(f"one under {subject}")

    all_seen = await scan(link.bus, subjects.stream("jobs"), subjects.jobs, look, seconds=SCAN_SECONDS)
    told = _unseen(all_seen, "jobs")
    if found.count:
        told.append(f"{found.count} jobs that are not done are composed of it, as {found.first}")
    return told


def _names_part(body: bytes, record: AdapterRecord) -> bool:
    """Whether a job says that this version is a part of what it wants."""
    if _COMPOSITION not in body:
        return False  # nearly all
    try:
        composition = read_job(body).composition
    except MalformedMessageError:
        return False  # whoever takes it refuses it
    return composition is not None and any(part.adapter == record.label for part in composition.parts)


def _target(subjects: Subjects, given: Mapping[str, str]) -> str | None:
    """The adapter that a delayed job names."""
    try:
        return subjects.parse_job(given.get(headers.SCHEDULE_TARGET, "")).adapter
    except BadSubjectError:
        return None


def _is_bound(given: Mapping[str, str], record: AdapterRecord) -> bool:
    """Whether an alias gave an earlier attempt this version."""
    return binds(read_bound(given.get(headers.BOUND, "")), record.name, record.version)


def _unseen(all_seen: bool, what: str) -> list[str]:
    if all_seen:
        return []
    return [f"the {what} could not be looked through in {SCAN_SECONDS:g} s: try again when there are fewer"]
