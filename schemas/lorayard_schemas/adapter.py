"""The record of one adapter version in the bucket `yard_adapters`: names point at content digests."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from lorayard_schemas.message import Message
from lorayard_schemas.names import AdapterName, Digest, Version


class AdapterState(StrEnum):
    """Whether a version may serve."""

    ACTIVE = "active"
    ARCHIVED = "archived"
    REFUSED = "refused"


class AdapterRecord(Message):
    """One immutable version: the same name and version never stand for other bytes."""

    name: AdapterName
    version: Version
    digest: Digest
    base_digest: Digest
    rank: int = Field(ge=1)
    """The largest of any module."""
    columns: int = Field(default=0, ge=0)
    """What it takes of a worker's slots: its rank in whole pages; 0: an older worker has not said."""
    alpha: float
    targets: tuple[str, ...]
    size_bytes: int = Field(ge=0)
    """Of its weights' file."""
    prompt_template: str | None = None
    """What stands around a prompt, `{prompt}` in its place; None sends prompts as they are."""
    state: AdapterState = AdapterState.ACTIVE
    registered_at: float = 0.0
    """Unix seconds."""
    registered_by: str = ""
