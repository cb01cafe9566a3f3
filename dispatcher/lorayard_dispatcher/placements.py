"""The declarations of the bucket `yard_placements` as the dispatcher last saw them, and what they ask for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import structlog

from lorayard_dispatcher.planning.placement import Wish
from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.names import split_version
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
        if found is None and _newest(record.name, registry) == record:
            found = self._by_key.get(placement_key(record.name))
        return found


def wishes(placements: Iterable[Placement], registry: AdapterRegistry) -> dict[str, Wish]:
    """Digest -> what is asked for it.

    A name stands for its newest version, and the others ask for nothing: what was pinned of them is let go.
    """
    by_name = {one.adapter: one for one in placements}
    found: dict[str, Wish] = {}
    let_go: dict[str, Wish] = {}
    for spec in sorted(by_name, key=lambda spec: ("@" not in spec, spec)):  # those of a version first
        name, version = split_version(spec)
        newest = _newest(name, registry)
        for record in registry.known.get(name, {}).values():
            if version == record.version or (version is None and record == newest):
                found.setdefault(record.digest, _wish(by_name[spec], record, registry.columns_of))
            elif version is None:
                let_go[record.digest] = _nothing(record)
    # Versions with equal bytes are one adapter: what is asked for one of them counts.
    return {**let_go, **found}


def _newest(name: str, registry: AdapterRegistry) -> AdapterRecord | None:
    try:
        return resolve(name, None, registry.known).record
    except UnknownAdapterError:
        return None


def _wish(placement: Placement, record: AdapterRecord, columns_of: Mapping[str, int]) -> Wish:
    return Wish(
        digest=record.digest,
        base_digest=record.base_digest,
        tier=placement.tier,
        least=placement.replicas_min,
        most=placement.replicas_max,
        on=frozenset(placement.on),
        only=placement.only,
        pin=placement.pin,
        columns=columns_of.get(record.digest, 0),
    )


def _nothing(record: AdapterRecord) -> Wish:
    return Wish(digest=record.digest, base_digest=record.base_digest)
