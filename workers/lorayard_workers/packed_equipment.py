"""The packed engine with a real model, and adapters checked against that model's shapes."""

from __future__ import annotations

from pathlib import Path

from lorayard_workers.adapters.catalog import Catalog, CatalogScanner
from lorayard_workers.base_model import Precision
from lorayard_workers.engine.config import EngineConfig
from lorayard_workers.engine.packed import PackedEngine
from lorayard_workers.engine.quantization import BaseQuantization
from lorayard_workers.equipment import Equipment
from lorayard_workers.memory.quantized import Storage
from lorayard_workers.model_store import resolve_model
from lorayard_workers.settings import WorkerSettings


def equip_packed(settings: WorkerSettings) -> Equipment:
    """Load the model, then check every adapter against it.

    Raises:
        WorkerError: the model is missing or unsupported, or a limit leaves no room to work in.
    """
    folders: dict[str, Path] = {}
    engine = PackedEngine(
        resolve_model(settings.model, settings.models_dir), folders, engine_config(settings)
    )
    catalog = Catalog()
    if settings.adapters_dir is not None:
        catalog = CatalogScanner(
            root=settings.adapters_dir,
            shapes=engine.linear_shapes,
            max_rank=settings.max_rank,
            wide=engine.wide_room,
        ).scan()
    folders.update(catalog.folders())
    return Equipment(engine=engine, catalog=catalog)


def engine_config(settings: WorkerSettings) -> EngineConfig:
    """What a worker's settings mean for its engine."""
    return EngineConfig(
        slots=settings.slots,
        slot_bytes=settings.slot_bytes,
        max_rank=settings.max_rank,
        rows=settings.rows,
        context_tokens=settings.context_tokens,
        kv_bytes=settings.kv_bytes,
        prefix_reuse=settings.prefix_reuse,
        deterministic=settings.deterministic,
        host_bytes=settings.host_bytes,
        packed_dir=settings.packed_dir,
        disk_bytes=settings.disk_bytes,
        adapter_storage=Storage(settings.adapter_storage),
        json_schemas=settings.json_schemas,
        wide_bytes=settings.wide_bytes,
        precision=Precision(settings.dtype),
        base_quantization=BaseQuantization(settings.base_quantization),
        screened_head=settings.screened_head,
        device=settings.device,
        costs_dir=settings.models_dir / "lora-costs",
        threads=settings.threads,
    )
