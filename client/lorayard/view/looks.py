"""Shares the looks of one reader among all who ask at once."""

from __future__ import annotations

import asyncio
import time

from lorayard.view.reader import ALL, SnapshotReader
from lorayard_schemas.snapshot import SnapshotPart, YardSnapshot


class Looks:
    """One look at a time; who asks while one is under way, or shortly after, gets what another has read."""

    def __init__(self, reader: SnapshotReader) -> None:
        self.reader = reader
        self._looking = asyncio.Lock()
        self._last: YardSnapshot | None = None
        self._of: frozenset[SnapshotPart] = frozenset()
        self._began = float("-inf")

    async def look_at_workers(self) -> None:
        """As `SnapshotReader.look_at_workers`."""
        async with self._looking:
            await self.reader.look_at_workers()

    async def snapshot(
        self, parts: frozenset[SnapshotPart] = ALL, *, older_seconds: float = 1.0
    ) -> YardSnapshot:
        """With at least these parts, and begun no longer ago than so many seconds before it was asked for.

        Raises:
            YardNotReadyError: there is no yard.
            ApiError, nats.errors.Error: as `SnapshotReader.read`.
        """
        asked = time.monotonic()
        async with self._looking:
            last = self._last
            if last is None or not parts <= self._of or self._began < asked - older_seconds:
                # Who asks for another part a moment later shall not cost another look.
                wanted = parts | self._of if older_seconds > 0 else parts
                began = time.monotonic()
                last = await self.reader.read(wanted)
                self._last, self._of, self._began = last, wanted, began
            return last
