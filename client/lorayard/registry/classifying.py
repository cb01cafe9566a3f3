"""Puts a classifier into force, and fetches the one that is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from lorayard.registry.known import read_directory
from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.codec import decode
from lorayard_schemas.semantic import SemanticFigures, SemanticRecord
from lorayard_shared.bus.listing import list_bucket
from lorayard_shared.jobs.resolve import UnknownAdapterError
from lorayard_shared.registry.blobs import BlobStore, FileBytes
from lorayard_shared.registry.classifier_shelf import ClassifierShelf
from lorayard_shared.registry.errors import LabelUnknownError
from lorayard_shared.registry.records import Author
from lorayard_shared.registry.semantic_store import SemanticStore
from lorayard_shared.registry.semantic_watch import fetch_classifier
from lorayard_shared.registry.sweeping import Sweeper

if TYPE_CHECKING:
    from lorayard_shared.bus.connection import Bus
    from lorayard_shared.jobs.directory import Directory
    from lorayard_shared.semantic.artifact import Artifact
    from lorayard_shared.semantic.classifier import Classifier


def check_labels(labels: Iterable[str], there: Directory, source: str) -> None:
    """Every label stands for something that serves.

    Raises:
        LabelUnknownError: one does not.
    """
    for label in labels:
        try:
            there.check(label)
        except UnknownAdapterError as error:
            raise LabelUnknownError(label=label, source=source, reason=error.reason) from error


def record_of(artifact: Artifact, *, observed: int = 0) -> SemanticRecord:
    """What the bus is to know of a classifier; its files are named when they are stored."""
    made, found = artifact.record, artifact.record.cross_validation
    return SemanticRecord(
        artifact=artifact.digest,
        labels=made.labels,
        threshold=made.threshold,
        wanted_precision=made.wanted_precision,
        encoder=made.encoder_kind,
        encoder_digest=made.encoder_digest,
        examples=sum(made.examples_per_label) + made.none_examples,
        observed=observed,
        examples_digest=made.examples_digest,
        figures=SemanticFigures(
            examples=found.examples,
            decided=found.decided,
            correct=found.correct,
            calibration_error=found.calibration_error,
        ),
    )


async def put_in_force(
    bus: Bus,
    artifact: Artifact,
    record: SemanticRecord,
    author: Author,
    *,
    checked_as: str | None = None,
) -> SemanticRecord:
    """Store the files, write the record, and take away what no revision that is kept needs any more.

    What the store has already is read and put right: dispatchers take no other bytes, and the same examples
    trained again are how a damaged classifier is mended. `checked_as` is what the labels are from, for
    people: they are looked at again once the record is written, as whoever archives a version looks at the
    classifier after that; None: they may stand for nothing.

    Raises:
        LabelUnknownError: a label has come to stand for nothing; what was in force before is again.
        FileMissingError: the store gives back other bytes than it was given.
        StoreFullError: what was stored until then stays, and is not sent again.
        ContendedError: others change it all the time.
    """
    blobs, store = BlobStore(bus), SemanticStore(bus)
    files = [FileBytes(name=name, data=memoryview(data)) for name, data in artifact.files.items()]
    for file in files:
        await blobs.mend(file)
    stored = tuple(file.stored() for file in files)
    before = await store.past()
    made = await store.put(record.model_copy(update={"files": stored}), author)
    if checked_as is not None and made not in before:
        await _look_again(bus, store, made, author, checked_as)
    for file in files:  # a sweep beside this may have taken what was there before the record was
        await blobs.send(file)
        await blobs.check(file.stored())
    after = await store.past()
    kept = {file.sha256 for one in after for file in one.files}
    gone = {file.sha256: file for one in before for file in one.files if file.sha256 not in kept}
    if gone:
        await Sweeper(bus, lambda: _every_record(bus)).sweep(list(gone.values()))
    return made


async def _look_again(
    bus: Bus, store: SemanticStore, made: SemanticRecord, author: Author, source: str
) -> None:
    try:
        check_labels(made.labels, await read_directory(bus), source)
    except LabelUnknownError as error:
        await store.take_back(made, Author(actor=author.actor, reason=f"undone: {error.reason}"))
        raise


async def _every_record(bus: Bus) -> list[AdapterRecord]:
    bucket = await bus.js.key_value(bus.subjects.bucket("adapters"))
    found = await list_bucket(bucket)
    return [decode(AdapterRecord, one.value) for one in found if one.operation is None and one.value]


async def find_classifier(bus: Bus) -> tuple[SemanticRecord, Classifier] | None:
    """The classifier in force as dispatchers have it, with its record; None: there is none.

    Raises:
        ClassifierUnusableError, ArtifactError: it cannot be used here, for that reason.
        FileMissingError: the store lacks a file of it.
    """
    record = await SemanticStore(bus).now()
    if record is None or not record.is_on:
        return None
    shelf = ClassifierShelf(bus, bus.settings.classifiers_dir)
    return record, await fetch_classifier(shelf, record)
