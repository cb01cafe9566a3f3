"""The aliases of the bucket `yard_aliases` as they were last seen."""

from __future__ import annotations

from collections.abc import Iterator

from lorayard_schemas.alias import AliasRecord, alias_key
from lorayard_shared.jobs.watched import read_under


class AliasBook:
    """Records by adapter and alias, kept up by a bucket watch."""

    def __init__(self) -> None:
        self._by_key: dict[str, AliasRecord] = {}
        self.known: dict[str, dict[str, AliasRecord]] = {}
        """Adapter name -> alias -> record; those without versions are left out."""
        self.changes = 0
        """Since the start: what was found before another one may be wrong."""

    def __bool__(self) -> bool:
        return bool(self.known)

    def __iter__(self) -> Iterator[AliasRecord]:
        """All, those without versions too."""
        return iter(self._by_key.values())

    def get(self, key: str) -> AliasRecord | None:
        """The alias under a bucket key."""
        return self._by_key.get(key)

    def on_change(self, key: str, value: bytes | None) -> str | None:
        """Take one change of the bucket; returns the adapter that it is about, None when nothing changed.

        One that cannot be read leaves what there was: a half-written revision must not move anybody.
        """
        before = self._by_key.get(key)
        if value is None:
            self._drop(key)
            return before.adapter if before is not None else None
        record = read_under(key, value, AliasRecord, _key)
        if record is None:
            return None
        if record == before:
            return None  # listed anew
        self._put(key, record)
        return record.adapter

    def add(self, record: AliasRecord) -> None:
        """Take a record from elsewhere than a watch."""
        self._put(_key(record), record)

    def _put(self, key: str, record: AliasRecord) -> None:
        self._drop(key)
        self._by_key[key] = record
        if record.arms:
            self.known.setdefault(record.adapter, {})[record.alias] = record

    def _drop(self, key: str) -> None:
        self.changes += 1
        before = self._by_key.pop(key, None)
        if before is None:
            return
        aliases = self.known.get(before.adapter, {})
        aliases.pop(before.alias, None)
        if not aliases:
            self.known.pop(before.adapter, None)


def _key(record: AliasRecord) -> str:
    return alias_key(record.adapter, record.alias)
