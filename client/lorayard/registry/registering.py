"""What a push makes of the registry: a new record, or the files of one that is there for the same bytes."""

from __future__ import annotations

from collections.abc import Mapping

from lorayard.errors import InvalidRequestError
from lorayard.registry.publication import Publication
from lorayard_schemas.adapter import AdapterRecord, StoredFile
from lorayard_shared.registry.blobs import BlobStore, OnBytes
from lorayard_shared.registry.errors import VersionTakenError
from lorayard_shared.registry.records import Author, KeptRecord, Records


def check_same(known: AdapterRecord, publication: Publication) -> None:
    """Whether pushing again would leave the version as it is.

    Raises:
        VersionTakenError: it stands for other bytes.
        InvalidRequestError: something else was said of it.
    """
    wanted = publication.record
    if known.digest != wanted.digest:
        raise VersionTakenError(label=wanted.label, registered=known.digest, given=wanted.digest)
    if not known.in_store:
        return  # a worker has it on its disk: the push brings the files
    for field in ("labels", "tenants"):
        before, given = getattr(known, field), getattr(wanted, field)
        if given and given != before:
            raise InvalidRequestError(
                field=field,
                reason=f"{wanted.label} is registered with {before or 'none'}, and a push leaves it so; "
                "to change it: lorayard adapters amend",
            )
    _check_files(known, {file.name: file.sha256() for file in publication.files})


async def store_version(
    store: BlobStore, records: Records, publication: Publication, author: Author, on_bytes: OnBytes
) -> tuple[AdapterRecord, int]:
    """Send what the store lacks, and register the version: its record, and the bytes that were sent.

    Raises:
        VersionTakenError: it stands for other bytes, or for these in other files.
        StoreFullError: what was sent until then is kept.
    """
    stored, sent = list[StoredFile](), 0
    for file in publication.files:
        done = await store.send(file, on_bytes=on_bytes)
        stored.append(done.file)
        sent += done.sent_bytes
    kept = await _register(records, publication.stored(stored), author)
    for file in publication.files:  # a removal that had not seen this record may have taken parts
        sent += (await store.send(file)).sent_bytes
    return kept.record, sent


async def _register(records: Records, record: AdapterRecord, author: Author) -> KeptRecord:
    """Create the record, or add the files to the one that is there for the same bytes.

    Raises:
        VersionTakenError: it stands for other bytes, or for these in other files.
    """
    try:
        return await records.create(record, author)
    except VersionTakenError as error:
        if error.registered != error.given:
            raise

    def with_files(known: AdapterRecord) -> AdapterRecord:
        if known.digest != record.digest:
            raise VersionTakenError(label=record.label, registered=known.digest, given=record.digest)
        if known.in_store:
            _check_files(known, {file.name: file.sha256 for file in record.files})
            return known if known.recipe else known.model_copy(update={"recipe": record.recipe})
        said = {"labels": record.labels or known.labels, "tenants": record.tenants or known.tenants}
        found = {"files": record.files, "kind": record.kind, "recipe": known.recipe or record.recipe}
        return known.model_copy(update={**found, **said})

    return await records.change(record.name, record.version, with_files, author, verb="push")


def _check_files(known: AdapterRecord, given: Mapping[str, str]) -> None:
    """The same weights may lie in other files: another spelling of the configuration, other expectations."""
    before = {file.name: file.sha256 for file in known.files}
    for name in sorted({*before, *given}):
        if before.get(name) != given.get(name):
            raise VersionTakenError(
                label=known.label,
                registered=f"{known.digest} with {name} {before.get(name, 'missing')}",
                given=f"{known.digest} with {name} {given.get(name, 'missing')}",
            )
