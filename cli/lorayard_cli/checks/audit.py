"""Are audit records all there, and as they were written."""

from __future__ import annotations

from collections.abc import AsyncIterator

from lorayard_cli.auditing.stream import verify_stream
from lorayard_cli.auditing.telling import Earlier
from lorayard_cli.checks.finding import Finding, fail, ok
from lorayard_shared.bus.connection import Bus


async def check_audit(bus: Bus) -> AsyncIterator[Finding]:
    """Every record is read: thousands a second."""
    report = await verify_stream(bus, Earlier(heads={}), after=0)
    if report.sound:
        yield ok("audit", f"{report.records} records of {report.writers} writers, none missing or changed")
        return
    first, more = report.faults[0], len(report.faults) - 1 + report.more_faults
    told = f"at record {first.sequence}: {first.text}" + (f", and {more} more" if more else "")
    yield fail(
        "audit",
        f"the trail is not as it was written: {told}",
        "who could write or purge that stream? All faults: lorayard audit --verify; "
        "known ones are left out with --after",
    )
