"""The stream of audit records, as it lies on the bus."""

from __future__ import annotations

from typing import Any

from lorayard_cli.auditing.telling import Earlier
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_schemas.headers import CHAIN, CHAIN_FROM
from lorayard_shared.audit.keeping import Beginning, Keeping, trimmed
from lorayard_shared.audit.verifying import Report, Seen, Verifier
from lorayard_shared.bus.connection import ApiError, Bus
from lorayard_shared.bus.scanning import Lying, last_sequence, sequence_before, walk
from lorayard_shared.bus.server_time import server_seconds

LOOKS = 3


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


async def verify_stream(bus: Bus, earlier: Earlier, *, after: int) -> Report:
    """Whether all records behind the sequence `after` are there, and as they were written.

    Raises:
        CommandError: there is no such stream.
        nats.errors.Error: no answer.
    """
    for left in reversed(range(LOOKS)):
        report, first_now = await _look(bus, earlier, after)
        if report.sound or not left or first_now <= report.first_sequence:
            break  # else the stream's limits may have taken what was about to be read
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
