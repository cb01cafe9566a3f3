"""`client.adapters`: what a yard can serve, and how something is added to it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from lorayard.answering import Answering
from lorayard.errors import InvalidRequestError
from lorayard.registry.activation import activate_version, validate_version
from lorayard.registry.amending import Amendment, amend_version, read_amendment
from lorayard.registry.archiving import archive_version
from lorayard.registry.comparing import AdapterDiff, Side, compare_sides, folder_meant
from lorayard.registry.publication import MAX_WEIGHTS_BYTES, PushOptions, read_publication
from lorayard.registry.pulling import pull_version
from lorayard.registry.registering import check_same, store_version
from lorayard.registry.removal import RemovalReport, remove_version
from lorayard.registry.repairing import RepairReport, repair_versions
from lorayard.registry.verifying import ClassifierCheck, VersionCheck, check_classifiers, check_versions
from lorayard.yard_view import list_adapters
from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.names import split_version, version_order
from lorayard_shared.registry.blobs import BlobStore, OnBytes, unheard
from lorayard_shared.registry.errors import VersionUnknownError
from lorayard_shared.registry.records import Author, Records
from lorayard_shared.registry.semantic_store import SemanticStore
from lorayard_shared.registry.sweeping import ORPHAN_SECONDS, OrphanReport, Sweeper

if TYPE_CHECKING:
    from lorayard.link import Link


@dataclass(frozen=True, slots=True, kw_only=True)
class PushReport:
    """What a push did."""

    record: AdapterRecord
    sent_bytes: int
    size_bytes: int
    """Of all files; what was not sent, the store had."""
    existing: bool
    """The version was registered before, for these very bytes."""
    ignored: tuple[str, ...]
    """Names of what else lies in the folder, and was not sent."""


class Adapters:
    """The adapters of one yard. Called, it lists every registered version."""

    def __init__(self, link: Callable[[], Link]) -> None:
        self._open_link = link

    async def __call__(self) -> list[AdapterRecord]:
        """Every registered adapter version.

        Raises:
            YardNotReadyError: there is no yard.
        """
        return await list_adapters(self._open_link())

    async def push(
        self,
        folder: Path | str,
        *,
        name: str,
        version: str,
        on_bytes: OnBytes = unheard,
        on_size: OnBytes = unheard,
        max_bytes: int = MAX_WEIGHTS_BYTES,
        **options: Unpack[PushOptions],
    ) -> PushReport:
        """Put a new version into the store, as `pushed`: it serves nobody yet.

        The folder is judged before a byte is sent. Only what the store lacks is sent, in parts, so that a
        push that was cut goes on where it ended. `on_size` is told the bytes of all files once they are
        known, `on_bytes` those that have come to be in place.

        Raises:
            AdapterRefusedError: the folder cannot be served, and why.
            InvalidRequestError: the name, version, a label or a tenant cannot be used.
            VersionTakenError: the version stands for other bytes; it names both digests.
            StoreFullError: what was sent until then is kept.
            YardNotReadyError, BusUnavailableError: there is no yard, or no bus.
        """
        link = self._open_link()
        publication = await asyncio.to_thread(
            read_publication,
            Path(folder),
            name=name,
            version=version,
            actor=link.settings.actor,
            options=options,
            max_bytes=max_bytes,
        )
        on_size(publication.size_bytes)
        async with Answering(link):
            records = Records(link.bus)
            known = await records.find(name, version)
            if known is not None:
                await asyncio.to_thread(check_same, known.record, publication)
            author = link.author(options.get("reason", ""))
            record, sent = await store_version(BlobStore(link.bus), records, publication, author, on_bytes)
        return PushReport(
            record=record,
            sent_bytes=sent,
            size_bytes=publication.size_bytes,
            existing=known is not None and known.record.in_store,
            ignored=publication.ignored,
        )

    async def pull(
        self,
        adapter: str,
        folder: Path | str,
        *,
        on_bytes: OnBytes = unheard,
        on_size: OnBytes = unheard,
    ) -> AdapterRecord:
        """Write a version's files to a folder that does not exist yet, all of them or none.

        `adapter` is a name, for the newest version in the store, or `name@version`. A pull that was cut goes
        on where it ended.

        Raises:
            VersionUnknownError: there is no such version, or none in the store.
            FileMissingError: the store lacks a part of it, or has other bytes.
            InvalidRequestError: something lies at the folder's place.
            AdapterRefusedError: its files are not what its record says.
        """
        link = self._open_link()
        record = await self.find(adapter)
        async with Answering(link):
            await pull_version(BlobStore(link.bus), record, Path(folder), on_size=on_size, on_bytes=on_bytes)
        return record

    async def verify(
        self, adapter: str | None = None, *, on_bytes: OnBytes = unheard, on_size: OnBytes = unheard
    ) -> list[VersionCheck]:
        """Read every file of versions from the store, and compare it with its record; nothing is changed.

        `adapter` is `name@version`, a name for all of its versions, or None for every adapter.

        Raises:
            VersionUnknownError: there is no such version.
        """
        link = self._open_link()
        records = await self._named(adapter)
        async with Answering(link):
            return await check_versions(BlobStore(link.bus), records, on_size=on_size, on_bytes=on_bytes)

    async def verify_classifiers(
        self, *, on_bytes: OnBytes = unheard, on_size: OnBytes = unheard
    ) -> list[ClassifierCheck]:
        """Read the files of every revision of the classifier that is kept, as `verify` does adapters'."""
        link = self._open_link()
        async with Answering(link):
            kept = [record for record in await SemanticStore(link.bus).past() if record.is_on]
            return await check_classifiers(BlobStore(link.bus), kept, on_size=on_size, on_bytes=on_bytes)

    async def repair(
        self,
        folder: Path | str,
        adapter: str | None = None,
        *,
        on_bytes: OnBytes = unheard,
        on_size: OnBytes = unheard,
    ) -> RepairReport:
        """Put right stored files that are missing or damaged, from an adapter's folder with the same bytes.

        `adapter` as in `verify`. Nothing is written but what the records tell of.

        Raises:
            VersionUnknownError: there is no such version.
            AdapterRefusedError: there is no such folder.
            StoreFullError: what was mended until then stays.
        """
        link = self._open_link()
        records = await self._named(adapter)
        async with Answering(link):
            return await repair_versions(
                BlobStore(link.bus), records, Path(folder), on_size=on_size, on_bytes=on_bytes
            )

    async def sweep(
        self, *, older_than_seconds: float = ORPHAN_SECONDS, dry_run: bool = False
    ) -> OrphanReport:
        """Take out of the store what no version and no classifier needs, as pushes leave that were cut.

        `older_than_seconds`: what is younger, by the server's clock, may belong to a push under way. With
        `dry_run` nothing is removed.

        Raises:
            InvalidRequestError: the age is no time.
            UnreadableRecordError, RecordUnreadableError: a record cannot be read: who knows what it needs?
            FileMissingError: nor where a version's file has no list of its parts; `repair` it first.
        """
        if not 0 <= older_than_seconds < math.inf:
            reason = f"seconds from 0 up are needed, got {older_than_seconds}"
            raise InvalidRequestError(field="older_than_seconds", reason=reason)
        link = self._open_link()
        async with Answering(link):
            sweeper = Sweeper(link.bus, lambda: list_adapters(link))
            return await sweeper.sweep_orphans(older_than_seconds=older_than_seconds, dry_run=dry_run)

    async def _named(self, adapter: str | None) -> list[AdapterRecord]:
        name, version = (None, None) if adapter is None else split_version(adapter)
        if adapter is not None and version is not None:
            return [await self.find(adapter)]
        there = [record for record in await self() if name in (None, record.name)]
        if adapter is not None and not there:
            raise VersionUnknownError(label=adapter)
        return sorted(there, key=lambda record: (record.name, version_order(record.version)))

    async def diff(
        self,
        first: Path | str,
        second: Path | str,
        *,
        on_bytes: OnBytes = unheard,
        on_size: OnBytes = unheard,
    ) -> AdapterDiff:
        """What differs between two adapters: settings field by field, and how far each module moved.

        Each is a version (as in `pull`) or a folder: a `Path`, or text that begins with `.`, `/` or `~`.

        Raises:
            VersionUnknownError: there is no such version, or none in the store.
            FileMissingError: the store lacks a part of one, or has other bytes.
            AdapterRefusedError: one of them is no adapter that can be read, with file and module.
        """
        link = self._open_link()
        one, other = await self._side(first), await self._side(second)
        records = [side.record for side, _ in (one, other) if side.record is not None]
        on_size(sum(file.size_bytes for record in records for file in record.files))
        async with Answering(link):
            return await compare_sides(BlobStore(link.bus), one, other, on_bytes=on_bytes)

    async def _side(self, given: Path | str) -> tuple[Side, Path | None]:
        if (folder := folder_meant(given)) is not None:
            return Side(label=str(given), record=None), folder
        record = await self.find(str(given))
        return Side(label=record.label, record=record), None

    async def validate(self, adapter: str, *, reason: str = "") -> AdapterRecord:
        """Have a worker fetch, load and try a version; `adapter` as in `pull`.

        Raises:
            NotValidatedError: it was refused, with module and reason, or no worker could try it.
            VersionUnknownError: there is no such version.
        """
        return await self._step(validate_version, adapter, reason)

    async def activate(self, adapter: str, *, reason: str = "") -> AdapterRecord:
        """Let a version serve; one that is only pushed is tried first.

        Raises:
            NotValidatedError: it was refused, with module and reason, or no worker could try it.
            TransitionError: its state does not allow it.
            VersionUnknownError: there is no such version.
        """
        return await self._step(activate_version, adapter, reason)

    async def archive(self, adapter: str, *, reason: str = "") -> AdapterRecord:
        """Let a version serve no more: jobs that run with it finish. Record and files are kept.

        `adapter` is `name@version`: none is taken away because it was left out.

        Raises:
            InvalidRequestError: it names no version.
            VersionNamedError: an alias, a rule or the classifier leads to it.
            VersionUnknownError: there is no such version.
        """
        if split_version(adapter)[1] is None:
            raise InvalidRequestError(field="adapter", reason=f"say which version of {adapter}: name@version")
        return await self._step(archive_version, adapter, reason)

    async def amend(
        self,
        adapter: str,
        *,
        labels: Mapping[str, str] | None = None,
        unlabel: Iterable[str] = (),
        tenants: Sequence[str] | None = None,
        all_tenants: bool = False,
        reason: str = "",
    ) -> AdapterRecord:
        """Change what is said of a version, and who may use it; its bytes never change.

        `labels` are set and keys in `unlabel` taken away; other labels stay. `tenants` are all who may use it
        from now on. Waiting jobs of anybody else are refused as if it did not exist, or get what else leads
        to them; what has begun runs on. `adapter` is `name@version`.

        Raises:
            InvalidRequestError: a label or a tenant cannot be used, there is nothing to change, or no version
                is named; nothing was changed.
            VersionUnknownError: there is no such version.
            ContendedError: others changed it every time that this was tried.
        """
        amendment = read_amendment(labels=labels, unlabel=unlabel, tenants=tenants, all_tenants=all_tenants)
        if split_version(adapter)[1] is None:
            raise InvalidRequestError(field="adapter", reason=f"say which version of {adapter}: name@version")
        return await self._step(partial(_amend, amendment), adapter, reason)

    async def remove(self, adapter: str, *, reason: str = "") -> RemovalReport:
        """Take a version out of the registry, and out of the store what no other version needs of it.

        `adapter` is `name@version`: what cannot be undone is said in full.

        Raises:
            ReferencedError: it serves, or is counted on by an alias, a rule, a placement, sessions, jobs.
            InvalidRequestError: it names no version.
            VersionUnknownError: there is no such version.
            ContendedError: it was changed at that moment.
        """
        if split_version(adapter)[1] is None:
            raise InvalidRequestError(field="adapter", reason=f"say which version of {adapter}: name@version")
        link = self._open_link()
        record = await self.find(adapter)
        async with Answering(link):
            return await remove_version(link, record, link.author(reason))

    async def _step(self, step: _Step, adapter: str, reason: str) -> AdapterRecord:
        link = self._open_link()
        record = await self.find(adapter)
        async with Answering(link):
            return await step(link, record, link.author(reason))

    async def find(self, adapter: str) -> AdapterRecord:
        """The record of `name@version`, or of a name's newest version in the store.

        Raises:
            VersionUnknownError: there is none.
        """
        name, version = split_version(adapter)
        link = self._open_link()
        if version is not None:
            async with Answering(link):
                return (await Records(link.bus).get(name, version)).record
        known = [record for record in await self() if record.name == name]
        there = [record for record in known if record.in_store]
        if not there:
            where = " in the store (workers have it on their own disks)" if known else ""
            raise VersionUnknownError(label=f"{adapter}{where}")
        return max(there, key=lambda record: version_order(record.version))


async def _amend(amendment: Amendment, link: Link, record: AdapterRecord, author: Author) -> AdapterRecord:
    return await amend_version(link, record, amendment, author)


_Step = Callable[["Link", AdapterRecord, Author], Awaitable[AdapterRecord]]
