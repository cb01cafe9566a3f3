"""What became of a watched folder between two looks. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lorayard_workers.adapters.catalog import BrokenEntry, Catalog, CatalogEntry

Key = tuple[str, str]
"""Name and version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderChanges:
    """By what the worker has to do."""

    new: tuple[CatalogEntry, ...]
    """To be registered."""
    altered: tuple[CatalogEntry, ...]
    """As they were: their folders hold other bytes now, or nothing that can be served."""
    removed: tuple[CatalogEntry, ...]
    """As they were: their folders are gone."""

    def __bool__(self) -> bool:
        return bool(self.new or self.altered or self.removed)


def changes_since(
    before: Mapping[Key, CatalogEntry], kept: Mapping[Key, CatalogEntry], now: Catalog
) -> FolderChanges:
    """Compare what lay there with a look that was taken now; `kept` is what is offered on of altered ones.

    A version whose bytes changed is altered and new: who registers it finds that it stands for others.
    """
    entries = {entry_key(entry): entry for entry in now.entries}
    broken = {entry_key(entry) for entry in now.broken}
    changed = {key for key, entry in entries.items() if key in before and before[key].digest != entry.digest}
    lost = changed | (before.keys() & broken)
    return FolderChanges(
        new=tuple(entry for key, entry in entries.items() if key not in before or key in changed),
        altered=tuple(entry for key, entry in before.items() if key in lost and key not in kept),
        removed=tuple(
            entry for key, entry in {**before, **kept}.items() if key not in entries and key not in broken
        ),
    )


def entry_key(entry: CatalogEntry | BrokenEntry) -> Key:
    """What it is registered under."""
    return entry.name, entry.version
