"""Opens the folder of packed adapters that an engine's settings name."""

from __future__ import annotations

from collections.abc import Sequence

from lorayard_workers.engine.config import EngineConfig
from lorayard_workers.memory.layout import GroupLayout
from lorayard_workers.memory.packed_folder import PackedFolder, owner_of


def open_packed_folder(
    config: EngineConfig, base_digest: str, layouts: Sequence[GroupLayout]
) -> PackedFolder | None:
    """The folder, for adapters as this engine packs them; None if the settings keep none."""
    if config.packed_dir is None or not config.disk_bytes:
        return None
    owner = owner_of(base_digest, layouts, config.precision.dtype, config.adapter_storage)
    return PackedFolder(path=config.packed_dir, budget_bytes=config.disk_bytes, owner=owner)
