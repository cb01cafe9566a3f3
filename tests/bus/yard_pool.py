"""Yards that tests take turns with: streams that one test has left untouched the next finds ready.

A yard has some thirty streams, and to make and remove them all was half of what a server did in a test that
needs five of them. What a test has touched is made anew for the next.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lorayard_shared.bus.connection import ApiError, Bus, connect
from lorayard_shared.bus.declare import STREAM_NOT_FOUND
from lorayard_shared.bus.topology import StreamDeclaration, Topology, topology
from lorayard_shared.settings import YardSettings

REST_SECONDS = 6.0
"""Until a yard is taken again: the server forgets a watcher that has left within 5 s, and what a stopped
process had still sent has come by then."""

JsonMap = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A stream as it was made."""

    declared: JsonMap
    found: JsonMap
    """What the server made of that."""


@dataclass(slots=True, kw_only=True)
class PooledYard:
    """The streams under one prefix."""

    prefix: str
    made: dict[str, Made] = field(default_factory=dict[str, Made])
    rests_since: float = 0.0


class YardPool:
    """Those of one server."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._resting = deque[PooledYard]()
        self._numbers = itertools.count(1)

    async def take(self, given: Mapping[str, object]) -> tuple[PooledYard, YardSettings]:
        """A yard as new, with settings of the test's choice."""
        yard = self._rested() or PooledYard(prefix=f"t{next(self._numbers)}")
        usual = {"url": self._url, "prefix": yard.prefix, "ack_wait_seconds": 2.0}
        settings = YardSettings.model_validate({**usual, **given})
        async with await connect(settings, name="declare") as bus:
            await _make(bus, topology(settings), yard.made)
        return yard, settings

    def give_back(self, yard: PooledYard) -> None:
        """It may be in any state."""
        yard.rests_since = time.monotonic()
        self._resting.append(yard)

    def _rested(self) -> PooledYard | None:
        if self._resting and time.monotonic() - self._resting[0].rests_since >= REST_SECONDS:
            return self._resting.popleft()
        return None


async def _make(bus: Bus, wanted: Topology, made: dict[str, Made]) -> None:
    """All that is wanted; `made` is what was there before, and then what is."""
    # Consumers keep count of what they gave out, so a stream that has any is always made anew.
    read = {consumer.stream for consumer in wanted.consumers}
    for stream in wanted.streams:
        before = made.get(stream.name)
        if before is not None and stream.name not in read and await _is_new(bus, stream, before):
            continue
        if before is not None:
            await _remove(bus, stream.name)
        answer = await bus.api(f"STREAM.CREATE.{stream.name}", {"name": stream.name, **stream.config})
        made[stream.name] = Made(declared=stream.config, found=answer["config"])
    for consumer in wanted.consumers:
        body = {"stream_name": consumer.stream, "config": consumer.config, "action": ""}
        await bus.api(f"CONSUMER.CREATE.{consumer.stream}.{consumer.name}", body)


async def _is_new(bus: Bus, stream: StreamDeclaration, made: Made) -> bool:
    """Whether nothing was ever stored in it, nobody reads it, and it is as it was made, and as is wanted."""
    if made.declared != stream.config:
        return False
    try:
        found = await bus.api(f"STREAM.INFO.{stream.name}")
    except ApiError as error:
        if error.code == STREAM_NOT_FOUND:
            return False
        raise
    state = found["state"]
    return bool(found["config"] == made.found and state["last_seq"] == 0 and state["consumer_count"] == 0)


async def _remove(bus: Bus, stream: str) -> None:
    try:
        await bus.api(f"STREAM.DELETE.{stream}")
    except ApiError as error:
        if error.code != STREAM_NOT_FOUND:
            raise
