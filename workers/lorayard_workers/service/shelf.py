"""Which adapters this worker can serve: those on its own disk, and those it can fetch from the store.

A record in the bucket is enough to take a job: its files come while the job is held. Folders that an operator
gave are never touched.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import nats.errors
import nats.js.errors
import structlog

from lorayard_schemas.adapter import AdapterRecord, AdapterState, decode_record
from lorayard_schemas.assignment import AdapterRef
from lorayard_schemas.errors import MalformedMessageError
from lorayard_shared.adapters.errors import AdapterRefusedError
from lorayard_shared.bus.connection import Bus
from lorayard_shared.logs import Event
from lorayard_shared.process import end_tasks
from lorayard_shared.registry.errors import RegistryError
from lorayard_shared.registry.records import Records
from lorayard_workers.adapters.catalog import CatalogEntry
from lorayard_workers.adapters.pulled_folder import PulledFolder
from lorayard_workers.engine.protocol import Engine
from lorayard_workers.errors import CapacityError
from lorayard_workers.service.puller import Puller

LOOK_SECONDS = 1.0
"""Between two looks at what is used no more."""

KEPT_SECONDS = 10.0
"""Files stay in use that long after they were asked for last: an order takes a moment to reach the loader."""

ASK_SECONDS = 2.0
"""For all records of one request, where a dispatcher knew of them first: it waits for the answer."""

HEAR_SECONDS = 1.0
"""For what the bucket of records holds by now; who gives an order waits 2 s for its answer."""


class UnfitError(Exception):
    """The adapter cannot be served here, whoever asks."""

    def __init__(self, reason: str, *, module: str | None = None, judged: bool = False) -> None:
        """`judged`: its files were looked at and are unsound, or made for another base model."""
        super().__init__(reason)
        self.module = module
        self.judged = judged


class Shelf:
    """The adapters at hand, and those that can be."""

    def __init__(
        self,
        bus: Bus,
        engine: Engine,
        served: Sequence[CatalogEntry],
        *,
        folders: dict[str, Path],
        pulled: PulledFolder,
        puller: Puller,
        templates: dict[str, str],
        max_rank: int,
        in_jobs: Callable[[], Iterable[str]],
        on_change: Callable[[], None],
    ) -> None:
        """`folders` and `templates`, by digest, are kept up; `in_jobs` tells the digests of jobs held."""
        self._records = Records(bus)
        self._engine = engine
        self._local = {entry.digest: entry.rank for entry in served}
        self._folders = folders
        self._pulled = pulled
        self._puller = puller
        self.templates = templates
        self._max_rank = max_rank
        self._passed: dict[str, str] = {}
        """Registered, and not for this worker: why."""
        self._in_jobs = in_jobs
        self._on_change = on_change
        self._by_key: dict[str, AdapterRecord] = {}
        self.heard: Callable[[], None] = lambda: None
        """Called after each change of a record."""
        self.caught_up: Callable[[], Awaitable[None]] = _nothing_is_heard
        """Waits until all records have been heard that were written by now."""
        self._stored: dict[str, AdapterRecord] = {}
        self._unfit: dict[str, str] = {}
        self._asked: dict[str, float] = {}
        self._coming: dict[str, asyncio.Task[None]] = {}
        self._log = structlog.get_logger()

    # ---- what there is

    def knows(self, digest: str) -> bool:
        """Whether it can be served: its files are here, or in the store and fit as far as is known."""
        return digest in self._local or (digest in self._stored and digest not in self._unfit)

    def rank_of(self, digest: str) -> int | None:
        """Of one that can be served."""
        found = self._local.get(digest)
        if found is None and self.knows(digest):
            found = self._stored[digest].rank
        return found

    @property
    def coming(self) -> frozenset[str]:
        """On their way onto the disk."""
        return frozenset(self._coming)

    @property
    def fetched(self) -> frozenset[str]:
        """Fetched from the store, and held on the disk."""
        return frozenset(self._pulled.held)

    def on_record(self, key: str, value: bytes | None) -> None:
        """A change in the bucket of adapters."""
        before = self._by_key.pop(key, None)
        forgets = before is not None and self._stored.get(before.digest) == before
        if before is not None and forgets:
            del self._stored[before.digest]
        self._take(key, value)
        if before is not None and forgets and before.digest not in self._stored:
            self._keep_another(before.digest)
        self.heard()

    def records(self) -> Iterable[AdapterRecord]:
        """All that are registered, as far as was heard."""
        return self._by_key.values()

    def _keep_another(self, digest: str) -> None:
        """Two versions may have the same bytes: where one goes, the other serves on."""
        for record in self._by_key.values():
            if record.digest == digest:
                self._keep(record)

    def _take(self, key: str, value: bytes | None) -> None:
        if value is None:
            return
        try:
            record = decode_record(key, value)
        except MalformedMessageError:
            return  # a dispatcher says so
        self._by_key[key] = record
        self._keep(record)

    def _keep(self, record: AdapterRecord) -> None:
        if record.digest in self._local:
            return
        if (reason := self._unfit_here(record)) is not None:
            self._passed[record.digest] = reason
            return
        self._stored[record.digest] = record
        if record.state is not AdapterState.REFUSED:
            self._unfit.pop(record.digest, None)
        if record.prompt_template is not None:
            self.templates[record.digest] = record.prompt_template

    def _unfit_here(self, record: AdapterRecord) -> str | None:
        """Why this worker cannot have it; None: it may fit."""
        if not record.in_store:
            return f"the files of {record.label} are not in the store"
        if record.rank > self._max_rank:
            return f"{record.label} has rank {record.rank}, and LORAYARD_MAX_RANK here is {self._max_rank}"
        if record.base_digest not in (None, self._engine.base_digest):
            return f"{record.label} is for another base model ({record.base_digest})"
        return None

    def in_store(self, digest: str) -> bool:
        """Whether a version with these bytes can be fetched."""
        return any(
            record.digest == digest and self._unfit_here(record) is None for record in self._by_key.values()
        )

    def add(self, entry: CatalogEntry) -> None:
        """It lies in the operator's folder now."""
        self._local[entry.digest] = entry.rank
        self._folders[entry.digest] = entry.path
        self._unfit.pop(entry.digest, None)
        if entry.prompt_template is not None:
            self.templates[entry.digest] = entry.prompt_template

    def drop(self, digest: str, reason: str) -> None:
        """It is in the operator's folder no more; where the store has it, it is fetched from there."""
        if self._local.pop(digest, None) is None:
            return
        self._folders.pop(digest, None)
        self._passed[digest] = reason
        self._keep_another(digest)

    async def look_up(self, refs: Iterable[AdapterRef]) -> None:
        """Ask the bucket for what a dispatcher has heard of first."""
        named = {ref.digest: ref for ref in refs}
        strange = [
            ref for ref in named.values() if not self.knows(ref.digest) and ref.digest not in self._unfit
        ]
        if strange:
            with suppress(TimeoutError):
                async with asyncio.timeout(ASK_SECONDS):
                    await asyncio.gather(*map(self._look_up, strange))

    async def _look_up(self, ref: AdapterRef) -> None:
        with suppress(nats.errors.Error, RegistryError, TimeoutError):
            kept = await self._records.find(ref.name, ref.version)
            if kept is not None and kept.record.digest == ref.digest:
                self._keep(kept.record)

    async def hear_of(self, digests: Iterable[str]) -> None:
        """Wait for news of what an order is about: whoever gives it may have heard of it first, and would
        take what is unknown here for lacking, and answer its jobs so."""
        if all(self.knows(digest) or digest in self._unfit for digest in digests):
            return
        with suppress(nats.errors.Error, nats.js.errors.Error, TimeoutError):
            async with asyncio.timeout(HEAR_SECONDS):
                await self.caught_up()

    def folder_of(self, digest: str) -> Path | None:
        """Where its files lie, if they are here."""
        return self._folders.get(digest)

    # ---- bringing files here

    def here(self, digest: str) -> bool:
        """Whether its files are on this disk; they stay for a while from now."""
        if digest in self._local:
            return True
        self._asked[digest] = time.monotonic()
        if digest in self._coming or not self._pulled.hold(digest):
            return False
        self._folders[digest] = self._pulled.place(digest)
        return True

    async def bring(self, digest: str) -> None:
        """Fetch its files, once however many ask.

        Raises:
            UnfitError: it cannot be served here; it is not known any more.
            RegistryError, YardError, nats.errors.Error, CapacityError, OSError: not now.
        """
        if self.here(digest):
            return
        task = self._coming.get(digest)
        if task is None:
            record = self._stored.get(digest)
            if record is None:
                raise UnfitError(self._passed.get(digest, f"no files of {digest} here or in the store"))
            task = asyncio.create_task(self._bring(record), name=f"bring-{digest}")
            self._coming[digest] = task
            task.add_done_callback(lambda _: self._came(digest))
            self._on_change()
        await asyncio.shield(task)

    async def _bring(self, record: AdapterRecord) -> None:
        try:
            await self._puller.pull(record)
        except (AdapterRefusedError, CapacityError) as error:
            if isinstance(error, CapacityError) and error.setting == "pulled_bytes":
                raise  # others may leave
            self._unfit[record.digest] = str(error)
            self._log.error(
                Event.ADAPTER_REFUSED, adapter=record.name, version=record.version, reason=str(error)
            )
            if isinstance(error, AdapterRefusedError):
                raise UnfitError(error.reason, module=error.module, judged=True) from error
            raise UnfitError(str(error)) from error
        self._folders[record.digest] = self._pulled.place(record.digest)
        self._asked[record.digest] = time.monotonic()

    def _came(self, digest: str) -> None:
        task = self._coming.pop(digest)
        if not task.cancelled():
            task.exception()  # whoever waits has it; nobody may wait
        self._on_change()

    async def run(self) -> None:
        """Let go of files that are used no more, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._let_go(time.monotonic())

    def _let_go(self, now: float) -> None:
        residency = self._engine.residency()
        used = {*residency.loading, *residency.pinned, *self._in_jobs()}
        if residency.serves_only is not None:
            used.add(residency.serves_only)
        recent = {digest for digest, at in self._asked.items() if now - at < KEPT_SECONDS}
        free = self._pulled.held - used - recent
        for digest in free - self._local.keys():
            self._folders.pop(digest, None)
        self._pulled.release(free)
        self._asked = {digest: at for digest, at in self._asked.items() if digest in recent}

    async def end(self) -> None:
        """The worker ends: nothing is fetched any more, and others may remove what it used."""
        await end_tasks(list(self._coming.values()))
        await asyncio.to_thread(self._puller.stop)
        self._pulled.release(self._pulled.held)


async def _nothing_is_heard() -> None:
    """Nobody watches the records."""
