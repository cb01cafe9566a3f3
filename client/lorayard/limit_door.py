"""What the yard would surely refuse now, as its dispatchers tell a tenant's clients: it is not even sent.

A notice holds for seconds and may be lost, and it is no promise: what is let through here is judged by the
yard like anything else.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import nats.errors

from lorayard.errors import LimitReachedError
from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.names import subject_token
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.heard import Heard

if TYPE_CHECKING:
    from lorayard_schemas.limit import ClosedDoor

_ANY = ""
_VERSION = subject_token("@")


class LimitDoor:
    """One client's knowledge of limits that are used up; without any it costs a look at a dict."""

    def __init__(self, bus: Bus, tenant: str) -> None:
        self._bus = bus
        self._tenant = tenant
        self._shut: dict[str, tuple[float, ClosedDoor]] = {}
        """Adapter as a subject's token, or any: until when (monotonic seconds), and why."""
        self._listening: asyncio.Future[None] | None = None

    async def listen(self) -> None:
        """Hear notices from here on; a bus that is away is somebody else's to tell."""
        if self._listening is None:
            self._listening = asyncio.ensure_future(self._subscribe())
        await asyncio.shield(self._listening)

    async def _subscribe(self) -> None:
        with suppress(nats.errors.Error):
            await self._bus.nc.hear(self._bus.subjects.door(self._tenant), self._hear)

    def _hear(self, message: Heard) -> None:
        if not message.data:
            self._shut.clear()
            return
        from lorayard_schemas.limit import ClosedDoor  # most clients never hear of one

        try:
            notice = decode(ClosedDoor, message.data)
        except MalformedMessageError:
            return  # the yard says it again to whoever publishes
        adapter = _ANY if notice.adapter is None else subject_token(notice.adapter)
        self._shut[adapter] = (time.monotonic() + notice.seconds, notice)

    @property
    def is_shut(self) -> bool:
        """Whether anything was refused lately."""
        return bool(self._shut)

    def refusal(self, subject: str) -> LimitReachedError | None:
        """Why a job for this subject would be refused, if that is known."""
        adapter = subject.rpartition(".")[2].partition(_VERSION)[0]
        for named in (_ANY, adapter):
            until, notice = self._shut.get(named, (0.0, None))
            if notice is None:
                continue
            left = until - time.monotonic()
            if left > 0.0:
                return _error(notice, left)
            del self._shut[named]
        return None


def _error(notice: ClosedDoor, left: float) -> LimitReachedError:
    passed = notice.seconds - left
    retry = max(left, (notice.retry_after_seconds or 0.0) - passed)
    return LimitReachedError(notice.message, limit=notice.limit, retry_after_seconds=retry)
