"""A yard's snapshot: of whoever has read it already, else read here."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import nats.errors

from lorayard.answering import Answering
from lorayard.errors import InvalidRequestError
from lorayard.view.looks import Looks
from lorayard.view.reader import SnapshotReader
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.snapshot import AskSnapshot, SnapshotPart, YardSnapshot

if TYPE_CHECKING:
    from lorayard.link import Link

ANSWER_SECONDS = 1.5
"""A look takes some tens of milliseconds, and half a second more where a dispatcher is silent."""

AGAIN_SECONDS = 10.0
"""Until the service is asked again that did not answer: whoever hosts it hangs."""

VERB = "snapshot"


class SnapshotDesk:
    """What one client knows of who answers."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._looks = Looks(SnapshotReader(link.bus))
        self._failed = float("-inf")

    async def ask(self, parts: Iterable[SnapshotPart], older_seconds: float) -> YardSnapshot:
        """As `Client.snapshot`."""
        wish = AskSnapshot(parts=tuple(dict.fromkeys(parts)), older_seconds=older_seconds)
        async with Answering(self._link):
            found = await self._of_service(wish)
            if found is None:
                found = await self._looks.snapshot(frozenset(wish.parts), older_seconds=older_seconds)
        return trimmed(found, wish.parts)

    async def _of_service(self, wish: AskSnapshot) -> YardSnapshot | None:
        if time.monotonic() - self._failed < AGAIN_SECONDS:
            return None
        bus = self._link.bus
        try:
            reply = await bus.nc.request(bus.subjects.service(VERB), encode(wish), timeout=ANSWER_SECONDS)
            return (
                None if (reply.headers or {}).get("Nats-Service-Error") else decode(YardSnapshot, reply.data)
            )
        except nats.errors.NoRespondersError:
            return None  # at once: it costs nothing to ask again
        except (nats.errors.TimeoutError, MalformedMessageError):
            self._failed = time.monotonic()
            return None


def checked_parts(parts: Iterable[SnapshotPart | str] | None) -> tuple[SnapshotPart, ...]:
    """As they were asked for; None: all.

    Raises:
        InvalidRequestError: there is no such part.
    """
    if parts is None:
        return tuple(SnapshotPart)
    try:
        return tuple(SnapshotPart(part) for part in parts)
    except ValueError as error:
        known = ", ".join(SnapshotPart)
        raise InvalidRequestError(field="parts", reason=f"{error}; there are {known}") from error


def trimmed(found: YardSnapshot, parts: Iterable[SnapshotPart]) -> YardSnapshot:
    """Without what was not asked for."""
    wanted = set(parts)
    empty: dict[str, object] = {}
    for part, fields in _FIELDS.items():
        if part not in wanted:
            empty |= fields
    return found.model_copy(update=empty) if empty else found


_FIELDS: dict[SnapshotPart, dict[str, object]] = {
    SnapshotPart.QUEUES: {"queues": (), "queues_left_out": 0},
    SnapshotPart.ADAPTERS: {"adapters": (), "adapters_left_out": 0},
    SnapshotPart.WORKERS: {"workers": (), "workers_left_out": 0},
    SnapshotPart.HOLDS: {"strikes": (), "pauses": (), "caps": ()},
    SnapshotPart.BATCHES: {"batches": ()},
}
