"""Which adapters a worker can serve, as records come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from lorayard_schemas.adapter import AdapterRecord, StoredFile
from lorayard_schemas.codec import encode
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.nats_client import NatsClient
from lorayard_shared.process import end_tasks
from lorayard_workers.adapters.catalog import CatalogEntry
from lorayard_workers.adapters.limits import AdapterLimits
from lorayard_workers.adapters.pulled_folder import PulledFolder
from lorayard_workers.engine.echo import ECHO_BASE_DIGEST, EchoEngine
from lorayard_workers.service import shelf as shelf_module
from lorayard_workers.service.puller import Puller
from lorayard_workers.service.shelf import Shelf
from lorayard_workers.settings import WorkerSettings

DIGEST = "sha256:" + "1" * 64


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """Of a worker that has nothing yet; its bus is never asked."""
    settings = WorkerSettings()
    pulled = PulledFolder(tmp_path, settings.pulled_bytes)
    return Shelf(
        Bus(NatsClient(), settings, "w1"),
        EchoEngine(),
        (),
        folders={},
        pulled=pulled,
        puller=Puller(settings, pulled, AdapterLimits()),
        templates={},
        max_rank=64,
        in_jobs=lambda: (),
        on_change=lambda: None,
    )


def tell(shelf: Shelf, version: str, *, rank: int = 4, gone: bool = False, digest: str = DIGEST) -> None:
    """A change in the bucket of adapters."""
    record = AdapterRecord(
        name="acme/tiny/echo",
        version=version,
        digest=digest,
        base_digest=ECHO_BASE_DIGEST,
        rank=rank,
        alpha=8.0,
        targets=("q_proj",),
        size_bytes=1,
        files=(StoredFile(name="adapter_config.json", sha256="0" * 64, size_bytes=1),),
    )
    shelf.on_record(record.key, None if gone else encode(record))


@pytest.mark.parametrize("order", [("1", "2"), ("2", "1")])
def test_of_two_versions_with_the_same_bytes_one_stays_where_the_other_goes__d2(
    shelf: Shelf, order: tuple[str, str]
) -> None:
    for version in ("1", "2"):
        tell(shelf, version)
    tell(shelf, order[0], gone=True)
    assert (shelf.knows(DIGEST), shelf.rank_of(DIGEST)) == (True, 4)
    tell(shelf, order[1], gone=True)
    assert not shelf.knows(DIGEST)


@pytest.mark.parametrize("change", [{"rank": 65}, {"digest": "sha256:" + "2" * 64}])
def test_a_record_that_changed_takes_nothing_from_another_with_its_bytes__d2(
    shelf: Shelf, change: dict[str, object]
) -> None:
    for version in ("1", "2"):
        tell(shelf, version)
    tell(shelf, "2", **change)  # type: ignore[arg-type]  # as the test says
    assert shelf.knows(DIGEST)


async def test_what_was_fetched_and_lies_in_the_folder_too_is_read_there_when_it_may_go__d2_d6(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait_until: Callable[..., Awaitable[None]]
) -> None:
    monkeypatch.setattr(shelf_module, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(shelf_module, "KEPT_SECONDS", 0.0)
    tell(shelf, "1")
    pulled = PulledFolder(tmp_path, 1 << 20)
    pulled.place(DIGEST).mkdir(parents=True)
    assert shelf.here(DIGEST)
    assert shelf.folder_of(DIGEST) == pulled.place(DIGEST)
    own = tmp_path / "own"
    shelf.add(
        CatalogEntry(
            name="acme/tiny/echo",
            version="1",
            path=own,
            digest=DIGEST,
            rank=4,
            alpha=8.0,
            targets=("q_proj",),
            size_bytes=1,
            base_model_name_or_path=None,
        )
    )
    letting_go = asyncio.create_task(shelf.run())
    await wait_until(lambda: not shelf.fetched)
    await end_tasks([letting_go])
    assert shelf.folder_of(DIGEST) == own
    shelf.drop(DIGEST, "its folder was removed")
    assert shelf.knows(DIGEST)  # the store has it
    assert shelf.folder_of(DIGEST) is None
    tell(shelf, "1", gone=True)
    assert not shelf.knows(DIGEST)
