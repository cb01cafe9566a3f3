"""`client.keys`: who may speak through a gateway, and as which tenant."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from lorayard.answering import Answering
from lorayard.errors import InvalidRequestError
from lorayard_schemas.api_key import ApiKeyRecord, KeyId, KeyRole, key_digest, write_key
from lorayard_schemas.reasons import plain_reason
from lorayard_shared.registry.errors import KeyUnknownError
from lorayard_shared.registry.key_store import KeyStore

if TYPE_CHECKING:
    from lorayard.link import Link

_ID_BYTES = 6
_SECRET_BYTES = 32
"""Nobody guesses 256 bits, so that a plain digest of them is as good as a slow one."""

_KEY_ID: TypeAdapter[str] = TypeAdapter(KeyId)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key that was just made."""

    key: str = field(repr=False)
    """Shown this once: the yard keeps only its digest."""
    record: ApiKeyRecord


class Keys:
    """The keys of one yard's gateways. Gateways go by a change within a second.

    Every method raises YardNotReadyError or BusUnavailableError where there is no yard, or no bus.
    """

    def __init__(self, link: Callable[[], Link]) -> None:
        self._open_link = link

    async def list(self) -> list[ApiKeyRecord]:
        """Those that are not revoked, the oldest first; expired ones too."""
        link = self._open_link()
        async with Answering(link):
            return await KeyStore(link.bus).list()

    async def add(
        self,
        tenant: str,
        *,
        role: KeyRole | str = KeyRole.TENANT,
        reason: str = "",
        expires_in_seconds: float | None = None,
    ) -> NewKey:
        """Make a key whose jobs are a tenant's; the role says what it opens on the page of gateways.

        Raises:
            InvalidRequestError: it cannot be a tenant or a role, or the time is none.
            ContendedError: others changed it every time that this was tried.
        """
        link = self._open_link()
        author = link.author(reason)
        key_id = secrets.token_hex(_ID_BYTES)
        key = write_key(key_id, secrets.token_urlsafe(_SECRET_BYTES))
        now = time.time()
        try:
            record = ApiKeyRecord(
                id=key_id,
                tenant=tenant,
                role=_role(role),
                sha256=key_digest(key),
                note=reason,
                by=author.actor,
                at=now,
                expires_at=None if expires_in_seconds is None else _end(now, expires_in_seconds),
            )
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = str(first["loc"][0])
            known = {"note": "reason", "expires_at": "expires_in_seconds"}
            raise InvalidRequestError(field=known.get(name, name), reason=plain_reason(first)) from error
        async with Answering(link):
            await KeyStore(link.bus).add(record, author)
        return NewKey(key=key, record=record)

    async def revoke(self, key_id: str, *, reason: str = "") -> ApiKeyRecord:
        """Let a key in no more; `key_id` is its id, as `list` tells it.

        Raises:
            KeyUnknownError: there is none of that id.
            ContendedError: others changed it every time that this was tried.
        """
        try:
            _KEY_ID.validate_python(key_id)
        except ValidationError:
            raise KeyUnknownError(key_id=key_id) from None
        link = self._open_link()
        async with Answering(link):
            return await KeyStore(link.bus).revoke(key_id, link.author(reason))


def _role(role: str) -> KeyRole:
    try:
        return KeyRole(role)
    except ValueError:
        raise InvalidRequestError(field="role", reason=f"one of {', '.join(KeyRole)}") from None


def _end(now: float, seconds: float) -> float:
    if not 0 < seconds < float("inf"):
        raise InvalidRequestError(field="expires_in_seconds", reason="a number above 0 is needed")
    return now + seconds
