"""The classifier from Python: trained, judged, put into force, returned to and turned off (B4, E2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.bus.conftest import ADAPTER, Yard
from tests.bus.semantic.conftest import SEAS, SUMS, examples, put

from lorayard import (
    Client,
    LabelUnknownError,
    NoClassifierError,
    RuleRevisionError,
    SyncClient,
)
from lorayard.registry.classifying import check_labels, put_in_force, record_of
from lorayard.registry.known import read_directory
from lorayard.settings import client_settings
from lorayard_shared.bus.connection import Bus
from lorayard_shared.jobs.directory import Directory
from lorayard_shared.registry.records import Author
from lorayard_shared.semantic.artifact import HEAD_NAME, Artifact, write_artifact
from lorayard_shared.semantic.errors import ArtifactError, ExamplesError, TrainingError

pytestmark = pytest.mark.bus

PAIRS = [(one.adapter, one.prompt) for one in examples()]
HELD_OUT = [(ADAPTER, "sum the ledger figures"), ("base", "the captain and a storm")]


@pytest.fixture
async def client(yard: Yard) -> AsyncIterator[Client]:
    async with Client(settings=client_settings(yard.settings, actor="ana")) as client:
        yield client


@pytest.fixture
async def folder(yard: Yard, artifact: Artifact, adapters: Path, tmp_path: Path) -> Path:
    """A classifier that `routes train --out` wrote, for adapters that a worker serves."""
    await yard.worker(adapters_dir=adapters)
    write_artifact(artifact, tmp_path / "made")
    return tmp_path / "made"


async def test_a_classifier_from_a_folder_is_in_force_until_it_is_turned_off__b4(
    client: Client, folder: Path, artifact: Artifact
) -> None:
    classifier = client.rules.classifier
    assert not (await classifier.get()).is_on
    made = await classifier.put(folder, reason="first try")
    assert (made.artifact, made.revision, made.by, made.why) == (artifact.digest, 1, "ana", "first try")
    assert await classifier.put(folder) == made, "the same once more changes nothing"
    found = await classifier.evaluate(HELD_OUT)
    assert (found.examples, found.correct) == (2, 2)
    assert await classifier.evaluate(HELD_OUT, folder=folder) == found
    assert not (await classifier.off(reason="enough")).is_on
    with pytest.raises(NoClassifierError, match="routes train"):
        await classifier.evaluate(HELD_OUT)
    assert (await classifier.rollback()).artifact == artifact.digest
    assert [one.is_on for one in await classifier.history()] == [True, False, True]
    with pytest.raises(RuleRevisionError):
        await classifier.rollback(to=9)


async def test_it_is_trained_with_what_reads_prompts_for_the_one_in_force__b4(
    client: Client, folder: Path, artifact: Artifact
) -> None:
    classifier = client.rules.classifier
    with pytest.raises(NoClassifierError):
        await classifier.train(PAIRS)
    await classifier.put(folder)
    more = [*PAIRS, (ADAPTER, f"{SUMS[0]} the {SUMS[4]}"), ("base", f"{SEAS[0]} my {SEAS[4]}")]
    made = await classifier.train(more, precision=0.9, reason="two more")
    assert (made.revision, made.examples, made.wanted_precision) == (2, len(more), 0.9)
    assert made.encoder_digest == artifact.record.encoder_digest
    assert (await classifier.evaluate(HELD_OUT)).correct == 2


async def test_the_blocking_client_does_the_same__b4__e2(yard: Yard, folder: Path) -> None:
    def blocking() -> list[int]:
        with SyncClient(settings=yard.settings) as client:
            classifier = client.rules.classifier
            classifier.put(folder)
            classifier.train(PAIRS[:-1])
            assert classifier.evaluate(HELD_OUT).examples == 2
            classifier.off()
            classifier.rollback(to=1)
            assert classifier.get().restores == 1
            return [one.revision for one in classifier.history()]

    assert await asyncio.to_thread(blocking) == [1, 2, 3, 4]


async def test_bad_examples_and_bad_folders_change_nothing__b4(
    client: Client, folder: Path, tmp_path: Path
) -> None:
    classifier = client.rules.classifier
    with pytest.raises(ArtifactError, match="missing"):
        await classifier.put(tmp_path / "nowhere")
    head = (folder / HEAD_NAME).read_bytes()
    (folder / HEAD_NAME).write_bytes(head[:-1])
    with pytest.raises(ArtifactError):
        await classifier.put(folder)
    (folder / HEAD_NAME).write_bytes(head)
    await classifier.put(folder)
    with pytest.raises(ExamplesError, match="line 2"):
        await classifier.train([PAIRS[0], ("no adapter", "x")])
    with pytest.raises(ExamplesError):
        await classifier.train([])
    with pytest.raises(TrainingError):
        await classifier.train(PAIRS[:3])
    with pytest.raises(LabelUnknownError, match="nobodys"):
        await classifier.train([*PAIRS, ("acme/tiny/nobodys", "x"), ("acme/tiny/nobodys", "y")])
    assert len(await classifier.history()) == 1


async def test_one_that_chooses_what_is_archived_at_that_moment_is_taken_back__b4__d2(
    yard: Yard, client: Client, folder: Path, artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look before it was in force saw the version serve; the one after does not."""
    before = await put(yard, artifact)
    await client.rules.classifier.off()

    async def archived_after(bus: Bus) -> Directory:
        """Whoever archives it sees no classifier in force, before and after."""
        there = await read_directory(bus)
        await client.adapters.archive(f"{ADAPTER}@1")
        return there

    monkeypatch.setattr("lorayard.registry.classifiers.read_directory", archived_after)
    with pytest.raises(LabelUnknownError, match="takes it anyway"):
        await client.rules.classifier.put(folder)
    past = await client.rules.classifier.history()
    assert [one.is_on for one in past] == [True, False, True, False]
    assert past[-1].why.startswith("undone: ")
    assert past[0] == before


async def test_without_the_check_nothing_is_looked_at__b4(yard: Yard, artifact: Artifact) -> None:
    """A classifier may be there before what it chooses."""
    there = await read_directory(yard.bus)
    with pytest.raises(LabelUnknownError):
        check_labels(artifact.record.labels, there, "examples")
    made = await put_in_force(yard.bus, artifact, record_of(artifact), Author(actor="ana"))
    assert made.is_on
