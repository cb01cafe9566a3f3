"""What a packed engine says about itself before it has done anything."""

from __future__ import annotations

from pathlib import Path

from lorayard_workers.base_model import Precision
from lorayard_workers.engine.config import EngineConfig
from lorayard_workers.engine.packed import PackedEngine


def test_an_engine_shows_its_slots_and_rows_before_its_first_step(tiny_model: Path) -> None:
    """A4: a dispatcher sends no adapter to a worker that shows no slot; the first job once waited 15 s."""
    config = EngineConfig(slots=3, rows=5, threads=1, precision=Precision.FP32)

    residency = PackedEngine(tiny_model, {}, config).residency()

    assert residency.slot_count == 3
    assert residency.rows_max == 5
    assert residency.slots == ()
