"""Batches over a real bus, with the echo engine behind it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.bus.conftest import Yard

from lorayard import Client
from lorayard.batch import BatchFiles, BatchOptions, BatchRunner, Manifest, batch_files, open_batch
from lorayard_shared.settings import YardSettings


def asked(custom_id: str, text: str = "hello", model: str = "base", **body: Any) -> bytes:
    """One line of a batch."""
    messages = [{"role": "user", "content": text}]
    document = {
        "custom_id": custom_id,
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": model, "messages": messages, **body},
    }
    return json.dumps(document).encode() + b"\n"


class Desk:
    """The files of one test's batch, and how it is run."""

    def __init__(self, folder: Path, client: Client) -> None:
        self.folder = folder
        self.client = client

    @property
    def files(self) -> BatchFiles:
        return batch_files(self.folder / "in.jsonl", self.folder / "out.jsonl")

    def write(self, lines: Iterable[bytes]) -> None:
        (self.folder / "in.jsonl").write_bytes(b"".join(lines))

    async def run(self, *, resume: bool = False, retry_errors: bool = False, **options: Any) -> Manifest:
        batch = open_batch(
            self.files,
            BatchOptions(**options),
            tenant="acme",
            resume=resume,
            retry_errors=retry_errors,
        )
        return await BatchRunner(self.client, batch).run()

    @property
    def outputs(self) -> list[dict[str, Any]]:
        return _lines(self.files.output)

    @property
    def errors(self) -> list[dict[str, Any]]:
        return _lines(self.files.errors)

    @property
    def told(self) -> Counter[str]:
        """How often each custom_id stands in the two files."""
        found = (line["custom_id"] for line in (*self.outputs, *self.errors))
        return Counter(custom_id for custom_id in found if custom_id is not None)


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().decode().splitlines()]


@pytest.fixture
async def client(yard: Yard, settings: YardSettings) -> AsyncIterator[Client]:
    """Of a yard with nobody in it yet."""
    async with Client(settings=settings, tenant="acme") as client:
        yield client


@pytest.fixture
async def desk(client: Client, tmp_path: Path) -> Desk:
    return Desk(tmp_path, client)


@pytest.fixture
async def answering(yard: Yard) -> Yard:
    """A yard that answers."""
    await yard.dispatcher()
    await yard.worker()
    return yard
