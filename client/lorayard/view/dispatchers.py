"""Asks dispatchers for their status; one that does not answer holds nobody up twice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import nats.errors

from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.status import DispatcherStatus
from lorayard_shared.bus.connection import Bus

ANSWER_SECONDS = 0.5
"""It takes milliseconds; one that plans for a large fleet takes some tens."""

AGAIN_SECONDS = 5.0
"""Until one is asked again that did not answer, while it says that it lives."""


class Dispatchers:
    """Those of one yard."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._silent: dict[str, float] = {}
        self.silent: tuple[str, ...] = ()
        """Live, as the bus says, and do not answer."""

    async def ask(self, names: Iterable[str], now: float) -> tuple[DispatcherStatus, ...]:
        """Those that answer, by name; `now` is monotonic seconds."""
        living = sorted(names)
        self._silent = {name: at for name, at in self._silent.items() if name in living}
        asked = [name for name in living if now - self._silent.get(name, -AGAIN_SECONDS) >= AGAIN_SECONDS]
        answers = await asyncio.gather(*(self._ask(name) for name in asked))
        for name, answer in zip(asked, answers, strict=True):
            if answer is None:
                self._silent[name] = now
            else:
                self._silent.pop(name, None)
        self.silent = tuple(sorted(self._silent))
        return tuple(answer for answer in answers if answer is not None)

    async def _ask(self, name: str) -> DispatcherStatus | None:
        subject = self._bus.subjects.dispatcher_status(name)
        try:
            reply = await self._bus.nc.request(subject, b"", timeout=ANSWER_SECONDS)
            return decode(DispatcherStatus, reply.data)
        except (nats.errors.Error, MalformedMessageError):
            return None
