"""What a yard remembers of a session, in the bucket `yard_sessions`, for the next turn of it.

Kept as one value per session, under a key that holds the tenant: nobody reads another's.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Annotated

from pydantic import Field, StringConstraints

from lorayard_schemas.assignment import AdapterRef
from lorayard_schemas.message import Message
from lorayard_schemas.names import SessionName, key_token

_DIGEST_BYTES = 16

MAX_BOUND = 16
"""Aliases that a session keeps its versions of: as many as two compositions can have."""


class SessionRecord(Message):
    """The last turn of a session."""

    tenant: Annotated[str, StringConstraints(min_length=1)]
    session: SessionName
    adapter: AdapterRef | None = None
    """None is the base model: a session may be kept there as well."""
    alias: str | None = None
    """`name@alias` that led to the version."""
    chosen_at: float | None = Field(default=None, ge=0.0, allow_inf_nan=False)
    """When the job that brought the adapter was published, unix seconds: a later choice stays. None: no turn
    has brought one, each had several adapters of its own."""
    origin: str | None = None
    """What had chosen it then: a `Choice`."""
    bound: dict[str, str] = Field(default_factory=dict, max_length=MAX_BOUND)
    """`name@alias` -> the version that turns of several adapters had through it."""
    worker: str = ""
    """That was given the last turn, and may have the conversation in its cache."""
    tokens: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    """Of the conversation, roughly."""
    at: float = Field(ge=0.0, allow_inf_nan=False)
    """When this was written, unix seconds."""


def session_key(tenant: str, session: str) -> str:
    """The bucket key of a session: the tenant, and a digest, as its name may be of any characters."""
    digest = blake2b(session.encode(), digest_size=_DIGEST_BYTES).hexdigest()
    return f"{key_token(tenant)}.{digest}"
