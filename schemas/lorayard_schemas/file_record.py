"""A file that an HTTP client has put into the yard, or a batch has written there: bucket `yard_files`.

Its bytes lie in parts in the object store `yard_file_parts`; the record is written last, so a file that has
one is whole.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from lorayard_schemas.adapter import Sha256
from lorayard_schemas.message import Message
from lorayard_schemas.names import Tenant, key_token

FileId = Annotated[str, StringConstraints(pattern=r"^file-[0-9a-f]{26}$")]
"""In the order of time: a page of a listing begins behind an id, though its file be gone."""

MAX_PARTS = 12_000
"""64 digits for each fit a message."""


class FilePurpose(StrEnum):
    """What a file is for."""

    BATCH = "batch"
    """Lines to be asked."""
    BATCH_OUTPUT = "batch_output"
    """What a batch has written."""


class FileRecord(Message):
    """One file of one tenant."""

    id: FileId
    tenant: Tenant
    name: str = Field(max_length=1024)
    """As its client calls it; no path of ours."""
    purpose: FilePurpose
    size_bytes: int = Field(ge=0)
    part_bytes: int = Field(ge=1)
    """Of every part but the last."""
    parts: tuple[Sha256, ...] = Field(default=(), max_length=MAX_PARTS)
    """Digests of the parts, in their order."""
    writing: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    """Tells this writing of the parts from one that was cut."""
    created_at: float = Field(ge=0.0, allow_inf_nan=False)
    """Unix seconds."""
    expires_at: float | None = Field(default=None, ge=0.0, allow_inf_nan=False)
    """Unix seconds; None: it is kept until somebody deletes it."""

    def is_over(self, now: float) -> bool:
        """Whether it counts as deleted at `now` (unix seconds)."""
        return self.expires_at is not None and now >= self.expires_at


def file_key(tenant: str, file_id: str) -> str:
    """The bucket key of a file's record."""
    return f"{key_token(tenant)}.{file_id}"


def part_object(file_id: str, writing: str, index: int) -> str:
    """The name of a part's object."""
    return f"{file_id}/{writing}/{index}"
