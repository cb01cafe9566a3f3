"""Files as OpenAI's clients know them."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from lorayard_gateway.queries import Query
from lorayard_schemas.file_record import FileId, FilePurpose, FileRecord

MOST_LISTED = 10_000
LEAST_KEPT_SECONDS, MOST_KEPT_SECONDS = 3600, 30 * 86_400
"""OpenAI's own bounds of `expires_after`."""


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True)


class FileObject(_Told):
    """One file."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    """Unix seconds."""
    expires_at: int | None = None
    filename: str
    purpose: FilePurpose
    status: Literal["processed"] = "processed"

    @classmethod
    def of(cls, record: FileRecord) -> Self:
        """What a record tells."""
        return cls(
            id=record.id,
            bytes=record.size_bytes,
            created_at=int(record.created_at),
            expires_at=None if record.expires_at is None else int(record.expires_at),
            filename=record.name,
            purpose=record.purpose,
        )


class FileList(_Told):
    """One page of them."""

    object: Literal["list"] = "list"
    data: list[FileObject]
    first_id: str | None = None
    last_id: str | None = None
    has_more: bool


class FileDeleted(_Told):
    """One is gone."""

    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


class FilesQuery(Query):
    """Which of them."""

    purpose: str | None = None
    limit: int = Field(default=MOST_LISTED, ge=1, le=MOST_LISTED)
    order: Literal["asc", "desc"] = "desc"
    after: FileId | None = None


class UploadFields(BaseModel):
    """The fields of an upload beside the file itself, as texts of a form."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    purpose: Literal["batch"]
    anchor: Literal["created_at"] | None = Field(default=None, alias="expires_after[anchor]")
    seconds: int | None = Field(
        default=None, alias="expires_after[seconds]", ge=LEAST_KEPT_SECONDS, le=MOST_KEPT_SECONDS
    )
