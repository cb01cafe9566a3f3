"""`Keys`, blocking."""

from __future__ import annotations

from collections.abc import Callable

from lorayard.registry.calls import Calls
from lorayard.registry.keys import Keys, NewKey
from lorayard_schemas.api_key import ApiKeyRecord, KeyRole


class SyncKeys:
    """The keys of one yard's gateways; every method raises as that of `Keys` does."""

    def __init__(self, keys: Keys, thread: Callable[[], Calls]) -> None:
        self._keys = keys
        self._thread = thread

    def list(self) -> list[ApiKeyRecord]:
        """Those that are not revoked, the oldest first; expired ones too."""
        return self._thread().call(self._keys.list())

    def add(
        self,
        tenant: str,
        *,
        role: KeyRole | str = KeyRole.TENANT,
        reason: str = "",
        expires_in_seconds: float | None = None,
    ) -> NewKey:
        """Make a key whose jobs are a tenant's; see `Keys.add`."""
        made = self._keys.add(tenant, role=role, reason=reason, expires_in_seconds=expires_in_seconds)
        return self._thread().call(made)

    def revoke(self, key_id: str, *, reason: str = "") -> ApiKeyRecord:
        """Let a key in no more."""
        return self._thread().call(self._keys.revoke(key_id, reason=reason))
