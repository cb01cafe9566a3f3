"""Opens the folder of packed adapters that an engine's settings name."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from lorayard_shared.logs import Event
from lorayard_workers.engine.config import EngineConfig
from lorayard_workers.memory.layout import GroupLayout
from lorayard_workers.memory.packed_folder import PackedFolder, owner_of, prepare_folder

_log = structlog.stdlib.get_logger(__name__)

_MEND = "set LORAYARD_CACHE_DIR to a folder this user may write to, or LORAYARD_DISK_BYTES=0 to keep none"


def open_packed_folder(
    config: EngineConfig, base_digest: str, layouts: Sequence[GroupLayout]
) -> PackedFolder | None:
    """The folder, for adapters as this engine packs them; None if there is none to use.

    One that cannot be used costs loads some time and no request its answer: it is logged, and no error.
    """
    if config.packed_dir is None or not config.disk_bytes:
        return None
    try:
        prepare_folder(config.packed_dir)
    except OSError as error:
        _log.warning(Event.PACKED_FOLDER_UNUSABLE, path=str(config.packed_dir), reason=str(error), mend=_MEND)
        return None
    owner = owner_of(base_digest, layouts, config.precision.dtype, config.adapter_storage)
    return PackedFolder(path=config.packed_dir, budget_bytes=config.disk_bytes, owner=owner)
