"""Tells dispatchers what a worker holds: as soon as that changes, and not more often than they could use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

import nats.errors

from lorayard_schemas.assignment import WorkerLoad
from lorayard_schemas.codec import encode
from lorayard_shared.bus.connection import Bus

GAP_SECONDS = 0.002
"""Between two reports: what changes meanwhile is told together."""


class LoadReports:
    """One worker's. They go out with whatever else is sent in that turn of the loop, as acks."""

    def __init__(self, bus: Bus, load: Callable[[], WorkerLoad], to: Mapping[str, str]) -> None:
        """`load` makes a report, `to` are the subjects of those that it is for, by name."""
        self._bus = bus
        self._load = load
        self._to = to
        self._next_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def changed(self) -> None:
        """There is something to tell."""
        if self._timer is not None:
            return
        loop = asyncio.get_running_loop()
        if loop.time() < self._next_at:
            self._timer = loop.call_at(self._next_at, self._tell)
        else:
            self._tell()

    def _tell(self) -> None:
        self._timer = None
        if not self._to or not self._bus.connected:
            return
        self._next_at = asyncio.get_running_loop().time() + GAP_SECONDS
        body = encode(self._load())
        for subject in self._to.values():
            with suppress(nats.errors.Error):  # the next report or advert says it again
                self._bus.nc.post(subject, body)
