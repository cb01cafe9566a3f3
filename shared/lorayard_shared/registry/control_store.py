"""Pauses and caps in their bucket."""

from __future__ import annotations

from lorayard_schemas.control import (
    CAPS,
    PAUSES,
    Cap,
    Controlled,
    Pause,
    cap_key,
    label_of,
    pause_key,
)
from lorayard_shared.bus.connection import Bus
from lorayard_shared.registry.chronicle import Chronicle
from lorayard_shared.registry.errors import PauseUnknownError
from lorayard_shared.registry.records import Author


class ControlStore:
    """Every change raises ContendedError, or `nats.errors.Error` where nobody answers."""

    def __init__(self, bus: Bus) -> None:
        self._pauses = Chronicle(bus, "control", Pause, told=_told_pause, prefix=PAUSES)
        self._caps = Chronicle(bus, "control", Cap, told=_told_cap, prefix=CAPS)

    async def pauses(self, now: float) -> list[Pause]:
        """What is paused at `now` (unix seconds), the longest first."""
        found = [one for one in await self._pauses.list() if not one.is_over(now)]
        return sorted(found, key=lambda one: (one.at, one.label))

    async def caps(self) -> list[Cap]:
        """What is capped, the oldest first."""
        return sorted(await self._caps.list(), key=lambda one: (one.at, one.label))

    async def pause(self, pause: Pause, author: Author) -> None:
        """Pause; what is paused already gets the newer end and reason."""
        verb = "drain" if pause.drain else "pause"
        key = pause_key(pause.kind, pause.name)
        await self._pauses.change(key, lambda _: pause, author, verb=verb, label=pause.label)

    async def resume(self, kind: Controlled, name: str, author: Author, *, now: float) -> Pause:
        """End just this pause; returns what it was.

        Raises:
            PauseUnknownError: there is none, or it has ended by itself.
        """
        key, label = pause_key(kind, name), label_of(kind, name)
        known = (await self._pauses.read(key)).now
        if known is None or known.is_over(now):
            raise PauseUnknownError(label=label, word="paused")
        await self._pauses.change(key, lambda _: None, author, verb="resume", label=label)
        return known

    async def cap(self, cap: Cap, author: Author) -> None:
        """Cap; what is capped already gets the newer number."""
        key = cap_key(cap.kind, cap.name)
        await self._caps.change(key, lambda _: cap, author, verb="cap", label=cap.label)

    async def uncap(self, kind: Controlled, name: str, author: Author) -> None:
        """Take just this cap away.

        Raises:
            PauseUnknownError: there is none.
        """
        key, label = cap_key(kind, name), label_of(kind, name)
        if (await self._caps.read(key)).now is None:
            raise PauseUnknownError(label=label, word="capped")
        await self._caps.change(key, lambda _: None, author, verb="uncap", label=label)


def _told_pause(pause: Pause) -> str:
    until = "" if pause.until is None else f" until {pause.until:.0f}"
    return f"{pause.label} {pause.word}{until}"


def _told_cap(cap: Cap) -> str:
    return f"{cap.label} capped to {cap.most} jobs at once"
