"""The declarations of the bucket `yard_placements` as they were last seen."""

from __future__ import annotations

from collections.abc import Iterator

import structlog

from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.placement import Placement, placement_key
from lorayard_shared.jobs.adapter_registry import AdapterRegistry
from lorayard_shared.jobs.resolve import UnknownAdapterError, resolve
from lorayard_shared.logs import Event


class Placements:
    """Declarations by bucket key, kept up by a bucket watch."""

    def __init__(self) -> None:
        self._by_key: dict[str, Placement] = {}
        self._log = structlog.get_logger()

    def __iter__(self) -> Iterator[Placement]:
        return iter(self._by_key.values())

    def on_change(self, key: str, value: bytes | None) -> None:
        """Take one change of the bucket; an unreadable declaration is logged and counts as absent."""
        self._by_key.pop(key, None)
        if value is None:
            return
        try:
            found = decode(Placement, value)
            if placement_key(found.adapter) != key:
                raise MalformedMessageError(
                    kind=Placement.__name__,
                    field="adapter",
                    reason=f"{found.adapter!r} stands under another key",
                )
        except MalformedMessageError as error:
            self._log.error(Event.MESSAGE_MALFORMED, key=key, field=error.field, reason=error.reason)
            return
        self._by_key[key] = found

    def with_one(self, placement: Placement) -> list[Placement]:
        """As if this had been declared too."""
        return list({**self._by_key, placement_key(placement.adapter): placement}.values())

    def of(self, record: AdapterRecord, registry: AdapterRegistry) -> Placement | None:
        """What counts for one version."""
        found = self._by_key.get(placement_key(f"{record.name}@{record.version}"))
        if found is None and newest_version(record.name, registry) == record:
            found = self._by_key.get(placement_key(record.name))
        return found


def newest_version(name: str, registry: AdapterRegistry) -> AdapterRecord | None:
    """The version that a bare name stands for."""
    try:
        return resolve(name, None, registry.known).record
    except UnknownAdapterError:
        return None
