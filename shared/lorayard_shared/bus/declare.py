"""Make what the topology declares, and say where the bus differs from it.

What exists is never changed on the way: an operator may have raised a limit on purpose. Differences are
returned as drift, and put right only on demand (`mend`).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from lorayard_shared.bus.connection import ApiError, Bus
from lorayard_shared.bus.repartition import is_moving, repartition
from lorayard_shared.bus.topology import (
    PINNED,
    PRIORITIZED,
    ConsumerDeclaration,
    StreamDeclaration,
    Topology,
    partitions_of,
)
from lorayard_shared.errors import BusDeclarationError

STREAM_NOT_FOUND = 10059
CONSUMER_NOT_FOUND = 10014
INSUFFICIENT_STORAGE = 10047

JsonMap = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One difference between a declaration and the server."""

    name: str
    """Stream, or `stream/consumer`."""
    key: str
    """Setting; `""` means that the whole thing is missing."""
    declared: object
    found: object

    def __str__(self) -> str:
        """One line for people."""
        if not self.key:
            return f"{self.name} is missing"
        return f"{self.name}: {self.key} is {self.found!r}, declared {self.declared!r}"


async def declare(bus: Bus, wanted: Topology) -> tuple[Drift, ...]:
    """Create what is missing; idempotent. Returns how the rest differs from its declaration.

    Raises:
        BusDeclarationError: the server refused one, with its reason.
    """
    drifts: list[Drift] = []
    for stream in wanted.streams:
        found = await _stream_config(bus, stream.name)
        _check_partitions(stream, found)
        drifts += await _ensure_stream(bus, stream, found)
    for consumer in wanted.consumers:
        drifts += await _ensure_consumer(bus, consumer)
    return tuple(drifts)


async def find_drift(bus: Bus, wanted: Topology) -> tuple[Drift, ...]:
    """What differs or is missing; changes nothing."""
    drifts: list[Drift] = []
    for stream in wanted.streams:
        drifts += _compare(stream.name, stream.config, await _stream_config(bus, stream.name))
    for consumer in wanted.consumers:
        name = f"{consumer.stream}/{consumer.name}"
        drifts += _compare(name, consumer.config, await _consumer_config(bus, consumer))
    return tuple(drifts)


async def mend(bus: Bus, wanted: Topology) -> tuple[Drift, ...]:
    """Create what is missing and update what differs; returns what the server would not change."""
    for stream in wanted.streams:
        if _other_partitions(stream, await _stream_config(bus, stream.name)):
            await repartition(bus, stream, wanted)
    drifted = {drift.name for drift in await declare(bus, wanted)}
    for stream in wanted.streams:
        if stream.name in drifted:
            current = await _stream_config(bus, stream.name) or {}
            config = {**current, **stream.config, "name": stream.name}
            # Some settings are for life: what the server refuses to change stays in what is returned.
            with suppress(BusDeclarationError):
                await _ask(bus, "stream", stream.name, f"STREAM.UPDATE.{stream.name}", config)
    for consumer in wanted.consumers:
        if f"{consumer.stream}/{consumer.name}" in drifted:
            with suppress(BusDeclarationError):
                await _create_consumer(bus, consumer, action="update")
    return await find_drift(bus, wanted)


def _check_partitions(stream: StreamDeclaration, config: JsonMap | None) -> None:
    """Consumers of other partitions would overlap with what is there, or leave jobs unread."""
    found = _other_partitions(stream, config)
    if not found:
        return
    if found == partitions_of(stream.config):
        raise BusDeclarationError(
            kind="stream",
            name=stream.name,
            reason="the change of its partitions was ended in the middle, and some jobs are in none; "
            "finish it: lorayard doctor --mend",
        )
    raise BusDeclarationError(
        kind="stream",
        name=stream.name,
        reason=f"its partitions number {found}, and LORAYARD_PARTITIONS is "
        f"{partitions_of(stream.config)} here; give every process the same number, or stop dispatchers "
        "and workers and change the yard: lorayard doctor --mend",
    )


def _other_partitions(stream: StreamDeclaration, found: JsonMap | None) -> int | None:
    """The stream's number of partitions, if it is another than declared, or not all jobs are in one yet."""
    if found is None:
        return None
    number = partitions_of(found)
    return number if is_moving(found) or number != partitions_of(stream.config) else None


async def _ensure_stream(bus: Bus, stream: StreamDeclaration, found: JsonMap | None) -> list[Drift]:
    if found is not None:
        return _compare(stream.name, stream.config, found)
    await _ask(
        bus, "stream", stream.name, f"STREAM.CREATE.{stream.name}", {"name": stream.name, **stream.config}
    )
    return []


async def _ensure_consumer(bus: Bus, consumer: ConsumerDeclaration) -> list[Drift]:
    found = await _consumer_config(bus, consumer)
    if found is not None:
        return _compare(f"{consumer.stream}/{consumer.name}", consumer.config, found)
    await _create_consumer(bus, consumer, action="")
    return []


async def _create_consumer(bus: Bus, consumer: ConsumerDeclaration, *, action: str) -> None:
    body = {"stream_name": consumer.stream, "config": consumer.config, "action": action}
    verb = f"CONSUMER.CREATE.{consumer.stream}.{consumer.name}"
    await _ask(bus, "consumer", f"{consumer.stream}/{consumer.name}", verb, body)


async def _stream_config(bus: Bus, name: str) -> JsonMap | None:
    try:
        return dict((await bus.api(f"STREAM.INFO.{name}"))["config"])
    except ApiError as error:
        if error.code == STREAM_NOT_FOUND:
            return None
        raise BusDeclarationError(kind="stream", name=name, reason=str(error)) from error


async def _consumer_config(bus: Bus, consumer: ConsumerDeclaration) -> JsonMap | None:
    try:
        return dict((await bus.api(f"CONSUMER.INFO.{consumer.stream}.{consumer.name}"))["config"])
    except ApiError as error:
        if error.code in (CONSUMER_NOT_FOUND, STREAM_NOT_FOUND):
            return None
        name = f"{consumer.stream}/{consumer.name}"
        raise BusDeclarationError(kind="consumer", name=name, reason=str(error)) from error


async def _ask(bus: Bus, kind: str, name: str, verb: str, body: JsonMap) -> None:
    try:
        await bus.api(verb, body)
    except ApiError as error:
        reason = str(error)
        if error.code == INSUFFICIENT_STORAGE:
            reason += "; free disk space for the server's store, or lower LORAYARD_JOBS_MAX_BYTES, "
            reason += "LORAYARD_RESULTS_MAX_BYTES and LORAYARD_PAYLOADS_MAX_BYTES"
        raise BusDeclarationError(kind=kind, name=name, reason=reason) from error


def _compare(name: str, declared: JsonMap, found: JsonMap | None) -> list[Drift]:
    if found is None:
        return [Drift(name=name, key="", declared="present", found="missing")]
    return [
        Drift(name=name, key=key, declared=value, found=found.get(key))
        for key, value in declared.items()
        if not (key in PINNED and found.get("priority_policy") == PRIORITIZED["priority_policy"])
        # The server leaves out what is zero or false.
        if found.get(key, _absent(value)) != value
    ]


def _absent(value: object) -> object:
    return type(value)() if isinstance(value, (bool, int)) else None
