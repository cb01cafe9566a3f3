"""A request that waits for its answer, and whether it may be sent twice."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import nats.errors
from nats.aio.msg import Msg

from lorayard_schemas.headers import BATCH_ID, MSG_ID
from lorayard_shared.errors import NOT_PERMITTED

_SERVER = "$JS.API."

_READS = (
    "$JS.API.INFO",
    "$JS.API.STREAM.INFO.",
    "$JS.API.STREAM.NAMES",
    "$JS.API.STREAM.LIST",
    "$JS.API.STREAM.MSG.GET.",
    "$JS.API.DIRECT.GET.",
    "$JS.API.CONSUMER.INFO.",
    "$JS.API.CONSUMER.NAMES.",
    "$JS.API.CONSUMER.LIST.",
)
"""A second consumer, say, is no read: two of them would tell all twice."""


class NotPermittedError(nats.errors.Error):
    """The credentials in use may not publish there."""

    def __init__(self, subject: str) -> None:
        super().__init__()
        self.subject = subject

    def __str__(self) -> str:
        return f"these credentials {NOT_PERMITTED} {self.subject}"


@dataclass(slots=True)
class Asked:
    """One request."""

    subject: str
    payload: bytes
    inbox: str
    headers: Mapping[str, str] | None
    answer: asyncio.Future[Msg]
    connection: int | None
    """The how manieth connection took it; None: there was none, it went out with the next one."""

    @property
    def is_of_server(self) -> bool:
        """Whether the server itself answers, and only over the connection that it was asked by."""
        return self.subject.startswith(_SERVER)


def may_repeat(asked: Asked) -> bool:
    """Whether a server makes no difference between one and two of them.

    A message of an atomic batch is nothing without those before it.
    """
    if asked.headers and MSG_ID in asked.headers:
        return BATCH_ID not in asked.headers
    return asked.subject.startswith(_READS)
