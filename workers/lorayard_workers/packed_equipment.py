"""The packed engine with a real model, and adapters checked against that model's shapes."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from lorayard_schemas.model_card import TOKENIZER_NAME
from lorayard_shared.errors import SettingsError
from lorayard_workers.adapters.catalog import Catalog, CatalogScanner
from lorayard_workers.adapters.limits import AdapterLimits
from lorayard_workers.base_model import Precision
from lorayard_workers.engine.config import EngineConfig
from lorayard_workers.engine.packed import PackedEngine
from lorayard_workers.engine.quantization import BaseQuantization
from lorayard_workers.equipment import Equipment
from lorayard_workers.errors import CapacityError
from lorayard_workers.memory.quantized import Storage
from lorayard_workers.model_store import resolve_model
from lorayard_workers.settings import WorkerSettings


def equip_packed(settings: WorkerSettings) -> Equipment:
    """Load the model, then check every adapter against it.

    Raises:
        WorkerError: the model is missing or unsupported, or a limit leaves no room to work in.
        SettingsError: this machine has no such device, memory or folder.
    """
    check_machine(settings)
    folders: dict[str, Path] = {}
    model = _model_folder(settings)
    try:
        engine = PackedEngine(model, folders, engine_config(settings))
    except CapacityError as error:
        raise SettingsError(setting=f"LORAYARD_{error.setting.upper()}", reason=str(error)) from error
    catalog, scanner = Catalog(), None
    if settings.adapters_dir is not None:
        scanner = CatalogScanner(
            root=settings.adapters_dir,
            shapes=engine.linear_shapes,
            max_rank=settings.max_rank,
            wide=engine.wide_room,
        )
        catalog = scanner.scan()
    folders.update(catalog.folders())
    limits = AdapterLimits(shapes=engine.linear_shapes, max_rank=settings.max_rank, wide=engine.wide_room)
    return Equipment(
        engine=engine,
        catalog=catalog,
        folders=folders,
        limits=limits,
        scanner=scanner,
        keeps=engine.packs,
        tokenizer=model / TOKENIZER_NAME,
    )


def check_machine(settings: WorkerSettings) -> None:
    """The machine has the device and the memory that are asked for. Raises SettingsError."""
    cuda = settings.device.startswith("cuda") or (settings.device == "auto" and torch.cuda.is_available())
    found = torch.cuda.device_count()
    index = int(settings.device.partition(":")[2] or 0)
    if cuda and index >= found:
        reason = f"torch finds {found} CUDA devices here, got {settings.device!r}: use auto or cpu"
        raise SettingsError(setting="LORAYARD_DEVICE", reason=reason)
    total = torch.cuda.mem_get_info(index)[1] if cuda else _host_memory_bytes()
    for name in ("kv_bytes", "slot_bytes"):
        wanted: int | None = getattr(settings, name)
        if wanted is not None and wanted > total:
            raise SettingsError(
                setting=f"LORAYARD_{name.upper()}",
                reason=f"it is taken at start, and the device has {total} bytes in all, got {wanted}",
            )


def _host_memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _model_folder(settings: WorkerSettings) -> Path:
    try:
        return resolve_model(settings.model, settings.models_dir)
    except OSError as error:
        reason = f"the model cannot be kept in {str(settings.models_dir)!r}: {error}"
        raise SettingsError(setting="LORAYARD_MODELS_DIR", reason=reason) from error


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
