"""A worker that runs the tiny model, with adapters of whoever asks for one: their `folder`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lorayard_workers.tiny_model import make_tiny_model


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def real(tiny_model: Path, folder: Path) -> dict[str, Any]:
    """Settings of a worker that runs the tiny model."""
    return {
        "engine": "packed",
        "model": str(tiny_model),
        "adapters_dir": folder,
        "dtype": "fp32",
        "device": "cpu",
        "threads": 1,
        "slots": 3,
        "max_rank": 16,
        "rows": 4,
        "context_tokens": 256,
        "disk_bytes": 0,
        "json_schemas": False,
    }
