"""What a worker with a real model makes of the adapters it finds."""

from __future__ import annotations

from pathlib import Path

from lorayard_workers.packed_equipment import equip_packed
from lorayard_workers.settings import WorkerSettings
from lorayard_workers.tiny_model import make_tiny_adapter


def test_an_adapter_over_the_rank_limit_is_never_offered__b11(tiny_model: Path, tmp_path: Path) -> None:
    """It would be registered, routed to, and fail every job."""
    make_tiny_adapter(tmp_path / "a/b/c/1", seed=1, rank=4)
    make_tiny_adapter(tmp_path / "a/b/c/2", seed=2, rank=12)
    settings = WorkerSettings(
        model=str(tiny_model), adapters_dir=tmp_path, max_rank=8, rows=2, slots=2, threads=1
    )
    catalog = equip_packed(settings).catalog
    assert [entry.version for entry in catalog.entries] == ["1"]
    assert [entry.version for entry in catalog.broken] == ["2"]
    assert "12" in catalog.broken[0].reason
