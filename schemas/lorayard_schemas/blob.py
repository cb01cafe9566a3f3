"""What stands in the object store `yard_blobs` under a file's digest: of which parts the file consists.

A file is cut into parts of one size, each an object of its own under the digest of its bytes. So a transfer
that was cut goes on with the first part that is missing, parts travel several at once, and a part that two
versions share is kept once.
"""

from __future__ import annotations

from typing import Final

from pydantic import Field, model_validator

from lorayard_schemas.adapter import Sha256
from lorayard_schemas.message import Message

MIN_PART_BYTES: Final = 1024
MAX_PART_BYTES: Final = 32 * 2**20
"""A reader takes a part into memory whole, and several at once."""

MAX_PARTS: Final = 4096
"""Of a file: its digests fit a message of 1 MiB, and 16 GiB are four times the largest adapter known."""


class BlobManifest(Message):
    """One file: its parts in order. All are `part_bytes` long but the last."""

    sha256: Sha256
    """Of the whole file."""
    size_bytes: int = Field(ge=0)
    part_bytes: int = Field(ge=MIN_PART_BYTES, le=MAX_PART_BYTES)
    parts: tuple[Sha256, ...] = Field(max_length=MAX_PARTS)

    @model_validator(mode="after")
    def _parts_make_the_file(self) -> BlobManifest:
        needed = -(-self.size_bytes // self.part_bytes)
        if len(self.parts) != needed:
            raise ValueError(
                f"{len(self.parts)} parts, but {self.size_bytes} bytes by {self.part_bytes} are {needed}"
            )
        return self

    def part_length(self, index: int) -> int:
        """Bytes of one part."""
        return min(self.part_bytes, self.size_bytes - index * self.part_bytes)
