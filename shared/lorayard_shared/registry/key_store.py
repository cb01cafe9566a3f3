"""Keys of HTTP clients in their bucket, as digests."""

from __future__ import annotations

from lorayard_schemas.api_key import ApiKeyRecord, KeyRole
from lorayard_shared.bus.connection import Bus
from lorayard_shared.registry.chronicle import Chronicle
from lorayard_shared.registry.errors import KeyUnknownError
from lorayard_shared.registry.records import Author


class KeyStore:
    """Every change raises ContendedError, or `nats.errors.Error` where nobody answers."""

    def __init__(self, bus: Bus) -> None:
        self._chronicle = Chronicle(bus, "keys", ApiKeyRecord, told=_told)

    async def list(self) -> list[ApiKeyRecord]:
        """Those that are not revoked, the oldest first."""
        return sorted(await self._chronicle.list(), key=lambda one: (one.at, one.id))

    async def add(self, record: ApiKeyRecord, author: Author) -> None:
        """Let a key in from now on."""
        await self._chronicle.change(
            record.id, lambda _: record, author, verb="add", label=f"key {record.id}"
        )

    async def revoke(self, key_id: str, author: Author) -> ApiKeyRecord:
        """Let it in no more.

        Raises:
            KeyUnknownError: there is none of that id.
        """
        known = (await self._chronicle.read(key_id)).now
        if known is None:
            raise KeyUnknownError(key_id=key_id)
        await self._chronicle.change(key_id, lambda _: None, author, verb="revoke", label=f"key {key_id}")
        return known


def _told(record: ApiKeyRecord) -> str:
    role = "" if record.role is KeyRole.TENANT else f", {record.role}"
    return f"tenant {record.tenant}{role}"
