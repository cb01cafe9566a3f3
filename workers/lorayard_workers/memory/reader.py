"""Turns a digest into a packed adapter: from its packed file, or read, checked, verified and cast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from lorayard_workers.adapters.digest import adapter_digest
from lorayard_workers.adapters.files import MAX_WEIGHTS_BYTES, read_adapter
from lorayard_workers.adapters.fit import check_finite, check_fits, check_rank
from lorayard_workers.adapters.wide import NO_WIDE, WideRoom
from lorayard_workers.errors import AdapterRefusedError, AdapterUnknownError
from lorayard_workers.memory.layout import GroupLayout, linear_shapes
from lorayard_workers.memory.packed_folder import PackedFolder
from lorayard_workers.memory.packing import HostAdapter, pack_adapter
from lorayard_workers.memory.quantized import Storage, quantize_adapter


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterReader:
    """Knows where adapters lie and what they must fit. `folders` may change while it is used."""

    folders: Mapping[str, Path]
    layouts: Sequence[GroupLayout]
    dtype: torch.dtype
    max_rank: int
    wide: WideRoom = NO_WIDE
    max_bytes: int = MAX_WEIGHTS_BYTES
    storage: Storage = Storage.MODEL
    packed: PackedFolder | None = None

    def read(self, digest: str) -> HostAdapter:
        """The adapter, ready for a slot. Raises AdapterError or CapacityError.

        A digest names content: what was once packed under it is right whatever became of the folder.
        """
        folder = self.folders.get(digest)
        if folder is None:
            raise AdapterUnknownError(digest)
        packed = self.packed.get(digest) if self.packed is not None else None
        if packed is not None and self._fits(packed):
            return packed
        return self.read_source(digest, folder)

    def _fits(self, packed: HostAdapter) -> bool:
        """Within limits that may have changed since; where not, the source's own numbers say so."""
        return packed.rank <= self.max_rank and packed.wide_bytes <= self.wide.bytes_each

    def read_source(self, digest: str, folder: Path) -> HostAdapter:
        """The adapter from its folder. Raises AdapterRefusedError or CapacityError."""
        adapter = read_adapter(folder, max_bytes=self.max_bytes)
        check_rank(adapter, self.max_rank)
        check_fits(adapter, linear_shapes(self.layouts), self.wide)
        check_finite(adapter)
        found = adapter_digest(adapter)
        if found != digest:
            raise AdapterRefusedError(folder, f"its content is {found}, not the {digest} asked for")
        packed = pack_adapter(adapter, digest, self.layouts, self.dtype, self.wide.modules)
        return quantize_adapter(packed) if self.storage is Storage.INT8 else packed
