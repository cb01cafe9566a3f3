"""Turns a digest into a packed adapter: from its packed file, its folder, or the recipe it stands for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog
import torch

from lorayard_shared.adapters.digest import adapter_digest
from lorayard_shared.adapters.errors import AdapterRefusedError
from lorayard_shared.adapters.files import MAX_WEIGHTS_BYTES, AdapterFile, read_adapter
from lorayard_shared.adapters.finite import check_finite
from lorayard_shared.logs import Event
from lorayard_workers.adapters.fit import check_fits, check_rank
from lorayard_workers.adapters.wide import NO_WIDE, WideRole, WideRoom
from lorayard_workers.engine.request import Composition
from lorayard_workers.errors import AdapterUnknownError
from lorayard_workers.memory.base_weights import BaseWeights
from lorayard_workers.memory.derive import derive, summable
from lorayard_workers.memory.layout import GroupLayout, linear_shapes
from lorayard_workers.memory.packed_folder import PackedFolder
from lorayard_workers.memory.packing import HostAdapter, pack_adapter
from lorayard_workers.memory.quantized import Storage, quantize_adapter
from lorayard_workers.memory.recipes import Recipes

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterReader:
    """Knows where adapters lie and what they must fit. `folders` may change while it is used."""

    folders: Mapping[str, Path]
    layouts: Sequence[GroupLayout]
    dtype: torch.dtype
    max_rank: int
    wide: WideRoom = NO_WIDE
    base: BaseWeights | None = None
    max_bytes: int = MAX_WEIGHTS_BYTES
    storage: Storage = Storage.MODEL
    packed: PackedFolder | None = None
    recipes: Recipes = field(default_factory=Recipes)
    pause: Callable[[], None] = lambda: None  # called during long work, so that short work gets a turn

    def read(self, digest: str) -> HostAdapter:
        """The adapter, ready for a slot; one that a recipe stands for is made.

        A digest names content: what was once packed under it is right whatever became of the folder.
        Raises AdapterError, CapacityError, or RequestRefusedError for a recipe that cannot be followed.
        """
        recipe = self.recipes.get(digest)
        if recipe is None and digest not in self.folders:
            raise AdapterUnknownError(digest)
        packed = self.packed.get(digest) if self.packed is not None else None
        if packed is not None and self._fits(packed):
            return packed
        source = self._source(digest) if recipe is None else self._derived(digest, recipe)
        adapter = pack_adapter(
            source, digest, self.layouts, self.dtype, self.wide.modules, self.base, self.pause
        )
        return quantize_adapter(adapter) if self.storage is Storage.INT8 else adapter

    def packs(self, digest: str) -> bool:
        """Whether a packed copy lies on disk: it serves whatever becomes of the folder."""
        return self.packed is not None and self.packed.file_of(digest).exists()

    def _fits(self, packed: HostAdapter) -> bool:
        """Within limits that may have changed since; where not, the source's own numbers say so."""
        return packed.rank <= self.max_rank and packed.wide_bytes <= self.wide.bytes_each

    def _source(self, digest: str) -> AdapterFile:
        """The adapter as its folder has it, if that is what the digest says."""
        folder = self.folders.get(digest)
        if folder is None:
            raise AdapterUnknownError(digest)
        adapter = read_adapter(folder, max_bytes=self.max_bytes)
        check_rank(adapter, self.max_rank)
        check_fits(adapter, linear_shapes(self.layouts), self.wide)
        check_finite(adapter)
        found = adapter_digest(adapter)
        if found != digest:
            raise AdapterRefusedError(folder, f"its content is {found}, not the {digest} asked for")
        return adapter

    def _derived(self, digest: str, recipe: Composition) -> AdapterFile:
        started = time.perf_counter()
        parts: list[AdapterFile] = []
        for part in recipe.parts:
            parts.append(summable(self._source(part.digest)))
            self.pause()
        adapter = derive(recipe, parts, self._modules(), self.pause)
        check_rank(adapter, self.max_rank)
        self.wide.check(adapter)
        took_ms = (time.perf_counter() - started) * 1000
        _log.info(
            Event.ADAPTER_DERIVED, digest=digest, policy=recipe.policy, parts=len(parts), took_ms=took_ms
        )
        return adapter

    def _modules(self) -> list[str]:
        """Everything an adapter may change, in the model's order."""
        first = [module.name for module in self.wide.modules if module.role is WideRole.EMBEDDING]
        last = [module.name for module in self.wide.modules if module.role is WideRole.HEAD]
        return [*first, *linear_shapes(self.layouts), *last]
