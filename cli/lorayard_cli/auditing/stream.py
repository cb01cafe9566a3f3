"""The stream of audit records, as it lies on the bus."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from lorayard_cli.auditing.record_lines import Wanted
from lorayard_cli.auditing.telling import Earlier
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_schemas.audit import AuditKind
from lorayard_schemas.headers import CHAIN, CHAIN_FROM
from lorayard_schemas.names import subject_token
from lorayard_shared.audit.keeping import Beginning, Keeping, trimmed
from lorayard_shared.audit.verifying import Report, Seen, Verifier
from lorayard_shared.bus.connection import ApiError, Bus
from lorayard_shared.bus.scanning import Lying, last_sequence, sequence_before, walk
from lorayard_shared.bus.server_time import server_seconds

MORE_LOOKS = 2

MUCH_EARLIER = 2000
"""Records: whoever gives a job out and whoever ends it write theirs a moment later, each in its own time."""


async def bounds(bus: Bus, since: float | None) -> tuple[int, int]:
    """Sequences: behind which one to begin, so that all is there from a time (unix seconds) on, and the last.

    Raises:
        CommandError: there is no such stream.
        nats.errors.Error: no answer.
    """
    stream = bus.subjects.stream("audit")
    try:
        after = 0 if since is None else await sequence_before(bus, stream, since)
        return after, await last_sequence(bus, stream)
    except ApiError as error:
        raise CommandError(ExitCode.NOT_READY, "no_yard", f"{stream}: {error.description}") from error


async def lying_of(bus: Bus, wanted: Wanted, since: float | None) -> AsyncGenerator[Lying]:
    """Records among which are all that are wanted, in their order.

    Raises:
        CommandError: there is no such stream.
        nats.errors.Error: no answer.
    """
    after, until = await bounds(bus, since)
    first, *others = _patterns(bus, wanted)
    sources = [_all(bus, first, after, until)]
    heads = [await anext(sources[0], None)]
    if wanted.job is not None and heads[0] is not None:
        after = max(after, heads[0].sequence - MUCH_EARLIER)  # what came of a job is not before it was given
    for pattern in others:
        sources.append(_all(bus, pattern, after, until))
        heads.append(await anext(sources[-1], None))
    while left := [(head.sequence, place) for place, head in enumerate(heads) if head is not None]:
        place = min(left)[1]
        if (head := heads[place]) is not None:
            yield head
        heads[place] = await anext(sources[place], None)


async def _all(bus: Bus, pattern: str, after: int, until: int) -> AsyncGenerator[Lying]:
    async for page in walk(bus, bus.subjects.stream("audit"), pattern, until=until, after=after):
        for lying in page:
            if lying.sequence <= until:
                yield lying


def _patterns(bus: Bus, wanted: Wanted) -> list[str]:
    """What the server sorts out itself; records of several jobs stand under no job's name."""
    head, kind = f"{bus.subjects.prefix}.audit", wanted.kind or "*"
    if wanted.job is None and wanted.tenant is None:
        return [f"{head}.>" if wanted.kind is None else f"{head}.{kind}.>"]
    tenant = "*" if wanted.tenant is None else subject_token(wanted.tenant)
    job = "*" if wanted.job is None else subject_token(wanted.job)
    patterns = [f"{head}.{kind}.{tenant}.{job}"]
    if wanted.kind in (None, AuditKind.OUTCOME):
        patterns.append(f"{head}.{AuditKind.OUTCOME}.*")
    if wanted.job is None and wanted.kind in (None, AuditKind.ACT):
        patterns.append(f"{head}.{AuditKind.ACT}.{tenant}")
    return patterns


async def verify_stream(bus: Bus, earlier: Earlier, *, after: int) -> Report:
    """Whether all records behind the sequence `after` are there, and as they were written.

    Raises:
        CommandError: there is no such stream.
        nats.errors.Error: no answer.
    """
    report, first_now = await _look(bus, earlier, after)
    for _ in range(MORE_LOOKS):
        if report.sound or first_now <= report.first_sequence:
            break
        # The stream's limits may have taken what was about to be read.
        report, first_now = await _look(bus, earlier, after)
    return report


async def _look(bus: Bus, earlier: Earlier, after: int) -> tuple[Report, int]:
    """What is found, and the sequence of the stream's first record afterwards."""
    verifier = Verifier(earlier.heads)
    stream = bus.subjects.stream("audit")
    _, until = await bounds(bus, None)
    async for page in walk(bus, stream, bus.subjects.audit, until=until, after=after):
        for lying in page:
            if lying.sequence <= until:
                verifier.see(_seen(lying))
    info = await bus.api(f"STREAM.INFO.{stream}")
    first = verifier.report.first_sequence or until + 1
    known = [earlier.first, Beginning(sequence=1, at=server_seconds(str(info["created"])))]
    for beginning in known:
        if beginning is None or first <= after + 1:
            continue
        if (fault := trimmed(first, beginning, _keeping(info))) is not None:
            verifier.add(fault)
            break
    report = verifier.end(last_sequence=until if verifier.report.records else None)
    return report, int(info["state"]["first_seq"])


def _keeping(info: dict[str, Any]) -> Keeping:
    config, state = info["config"], info["state"]
    return Keeping(
        now=server_seconds(str(info["ts"])),
        age_seconds=config.get("max_age", 0) / 1e9,
        size_bytes=int(state["bytes"]),
        most_bytes=int(config.get("max_bytes", -1)),
    )


def _seen(lying: Lying) -> Seen:
    return Seen(
        sequence=lying.sequence,
        subject=lying.subject,
        chain=lying.headers.get(CHAIN),
        restart=lying.headers.get(CHAIN_FROM),
        body=lying.body,
        at=lying.headers.get("Nats-Time-Stamp", ""),
    )
