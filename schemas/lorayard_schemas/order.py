"""What a dispatcher asks of a worker beside jobs: where adapters shall be, and whom it shall serve.

The worker is the authority: it answers for each adapter, and may refuse. An order that comes twice does no
harm.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from lorayard_schemas.message import Message, Part

MAX_ORDERED = 256
"""Adapters in one order: more than any worker has slots, and the answer still fits a message."""

MAX_DIGEST_CHARACTERS = 200


class OrderVerb(StrEnum):
    """The last part of the subject that an order is sent to."""

    PREFETCH = "prefetch"
    """Bring them to host memory while rows decode, after all that rows wait for."""
    LOAD = "load"
    """Bring them into slots that are free or idle, else into host memory."""
    PIN = "pin"
    """Bring them into slots as soon as some come free, and keep them there."""
    UNPIN = "unpin"
    """They may be evicted like any other."""
    UNLOAD = "unload"
    """Unpin them, and free their slots and host memory once no row needs them."""
    DEDICATE = "dedicate"
    """Serve this one adapter only, folded into the base model's weights."""
    UNDEDICATE = "undedicate"
    """Serve all again, if it is this one that is served alone."""


class AdapterOrder(Message):
    """An order about adapters, named by content digest."""

    digests: tuple[Annotated[str, StringConstraints(max_length=MAX_DIGEST_CHARACTERS)], ...] = Field(
        min_length=1, max_length=MAX_ORDERED
    )
    """One that is no digest is answered as such, and the others are followed."""


class OrderOutcome(StrEnum):
    """What became of an order about one adapter."""

    QUEUED = "queued"
    """It will be done; the advert shows when it is."""
    THERE = "there"
    """It is so already."""
    UNKNOWN_ADAPTER = "unknown_adapter"
    """The worker has no files of it."""
    NO_ROOM = "no_room"
    """A limit of the worker is in the way: `detail` has the numbers."""
    REFUSED = "refused"
    """`detail` says why."""


class OrderAnswer(Part):
    """What became of an order about one adapter."""

    digest: str
    outcome: OrderOutcome
    detail: str = ""


class OrderReply(Message):
    """An answer for each adapter of an order, in its order."""

    worker: str
    epoch: int = Field(ge=0)
    sequence: int = Field(ge=0)
    """Of the last advert before the order: a later one shows what came of it."""
    answers: tuple[OrderAnswer, ...]
