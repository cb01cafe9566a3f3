"""The keys that hold now, as the bucket `yard_keys` was last seen."""

from __future__ import annotations

from lorayard_schemas.api_key import ApiKeyRecord, read_key_id
from lorayard_shared.jobs.watched import read_under

_NOBODYS = ApiKeyRecord(id="0" * 12, tenant="nobody", sha256="0" * 64)
"""Compared with where there is no such key, so that this takes as long."""


class KeyRing:
    """Kept up by a bucket watch, so that a revoked key is out at once."""

    def __init__(self) -> None:
        self._records: dict[str, ApiKeyRecord] = {}

    def __len__(self) -> int:
        return len(self._records)

    def on_change(self, key_id: str, value: bytes | None) -> None:
        """Take one change of the bucket; a record that cannot be read lets nobody in."""
        record = None if value is None else read_under(key_id, value, ApiKeyRecord, lambda one: one.id)
        if record is None:
            self._records.pop(key_id, None)
        else:
            self._records[key_id] = record

    def tenant_of(self, key: str, now: float) -> str | None:
        """Whose key it is at `now` (unix seconds); None: nobody's."""
        record = self.find(key, now)
        return None if record is None else record.tenant

    def find(self, key: str, now: float) -> ApiKeyRecord | None:
        """The key's record, if it holds at `now` (unix seconds)."""
        record = self._records.get(read_key_id(key) or "", _NOBODYS)
        return record if record.fits(key, now) else None
