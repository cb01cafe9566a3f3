"""What changed between two adapters: of the yard, or in a folder on this machine."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lorayard.registry.extras import needing
from lorayard_schemas.adapter import AdapterRecord
from lorayard_shared.registry.blobs import BlobStore, OnBytes
from lorayard_shared.registry.errors import VersionUnknownError

if TYPE_CHECKING:
    from lorayard_shared.adapters.comparing import ModuleDiff
    from lorayard_shared.adapters.settings_diff import FieldDiff


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two."""

    label: str
    """As it was asked for."""
    record: AdapterRecord | None
    """None: it is a folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterDiff:
    """What two adapters say of themselves, and how far each module's update is from the other's."""

    first: Side
    second: Side
    fields: tuple[FieldDiff, ...]
    """Settings, the equal ones too; labels where both are versions of the yard."""
    modules: tuple[ModuleDiff, ...]
    """The most changed first, before them those that have no measure: on one side only, or from zero."""

    @property
    def same(self) -> bool:
        """Whether nothing that can be told differs."""
        return all(field.same for field in self.fields) and not any(one.weight for one in self.modules)


def folder_meant(side: str | Path) -> Path | None:
    """The path, where one is meant: no adapter's name begins so."""
    if isinstance(side, Path) or side.startswith((".", "/", "~")):
        return Path(side).expanduser()
    return None


async def compare_sides(
    store: BlobStore, first: tuple[Side, Path | None], second: tuple[Side, Path | None], *, on_bytes: OnBytes
) -> AdapterDiff:
    """Fetch what is in the store, to this machine's temporary folder for as long as it takes, and compare.

    Raises:
        VersionUnknownError: the files of one are not in the store.
        FileMissingError: the store lacks a part of one, or has other bytes.
        AdapterRefusedError: one of them is no adapter that can be read, with file and module.
    """
    async with _fetched(store, *first, on_bytes) as one, _fetched(store, *second, on_bytes) as other:
        return await asyncio.to_thread(_compared, first[0], one, second[0], other)


@asynccontextmanager
async def _fetched(
    store: BlobStore, side: Side, folder: Path | None, on_bytes: OnBytes
) -> AsyncGenerator[Path]:
    if folder is not None:
        yield folder
        return
    record = side.record
    assert record is not None, "it is one of the two"
    if not record.in_store:
        raise VersionUnknownError(label=f"{record.label} in the store (workers have it on their own disks)")
    with tempfile.TemporaryDirectory(prefix="lorayard-diff-") as made:
        for file in record.files:
            await store.fetch(file, Path(made) / file.name, on_bytes=on_bytes)
        yield Path(made)


def _compared(first: Side, one: Path, second: Side, other: Path) -> AdapterDiff:
    # Late: numpy and regex come with `lorayard[adapters]`.
    with needing("adapters", "comparing adapters"):
        from lorayard_shared.adapters.comparing import compare
        from lorayard_shared.adapters.open_weights import open_weights
        from lorayard_shared.adapters.settings_diff import compare_labels, compare_settings

    with open_weights(one) as before, open_weights(other) as after:
        fields = list(compare_settings(before, after))
        if first.record is not None and second.record is not None:
            fields += compare_labels(first.record.labels, second.record.labels)
        modules = sorted(compare(before, after), key=lambda module: (-module.weight, module.module))
    return AdapterDiff(first=first, second=second, fields=tuple(fields), modules=tuple(modules))
