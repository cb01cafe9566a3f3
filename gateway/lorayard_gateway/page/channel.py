"""One sight of the yard as it changes, for all who see the same: each change is encoded once, and kept for a
while for who was cut off.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque

from lorayard_gateway.page.changes import changes, whole
from lorayard_gateway.page.replies import page_bytes
from lorayard_gateway.page.sight import Sight

KEPT = 60
"""Changes: a minute for a page to come back. After that it is told everything anew."""

POINTS = 900
"""Of a plot: a quarter of an hour that was watched, more than an hour that was not."""


class Channel:
    """What happens in it is numbered from 1 on."""

    def __init__(self) -> None:
        self._began = secrets.token_hex(4)
        """Numbers of another channel, or another gateway, mean nothing here."""
        self._number = 0
        self._sight = Sight()
        self._kept = deque[bytes](maxlen=KEPT)
        self._history = deque[tuple[float | None, ...]](maxlen=POINTS)
        self._changed = asyncio.Event()
        self.viewers = 0

    @property
    def sight(self) -> Sight:
        """As it is now."""
        return self._sight

    def show(self, sight: Sight) -> None:
        """Take the next one."""
        told = changes(self._sight, sight)
        self._sight = sight
        if sight.point:
            self._history.append(sight.point)
        if not told:
            return
        self._number += 1
        self._kept.append(_event("change", self._id(), told))
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def place(self, last_id: str) -> int | None:
        """How far a reader is that has heard the event of this id; None: nobody can tell."""
        began, _, number = last_id.partition(".")
        known = began == self._began and number.isascii() and number.isdigit() and len(number) < 16
        place = int(number) if known else -1
        return place if self._number - len(self._kept) <= place <= self._number else None

    def since(self, place: int | None) -> tuple[int, list[bytes]]:
        """What a reader has to hear, as events, and how far it is then."""
        if place is None or place < self._number - len(self._kept):
            return self._number, [_event("whole", self._id(), whole(self._sight, list(self._history)))]
        behind = self._number - place
        return self._number, list(self._kept)[len(self._kept) - behind :] if behind else []

    async def wait(self, place: int) -> None:
        """Until there is more."""
        while place >= self._number:
            await self._changed.wait()

    def stir(self) -> None:
        """Wake who waits, to look whether it may still."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _id(self) -> str:
        return f"{self._began}.{self._number}"


def _event(name: str, event_id: str, told: object) -> bytes:
    return b"event: %b\nid: %b\ndata: %b\n\n" % (
        name.encode(),
        event_id.encode(),
        page_bytes(told),
    )
