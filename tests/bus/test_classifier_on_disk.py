"""What is kept on this machine of the classifier in force, and when it is thrown away (B4)."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.unit.conftest import tiny_encoder, topic_examples

from lorayard.registry.classifying import find_classifier, put_in_force, record_of
from lorayard_schemas.semantic import SemanticRecord
from lorayard_shared.bus.connection import Bus, connect
from lorayard_shared.errors import YardError
from lorayard_shared.registry.classifier_shelf import ClassifierShelf, ClassifierUnusableError
from lorayard_shared.registry.records import Author
from lorayard_shared.registry.semantic_watch import fetch_standing
from lorayard_shared.semantic.artifact import HEAD_NAME
from lorayard_shared.semantic.training import train
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus


async def put(bus: Bus) -> SemanticRecord:
    artifact = train(topic_examples(), tiny_encoder())
    return await put_in_force(bus, artifact, record_of(artifact), Author(actor="anne", reason="tried"))


async def test_where_a_library_is_missing_the_files_are_kept__b4(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tens of megabytes would be fetched every minute, and taken from the other processes here."""
    record, shelf = await put(bus), ClassifierShelf(bus, tmp_path)
    folder = await shelf.fetch(record)
    monkeypatch.setitem(sys.modules, "lorayard_shared.semantic.classifier", None)
    with pytest.raises(ClassifierUnusableError, match="is not installed"):
        await fetch_standing(shelf, record)
    assert folder.is_dir()


async def test_commands_believe_no_damaged_copy_and_fetch_it_anew__b4(
    make_settings: Callable[..., Awaitable[YardSettings]], tmp_path: Path
) -> None:
    async with await connect(await make_settings(classifiers_dir=tmp_path), name="test") as bus:
        record = await put(bus)
        head = await ClassifierShelf(bus, tmp_path).fetch(record) / HEAD_NAME
        whole = head.read_bytes()
        head.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(YardError):
            await find_classifier(bus)
        found = await find_classifier(bus)
    assert found is not None
    assert (found[0].revision, found[1].digest) == (record.revision, record.artifact)
