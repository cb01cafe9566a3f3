"""Make again what somebody has deleted under a running yard, where nothing is lost by it.

A consumer: what it had given out comes again, and is answered once. A bucket of which whoever lives tells all
again. A stream of jobs or results never: its content may be in a backup, and the server puts one back only
where there is no such stream.
"""

from __future__ import annotations

from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.declare import declare, find_drift
from lorayard_shared.bus.topology import StreamDeclaration, Topology, topology


async def restore(bus: Bus, wanted: Topology) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of what was made again, and of what is missing still.

    Raises:
        BusDeclarationError: the server refused, or jobs have other partitions than these settings.
        nats.errors.Error: no answer.
    """
    missing = {drift.name for drift in await find_drift(bus, wanted) if not drift.key}
    if not missing:
        return (), ()
    buckets = tuple(stream for stream in wanted.streams if stream.live and stream.name in missing)
    consumers = tuple(
        one for one in wanted.consumers if f"{one.stream}/{one.name}" in missing and one.stream not in missing
    )
    # With their streams, whose partitions are looked at.
    fed = {one.stream for one in consumers}
    streams = tuple(stream for stream in wanted.streams if stream.name in fed)
    await declare(bus, Topology(streams=(*buckets, *streams), consumers=consumers))
    made = {*(stream.name for stream in buckets), *(f"{one.stream}/{one.name}" for one in consumers)}
    return tuple(sorted(made)), tuple(sorted(missing - made))


def find_bucket(bus: Bus, bucket: str) -> StreamDeclaration:
    """A bucket's declaration."""
    return next(stream for stream in topology(bus.settings).streams if stream.name == f"KV_{bucket}")


async def restore_bucket(bus: Bus, bucket: str) -> None:
    """Declare one bucket again, for whoever knows what it held or hears it anew.

    Raises:
        BusDeclarationError: the server refused.
        nats.errors.Error: no answer.
    """
    await declare(bus, Topology(streams=(find_bucket(bus, bucket),), consumers=()))
