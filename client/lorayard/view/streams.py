"""Streams, and the consumers that give out jobs, as the server lists them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from lorayard.view.bucket_copy import STREAM_NOT_FOUND
from lorayard.view.yard_state import ConsumerState, StreamState
from lorayard_shared.bus.connection import ApiError, Bus, JsonMap
from lorayard_shared.bus.losses import asked_again
from lorayard_shared.bus.topology import topology

LOOK_SECONDS = 5.0
"""Between two looks at all streams: what fills up does so slowly, and the listing has all their settings."""


class Streams:
    """Those of one yard."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        wanted = topology(bus.settings)
        self._wanted = frozenset(stream.name for stream in wanted.streams)
        self._jobs = bus.subjects.stream("jobs")
        self._consumers = frozenset(one.name for one in wanted.consumers if one.stream == self._jobs)
        self._looked = float("-inf")
        self.streams: tuple[StreamState, ...] = ()
        self.consumers: tuple[ConsumerState, ...] = ()
        self.missing: tuple[str, ...] = ()
        """Streams, and `stream/consumer`."""
        self._gone: tuple[str, ...] = ()
        self._stood: dict[str, float] = {}

    async def look(self, now: float) -> None:
        """`now` is monotonic seconds.

        Raises:
            ApiError: the server refused.
            nats.errors.Error: no answer.
        """
        if now - self._looked >= LOOK_SECONDS:
            listed = await self._listed("STREAM.LIST", "streams")
            mine = [one for one in listed if one["config"]["name"] in self._wanted]
            self.streams = tuple(sorted((_stream(one) for one in mine), key=lambda one: one.name))
            self._gone = tuple(sorted(self._wanted - {one.name for one in self.streams}))
            self._looked = now
        try:
            listed = await self._listed(f"CONSUMER.LIST.{self._jobs}", "consumers")
        except ApiError as error:
            if error.code != STREAM_NOT_FOUND:
                raise
            self.consumers, self.missing = (), self._gone
            return
        found = [_consumer(one) for one in listed if one["name"] in self._consumers]
        lacking = sorted(self._consumers - {one.name for one in found})
        self.missing = (*self._gone, *(f"{self._jobs}/{name}" for name in lacking))
        before = {one.name: one for one in self.consumers}
        self._stood = {one.name: self._since(one, before, now) for one in found if _stands(one)}
        self.consumers = tuple(
            replace(one, quiet_seconds=now - self._stood.get(one.name, now)) for one in found
        )

    def _since(self, one: ConsumerState, before: Mapping[str, ConsumerState], now: float) -> float:
        """Since when nobody has pulled from it."""
        was = before.get(one.name)
        moved = was is None or was.delivered != one.delivered
        return now if moved else self._stood.get(one.name, now)

    async def _listed(self, verb: str, field: str) -> list[JsonMap]:
        """All pages of a listing."""
        found: list[JsonMap] = []
        while True:
            page = await asked_again(self._bus, partial(self._bus.api, verb, {"offset": len(found)}))
            rows: list[JsonMap] = page.get(field) or []
            found += rows
            if not rows or len(found) >= int(page.get("total", 0)):
                return found


def _stands(one: ConsumerState) -> bool:
    return one.pending > 0 and not one.pulls


def _stream(told: JsonMap) -> StreamState:
    config, state = told["config"], told["state"]
    most = int(config.get("max_bytes", -1))
    return StreamState(
        name=str(config["name"]),
        messages=int(state["messages"]),
        bytes=int(state["bytes"]),
        most_bytes=most if most > 0 else None,
        refuses=config.get("discard") == "new",
    )


def _consumer(told: JsonMap) -> ConsumerState:
    return ConsumerState(
        name=str(told["name"]),
        pending=int(told.get("num_pending", 0)),
        unacked=int(told.get("num_ack_pending", 0)),
        pulls=int(told.get("num_waiting", 0)),
        delivered=int(told.get("delivered", {}).get("consumer_seq", 0)),
    )
