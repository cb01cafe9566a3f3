"""A key that HTTP clients show at a gateway, in the bucket `yard_keys`, under its id.

Only a digest is kept: whoever reads the bucket, or a backup of it, has no key.
"""

from __future__ import annotations

import hashlib
import hmac
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field, StringConstraints

from lorayard_schemas.adapter import Sha256
from lorayard_schemas.alias import Text
from lorayard_schemas.message import Message
from lorayard_schemas.names import Tenant

MARK: Final = "ly"
"""Begins every key, so that scanners of repositories can find lost ones."""

KeyId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12}$")]
"""Names a key in lists and logs; it opens nothing."""


class KeyRole(StrEnum):
    """What a key opens beside the API, on the page that gateways serve."""

    TENANT = "tenant"
    """What is its tenant's own."""
    VIEWER = "viewer"
    """All of the yard, to look at."""
    OPERATOR = "operator"
    """The same, and to change."""


class ApiKeyRecord(Message):
    """One key: whose jobs are those of who shows it."""

    id: KeyId
    tenant: Tenant
    sha256: Sha256
    """Of the whole key, whose 256 random bits need no salt."""
    role: KeyRole = KeyRole.TENANT
    note: Text = ""
    """What it is for."""
    by: Text = ""
    at: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    """Unix seconds."""
    expires_at: float | None = Field(default=None, ge=0.0, allow_inf_nan=False)
    """Unix seconds; None: it holds until it is revoked."""

    def fits(self, key: str, now: float) -> bool:
        """Whether this is the key, and still holds at `now` (unix seconds). Takes as long for any key."""
        same = hmac.compare_digest(key_digest(key), self.sha256)
        return same and (self.expires_at is None or now < self.expires_at)


def write_key(key_id: str, secret: str) -> str:
    """The key as a client shows it."""
    return f"{MARK}-{key_id}-{secret}"


def read_key_id(key: str) -> str | None:
    """The id in a key; None: it is none of ours."""
    mark, _, rest = key.partition("-")
    key_id, dash, secret = rest.partition("-")
    return key_id if mark == MARK and dash and secret else None


def key_digest(key: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()
