"""What a worker works with: its engine and the adapters it found, made from settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lorayard_shared.errors import SettingsError
from lorayard_workers.adapters.catalog import Catalog, CatalogScanner
from lorayard_workers.adapters.limits import AdapterLimits
from lorayard_workers.engine.echo import EchoEngine
from lorayard_workers.engine.echo_script import answer_nothing, echo_prompt, hang_on
from lorayard_workers.engine.protocol import Engine
from lorayard_workers.errors import AdapterNotFoundError
from lorayard_workers.settings import WorkerSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Equipment:
    """An engine that is not started yet, and the adapters it can load."""

    engine: Engine
    catalog: Catalog
    folders: dict[str, Path] = field(default_factory=dict[str, Path])
    """Digest -> where the engine reads an adapter; may be added to while it runs."""
    limits: AdapterLimits = field(default_factory=AdapterLimits)
    """What one that is fetched must fit."""
    scanner: CatalogScanner | None = None
    """Made the catalog, and can look again; None: there is no folder."""
    keeps: Callable[[str], bool] = lambda _: False
    """Whether an adapter, by digest, can be loaded without its folder: a packed copy lies on disk."""
    tokenizer: Path | None = None
    """The base model's `tokenizer.json`, if there is a model."""


def equip(settings: WorkerSettings) -> Equipment:
    """Read model and adapters. Takes seconds: never call it on an event loop.

    Raises:
        WorkerError: the model or a setting cannot be used. A broken adapter only shows in the catalog.
        SettingsError: a folder, device or memory that is not there.
    """
    if settings.adapters_dir is not None and not settings.adapters_dir.is_dir():
        reason = f"it must be a folder, got {str(settings.adapters_dir)!r}"
        raise SettingsError(setting="LORAYARD_ADAPTERS_DIR", reason=reason)
    if settings.engine == "echo":
        scanner = _scanner(settings)
        catalog = Catalog() if scanner is None else scanner.scan()
        engine: Engine = EchoEngine(
            slots=settings.slots,
            rows=settings.rows,
            delay_seconds=settings.echo_delay_seconds,
            load_seconds=settings.echo_load_seconds,
            disk_seconds=settings.echo_disk_seconds,
            text=answer_nothing if settings.echo_reply == "nothing" else echo_prompt,
            script=hang_on(settings.echo_hangs_on),
        )
        limits = AdapterLimits(max_rank=settings.max_rank)
        return dedicate(
            Equipment(
                engine=engine, catalog=catalog, folders=catalog.folders(), limits=limits, scanner=scanner
            ),
            settings,
        )
    # Late: torch and transformers take seconds to import, and an echo worker needs neither.
    from lorayard_workers.packed_equipment import equip_packed

    return dedicate(equip_packed(settings), settings)


def dedicate(equipment: Equipment, settings: WorkerSettings) -> Equipment:
    """Give the engine to the one adapter that is named, if one is. Raises AdapterNotFoundError."""
    wanted = settings.dedicated
    if wanted is None:
        return equipment
    for entry in equipment.catalog.entries:
        if wanted in (f"{entry.name}@{entry.version}", entry.digest):
            equipment.engine.dedicate(entry.digest)
            return equipment
    raise AdapterNotFoundError(wanted, settings.adapters_dir)


def _scanner(settings: WorkerSettings) -> CatalogScanner | None:
    if settings.adapters_dir is None:
        return None
    return CatalogScanner(root=settings.adapters_dir, max_rank=settings.max_rank)
