"""What operators say of adapters that matters when one has to leave a worker: their priorities."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping

from lorayard_schemas.adapter import AdapterRecord
from lorayard_shared.jobs.placements import Placements

GATHER_SECONDS = 0.1
"""From a change to the look at it: at the start thousands of records come one by one."""


class Preferences:
    """Keeps an engine told, from the declarations in the bucket and the records that the worker has seen."""

    def __init__(
        self, records: Callable[[], Iterable[AdapterRecord]], tell: Callable[[Mapping[str, float]], None]
    ) -> None:
        """`tell` gets doublings of worth by digest, whenever they are others than before."""
        self._records, self._tell = records, tell
        self._placements = Placements()
        self._told: dict[str, float] = {}
        self._changed = asyncio.Event()

    def on_placement(self, key: str, value: bytes | None) -> None:
        """A change in the bucket of declarations."""
        self._placements.on_change(key, value)
        self._changed.set()

    def on_record(self) -> None:
        """A version has come, gone or changed."""
        if self._placements.have_priorities:
            self._changed.set()

    async def run(self) -> None:
        """Look after each change, until cancelled."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(GATHER_SECONDS)
            self._changed.clear()
            self.look()

    def look(self) -> None:
        """Tell what counts now."""
        known: dict[str, dict[str, AdapterRecord]] = {}
        for record in self._records() if self._placements.have_priorities else ():
            known.setdefault(record.name, {})[record.version] = record
        found = {digest: math.log2(worth) for digest, worth in self._placements.worths(known).items()}
        if found != self._told:
            self._told = found
            self._tell(found)
