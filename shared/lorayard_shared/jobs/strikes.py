"""The strikes of the bucket `yard_control` as they were last seen."""

from __future__ import annotations

from collections.abc import Iterator

from lorayard_schemas.assignment import AdapterRef
from lorayard_schemas.names import BASE
from lorayard_schemas.strike import STRIKES, Strike, strike_key
from lorayard_shared.jobs.watched import read_under

_What = tuple[str | None, str | None]
"""Adapter, with a version or without, and tenant."""


class StrikeBook:
    """Strikes by what they stop, kept up by a bucket watch."""

    def __init__(self) -> None:
        self._by_key: dict[str, Strike] = {}
        self._struck: dict[_What, Strike] = {}
        self.changes = 0
        """Since the start."""

    def __len__(self) -> int:
        return len(self._struck)

    def __iter__(self) -> Iterator[Strike]:
        return iter(self._by_key.values())

    def on_change(self, key: str, value: bytes | None) -> bool:
        """Take one change of the bucket; whether another strike counts now.

        One that cannot be read leaves what there was: nobody may be let run by a mistake.
        """
        if not key.startswith(STRIKES):
            return False
        before = self._by_key.get(key)
        found = read_under(key, value, Strike, _key) if value is not None else None
        if found is None and value is not None:
            return False
        if found == before:
            return False
        self._put(key, before, found)
        return True

    def find(self, adapter: AdapterRef | None, tenant: str) -> Strike | None:
        """What stops a tenant's job of this adapter; None is the base model, or nothing."""
        if not self._struck:
            return None
        name = BASE if adapter is None else adapter.name
        specs: tuple[str | None, ...] = (None, name)
        if adapter is not None:
            specs = (None, name, f"{name}@{adapter.version}")
        asked: Iterator[_What] = ((spec, who) for spec in specs for who in (None, tenant))
        return next((strike for what in asked if (strike := self._struck.get(what)) is not None), None)

    def _put(self, key: str, before: Strike | None, found: Strike | None) -> None:
        self.changes += 1
        if before is not None:
            del self._by_key[key], self._struck[before.adapter, before.tenant]
        if found is not None:
            self._by_key[key] = self._struck[found.adapter, found.tenant] = found


def _key(strike: Strike) -> str:
    return strike_key(strike.adapter, strike.tenant)
