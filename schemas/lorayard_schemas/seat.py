"""Who dispatches: what dispatchers keep in the bucket `yard_dispatchers`.

Two kinds of keys, both with a short time to live, so that silence is an end: one per dispatcher that lives,
and one seat per partition, held by the dispatcher that is active for it.
"""

from __future__ import annotations

from pydantic import Field

from lorayard_schemas.message import Message
from lorayard_schemas.names import key_token

SEAT_KEY = "seat."
DISPATCHER_KEY = "dispatcher."


class DispatcherAdvert(Message):
    """That a dispatcher lives, and what it is active for."""

    dispatcher: str
    started_at: float
    """Unix seconds; the longest alive come first where seats are shared out."""
    seats: tuple[int, ...] = ()
    """Partitions it is active for; none: it stands by."""
    default_adapter: str | None = None
    """What it gives jobs that name none: workers go by it when no dispatcher lives any more."""
    pid: int = 0


class SeatHolder(Message):
    """Which dispatcher is active for one partition."""

    dispatcher: str
    started_at: float
    """Of the holder: another life of the same name is another holder."""
    since: float = Field(ge=0)
    """Unix seconds."""


def seat_key(partition: int) -> str:
    """The key of one partition's seat."""
    return f"{SEAT_KEY}{partition}"


def dispatcher_key(name: str) -> str:
    """The key under which a dispatcher says that it lives."""
    return f"{DISPATCHER_KEY}{key_token(name)}"
