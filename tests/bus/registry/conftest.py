"""A client of an empty registry, and a folder to push into it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lorayard import Client
from lorayard_shared.settings import YardSettings
from lorayard_workers.tiny_model import make_tiny_adapter


@pytest.fixture
async def client(settings: YardSettings) -> AsyncIterator[Client]:
    async with Client(settings=settings) as client:
        yield client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_tiny_adapter(tmp_path / "mine", seed=1)
