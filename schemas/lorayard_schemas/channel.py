"""What is said of a subject on which something of ours travels: who says what there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lorayard_schemas.message import Message


class Side(StrEnum):
    """What the yard does there, in AsyncAPI's words."""

    RECEIVE = "receive"
    SEND = "send"


class Plain(StrEnum):
    """What travels and is no message of ours."""

    NOTHING = "Nothing"
    """An empty body."""
    STORED = "Stored"
    """A stream's answer to a publish."""
    SERVICE_ERROR = "ServiceError"
    """An order that could not be followed; said in headers, with an empty body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """One header of a message."""

    name: str
    meaning: str
    required: bool = False
    pattern: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """A message with headers, under a name of its own."""

    name: str
    model: type[Message]
    headers: tuple[Header, ...]


Body = type[Message] | Plain | Carried


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One subject; where it has replies, what comes is a request."""

    name: str
    address: str
    summary: str
    side: Side
    bodies: tuple[Body, ...]
    replies: tuple[Body, ...] = ()
    kept: str = ""
    """The stream or the bucket that keeps what comes."""
    about: str = ""
    """How a message comes there, where that is not the usual way."""
    inside: bool = False
    """Between the parts of a yard: clients need none of it."""


SERVICE: tuple[Body, ...] = (Plain.SERVICE_ERROR,)
"""What else an endpoint may answer."""
RECEIVE, SEND = Side.RECEIVE, Side.SEND
