"""The operator's folder of adapters while the worker runs: what is put there is found, judged and registered.

By looking, not by notifications of the system: those miss what others write on a network's disk.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import nats.errors
import nats.js.errors
import structlog

from lorayard_shared.bus.connection import Bus
from lorayard_shared.logs import Event
from lorayard_shared.process import in_daemon_thread
from lorayard_workers.adapters.catalog import BrokenEntry, Catalog, CatalogEntry, CatalogScanner
from lorayard_workers.adapters.folder_changes import FolderChanges, Key, changes_since, entry_key
from lorayard_workers.service.presence import Presence
from lorayard_workers.service.registration import register
from lorayard_workers.service.shelf import Shelf

REST = 20
"""Times as long as a look took, until the next one at least: looking takes 5 % of a core at most."""

ALTERED = "its files were changed; a version never changes its bytes: give them a version of their own"
REMOVED = "its folder was removed"


class FolderWatch:
    """Looks again and again, and tells the shelf, the registry and the advert what came of it."""

    def __init__(
        self,
        bus: Bus,
        scanner: CatalogScanner,
        shelf: Shelf,
        presence: Presence,
        *,
        found: Catalog,
        refused: Sequence[BrokenEntry],
        base_digest: str,
        kept: Callable[[str], bool],
        seconds: float,
    ) -> None:
        """`found`: at the start, with what of it the registry `refused`.

        `kept`: whether an adapter, by digest, can be served without its folder.
        """
        self._bus = bus
        self._scanner = scanner
        self._shelf = shelf
        self._presence = presence
        self._base_digest = base_digest
        self._kept = kept
        self._seconds = seconds
        self._known = {entry_key(entry): entry for entry in found.entries}
        self._told = _told(found.broken)
        self._kept_on: dict[Key, CatalogEntry] = {}
        """Altered, and offered on as they were."""
        self._withdrawn: dict[Key, BrokenEntry] = {}
        """Not what lies there, or nothing does: for the advert."""
        self._refused = {entry_key(entry): entry for entry in refused}
        """They lie there, and the registry has something against them; asked at each look."""
        self._trouble = ""
        self._log = structlog.get_logger().bind(worker=presence.worker)

    async def run(self) -> None:
        """Look until cancelled."""
        pause = self._seconds
        while True:
            await asyncio.sleep(pause)
            started, pause = time.monotonic(), self._seconds
            try:
                if not await self._look():  # reading what is new takes its time, once
                    pause = max(pause, REST * (time.monotonic() - started))
            except (nats.errors.Error, nats.js.errors.Error, OSError) as error:  # the next look sees it again
                self._note_trouble(str(error) or type(error).__name__)
            else:
                self._trouble = ""

    def _note_trouble(self, reason: str) -> None:
        """Say once why it cannot look, or register what it found."""
        if reason != self._trouble:
            self._log.warning(Event.FOLDER_NOT_READ, folder=str(self._scanner.root), reason=reason)
        self._trouble = reason

    async def _look(self) -> bool:
        """Whether anything was to be done."""
        # A disk that hangs must not keep the process.
        now = await in_daemon_thread(self._scan, name="adapter-scan")
        self._drop_lost(now)
        changes = changes_since(self._known, self._kept_on, now)
        refused = [entry for entry in now.entries if entry_key(entry) in self._refused]
        served = 0
        if changes or refused:
            served = await self._follow(changes, refused, now)
        if changes or served:
            self._presence.folder_changed()
        self._tell(now.broken)
        return bool(changes or served)

    def _drop_lost(self, now: Catalog) -> None:
        """What is offered on as it was is gone from memory where others needed the room."""
        lost = [entry for entry in self._kept_on.values() if not self._kept(entry.digest)]
        there = {entry.digest: entry for entry in now.entries}
        for entry in lost:
            del self._kept_on[entry_key(entry)]
            self._withdraw(entry, ALTERED, there)

    def _scan(self) -> Catalog:
        # A disk that is away for a while has not lost its adapters.
        if not self._scanner.root.is_dir():
            raise FileNotFoundError("it is no folder now; what was found there is offered on")
        return self._scanner.scan(patient=True)

    async def _follow(self, changes: FolderChanges, refused: Sequence[CatalogEntry], now: Catalog) -> int:
        """How many are served that were not."""
        fresh = {entry_key(entry): entry for entry in (*changes.new, *refused)}
        registered = await register(
            self._bus,
            tuple(fresh.values()),
            worker=self._presence.worker,
            base_digest=self._base_digest,
            told=tuple(self._refused.values()),
        )
        self._refused = {entry_key(entry): entry for entry in registered.refused}
        for entry in registered.served:
            self._shelf.add(entry)
            self._withdrawn.pop(entry_key(entry), None)
            self._kept_on.pop(entry_key(entry), None)
        there = {entry.digest: entry for entry in now.entries}
        for entry in changes.altered:
            self._alter(entry, there)
        for entry in changes.removed:
            self._kept_on.pop(entry_key(entry), None)
            self._withdraw(entry, REMOVED, there)
        self._known = {entry_key(entry): entry for entry in now.entries}
        return len(registered.served)

    def _alter(self, entry: CatalogEntry, there: dict[str, CatalogEntry]) -> None:
        """The old bytes are served on where they are still to be had."""
        if entry.digest not in there and self._kept(entry.digest) and not self._shelf.in_store(entry.digest):
            self._kept_on[entry_key(entry)] = entry
            self._say(entry, ALTERED)
        else:
            self._withdraw(entry, ALTERED, there)

    def _withdraw(self, entry: CatalogEntry, reason: str, there: dict[str, CatalogEntry]) -> None:
        """Offer it from here no more; it may lie in another folder too, or in the store."""
        self._say(entry, reason)
        if (other := there.get(entry.digest)) is not None:
            self._shelf.add(other)
        else:
            self._shelf.drop(entry.digest, f"{entry.name}@{entry.version}: {reason}")

    def _say(self, entry: CatalogEntry, reason: str) -> None:
        self._log.error(Event.ADAPTER_WITHDRAWN, adapter=entry.name, version=entry.version, reason=reason)
        self._withdrawn[entry_key(entry)] = BrokenEntry(
            name=entry.name, version=entry.version, path=entry.path, reason=reason
        )

    def _tell(self, broken: Sequence[BrokenEntry]) -> None:
        """Say once what cannot be served, and why."""
        for entry in broken:
            if (entry_key(entry), entry.reason) not in self._told:
                self._log.error(
                    Event.ADAPTER_REFUSED, adapter=entry.name, version=entry.version, reason=entry.reason
                )
        self._told = _told(broken)
        told = {entry_key(entry): entry for entry in broken}
        for key, entry in (*self._withdrawn.items(), *self._refused.items()):
            told.setdefault(key, entry)
        self._presence.refuse(list(told.values()))


def _told(broken: Sequence[BrokenEntry]) -> set[tuple[Key, str]]:
    return {(entry_key(entry), entry.reason) for entry in broken}
