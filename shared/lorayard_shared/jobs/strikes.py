"""The strikes of the bucket `yard_control` as they were last seen."""

from __future__ import annotations

from collections.abc import Iterator

import structlog

from lorayard_schemas.assignment import AdapterRef
from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.names import BASE
from lorayard_schemas.strike import STRIKES, Strike, strike_key
from lorayard_shared.logs import Event

_What = tuple[str | None, str | None]
"""Adapter, with a version or without, and tenant."""


class StrikeBook:
    """Strikes by what they stop, kept up by a bucket watch."""

    def __init__(self) -> None:
        self._by_key: dict[str, Strike] = {}
        self._struck: dict[_What, Strike] = {}
        self.changes = 0
        """Since the start."""
        self._log = structlog.get_logger()

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
        found: Strike | None = None
        if value is not None:
            try:
                found = decode(Strike, value)
                if strike_key(found.adapter, found.tenant) != key:
                    raise MalformedMessageError(
                        kind=Strike.__name__,
                        field="adapter",
                        reason=f"{found.label!r} stands under another key",
                    )
            except MalformedMessageError as error:
                self._log.error(Event.MESSAGE_MALFORMED, key=key, field=error.field, reason=error.reason)
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
