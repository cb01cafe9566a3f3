"""Jobs that a worker holds and has not begun, asked back: what led to their adapter leads elsewhere (D4).

A job that has begun runs on, so an order that comes late or twice does no harm.
"""

from __future__ import annotations

from pydantic import Field

from lorayard_schemas.alias import MAX_ARMS, AliasRecord
from lorayard_schemas.message import Message, Part
from lorayard_schemas.names import Version

GIVE_BACK = "give-back"
"""The last part of the subject that it is sent to."""

MAX_KEYS = 4096
"""In one order: 30 bytes each, and more than most workers hold."""

MAX_LEADS = 1024
"""In one order: with 16 versions each they still fit a message."""


class AliasLead(Part):
    """What an alias leads to now."""

    name: str
    """`name@alias`."""
    revision: int = Field(ge=1)
    versions: tuple[Version, ...] = Field(default=(), max_length=MAX_ARMS)
    """Those with a share."""

    def leaves(self, alias: str, revision: int, version: str) -> bool:
        """Whether a job that an earlier revision led to this version is to go elsewhere."""
        return alias == self.name and revision < self.revision and version not in self.versions


def lead_of(record: AliasRecord) -> AliasLead:
    """What workers are told of an alias."""
    versions = tuple(arm.version for arm in record.arms if arm.weight > 0)
    return AliasLead(name=record.spec, revision=record.revision, versions=versions)


class GiveBack(Message):
    """What of these has not begun goes back to its stream; it costs the jobs no attempt."""

    keys: tuple[str, ...] = Field(default=(), max_length=MAX_KEYS)
    """Jobs, as in their assignments."""
    aliases: tuple[AliasLead, ...] = Field(default=(), max_length=MAX_LEADS)
    """All jobs that an earlier revision of one of these led to a version without a share."""


class GiveBackReply(Message):
    """The answer: each of those that had not begun follows with a word of its own."""

    asked: int = Field(ge=0)
    """Jobs that are held and meant."""
